/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine description must fulfil, whoever wrote it. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/backend/vnc/vnc.h"
#include "vmm/device/pci/layout.h"
#include "vmm/gdb/address.h"
#include "vmm/spec.h"

#define MEMORY_MIN (4 * MIB)
/* All above 4 GiB in the worst case, and below the PCI window. */
#define MEMORY_MAX   (PCI_MMIO64_BASE - (MEM_HIGH_START - MEM_LOW_END))
#define NAME_MAX_LEN 63

bool spec_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > NAME_MAX_LEN || !isalnum((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	return true;
}

bool spec_uuid_ok(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (const char *f = form; *f; f++, text++)
		if (*f == 'x' ? !strchr("0123456789abcdef", *text) : *text != '-')
			return false;
	return true;
}

void spec_uuid(const struct spec *s, uint8_t uuid[16])
{
	const char *p = s->uuid;

	memset(uuid, 0, 16);
	for (unsigned i = 0; p && i < 16; i++, p += 2) {
		p += *p == '-';
		sscanf(p, "%2hhx", &uuid[i]);
	}
}

static int check_size(const struct spec *s, struct err *e)
{
	if (s->name && !spec_name_ok(s->name))
		return err_set(e, -EINVAL,
			       "name: \"%.80s\" does not do; take up to %d letters, digits, dots, "
			       "dashes and underscores, a letter or digit first",
			       s->name, NAME_MAX_LEN);
	if (s->uuid && !spec_uuid_ok(s->uuid))
		return err_set(e, -EINVAL,
			       "uuid: \"%.40s\" is not of the form "
			       "01234567-89ab-cdef-0123-456789abcdef",
			       s->uuid);
	if (s->memory < MEMORY_MIN)
		return err_set(e, -EINVAL, "memory: %llu KiB is too small, the least is %llu MiB",
			       (unsigned long long)(s->memory / KIB), MEMORY_MIN / MIB);
	if (s->memory > MEMORY_MAX)
		return err_set(e, -EINVAL, "memory: %llu GiB is too large, the most is %llu GiB",
			       (unsigned long long)(s->memory / GIB),
			       (unsigned long long)(MEMORY_MAX / GIB));
	if (s->memory % MIB)
		return err_set(e, -EINVAL, "memory: must be a whole number of MiB");
	if (!s->cpus || s->cpus > SPEC_MAX_CPUS)
		return err_set(e, -EINVAL, "cpus: must be from 1 to %d", SPEC_MAX_CPUS);
	if (!s->cpu_shares || s->cpu_shares > SPEC_MAX_SHARES)
		return err_set(e, -EINVAL, "cpu_shares: must be from 1 to %d", SPEC_MAX_SHARES);
	if (s->cpu_cap > 100 * SPEC_MAX_CPUS)
		return err_set(e, -EINVAL, "cpu_cap: must be from 1 to %d percent, or 0: no limit",
			       100 * SPEC_MAX_CPUS);
	return 0;
}

const char *spec_firmware(const struct spec *s)
{
	return s->kernel || s->firmware ? s->firmware : "bios";
}

bool spec_firmware_is_file(const struct spec *s)
{
	return s->firmware && strcmp(s->firmware, "bios") && strcmp(s->firmware, "uefi");
}

#define DEFAULT_BOOT_ORDER "disk,cdrom,net"

/* Index of the word among the list's comma-separated ones. */
static int place_of(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; list; i++) {
		if (!strncmp(list, word, len) && (!list[len] || list[len] == ','))
			return i;
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	return -1;
}

int spec_boot_place(const struct spec *s, const char *class)
{
	return place_of(s->boot_order ? s->boot_order : DEFAULT_BOOT_ORDER, class);
}

static int check_boot_order(const char *order, struct err *e)
{
	char word[8];

	for (const char *p = order; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, ","), p);
		if (place_of(DEFAULT_BOOT_ORDER, word) < 0)
			return err_set(e, -EINVAL,
				       "boot.order: \"%.40s\" is not a list of disk, cdrom and net",
				       order);
	}
	return 0;
}

/* What goes with firmware only. */
static int check_firmware(const struct spec *s, struct err *e)
{
	const char *firmware = spec_firmware(s);

	if (s->nvram && (!firmware || !strcmp(firmware, "bios")))
		return err_set(e, -EINVAL, "boot.nvram: goes with the firmware \"uefi\"");
	if (!firmware && (s->boot_order || s->boot_menu))
		return err_set(e, -EINVAL,
			       "boot: order and menu are firmware's; a kernel starts at once");
	return check_boot_order(s->boot_order, e);
}

static int check_boot(const struct spec *s, struct err *e)
{
	if (!s->kernel && !s->firmware && !s->ndisks)
		return err_set(e, -EINVAL,
			       "boot: nothing to start; give a kernel, a disk, a CD-ROM or a "
			       "firmware");
	if (s->kernel && s->firmware)
		return err_set(e, -EINVAL, "boot: kernel and firmware exclude each other");
	if (!s->kernel && (s->initrd || s->append || s->nmodules))
		return err_set(e, -EINVAL,
			       "boot: initrd, append and modules go with a kernel, not a firmware");
	if (s->initrd && s->nmodules)
		return err_set(e, -EINVAL, "boot: initrd and modules exclude each other");
	for (unsigned i = 0; i < s->nmodules; i++)
		if (!*s->modules[i] || *s->modules[i] == ' ')
			return err_set(e, -EINVAL, "boot.modules[%u]: no file is named", i);
	return check_firmware(s, e);
}

static int check_serial(const struct spec *s, struct err *e)
{
	const char *t = s->serial;

	if (!strcmp(t, "stdio") || !strcmp(t, "none") || (!strncmp(t, "file:", 5) && t[5]) ||
	    (!strncmp(t, "unix:", 5) && t[5]))
		return 0;
	return err_set(e, -EINVAL,
		       "serial: \"%.80s\" is none of stdio, none, file:PATH and unix:PATH", t);
}

/* A firmware shows what it does; a kernel that is started without one speaks on the serial port. */
const char *spec_display(const struct spec *s)
{
	if (s->display)
		return s->display;
	return spec_firmware(s) ? "vnc" : "none";
}

bool spec_has_screen(const struct spec *s)
{
	return strcmp(spec_display(s), "none") != 0;
}

static int check_display(const struct spec *s, struct err *e)
{
	const char *t = spec_display(s);
	struct vnc_config c;

	if (!strcmp(t, "none") || !strcmp(t, "vga"))
		return 0;
	if (strncmp(t, "vnc", 3))
		return err_set(e, -EINVAL, "display: \"%.80s\" is none of none, vga and vnc", t);
	if (vnc_config_parse(t, &c, e))
		return err_prefix(e, "display");
	vnc_config_free(&c);
	return 0;
}

static bool is_one_of(const char *text, const char *const *names)
{
	while (*names && strcmp(*names, text))
		names++;
	return *names;
}

#define AHCI_DRIVES 6 /* ports of the one controller */

static int check_bus(const struct spec_disk *d, unsigned i, unsigned *ahci, struct err *e)
{
	static const char *const buses[] = {"virtio", "ahci", "nvme", NULL};

	if (d->bus && !is_one_of(d->bus, buses))
		return err_set(e, -EINVAL,
			       "disks[%u].bus: \"%.40s\" is none of virtio, ahci and nvme", i,
			       d->bus);
	if (d->cdrom && d->bus && strcmp(d->bus, "ahci"))
		return err_set(e, -EINVAL, "disks[%u].bus: a CD-ROM drive's is ahci", i);
	*ahci += d->cdrom || (d->bus && !strcmp(d->bus, "ahci"));
	if (*ahci > AHCI_DRIVES)
		return err_set(e, -E2BIG, "disks[%u].bus: more than %d drives on ahci", i,
			       AHCI_DRIVES);
	return 0;
}

static int check_disk_file(const struct spec_disk *d, unsigned i, struct err *e)
{
	static const char *const formats[] = {"raw", "qcow2", "vdi", NULL};
	static const char *const caches[] = {"writeback", "none", NULL};

	if (d->format && !is_one_of(d->format, formats))
		return err_set(e, -EINVAL,
			       "disks[%u].format: \"%.40s\" is none of raw, qcow2 and vdi", i,
			       d->format);
	if (d->cache && !is_one_of(d->cache, caches))
		return err_set(e, -EINVAL,
			       "disks[%u].cache: \"%.40s\" is neither writeback nor none", i,
			       d->cache);
	if (d->bps && d->bps < 512)
		return err_set(e, -EINVAL, "disks[%u].bps: the least is 512 bytes a second", i);
	if (d->burst > 3600)
		return err_set(e, -EINVAL, "disks[%u].burst: must be from 1 to 3600 seconds", i);
	return 0;
}

static bool is_read_only(const struct spec_disk *d)
{
	return d->readonly || d->cdrom;
}

/* A machine cannot share with itself what it writes. */
static int check_disk_twice(const struct spec *s, unsigned i, struct err *e)
{
	const struct spec_disk *d = &s->disks[i];

	for (unsigned n = 0; n < i && d->path; n++) {
		const struct spec_disk *o = &s->disks[n];

		if (o->path && !strcmp(o->path, d->path) && !(is_read_only(o) && is_read_only(d)))
			return err_set(e, -EINVAL, "disks[%u].path: %.200s is disks[%u] already", i,
				       d->path, n);
	}
	return 0;
}

static int check_disks(const struct spec *s, struct err *e)
{
	unsigned ahci = 0;

	for (unsigned i = 0; i < s->ndisks; i++) {
		const struct spec_disk *d = &s->disks[i];

		if (check_bus(d, i, &ahci, e))
			return e->code;
		if (d->path ? !*d->path : !d->cdrom)
			return err_set(e, -EINVAL, "disks[%u].path: missing", i);
		if (check_disk_file(d, i, e) || check_disk_twice(s, i, e))
			return e->code;
	}
	return 0;
}

static bool take_port(const char **text, char end, unsigned *out)
{
	char *rest;
	unsigned long n;

	if (!isdigit((unsigned char)**text))
		return false;
	n = strtoul(*text, &rest, 10);
	*text = rest + 1;
	*out = (unsigned)n;
	return n && n <= 65535 && *rest == end;
}

static bool is_address(const char *text, bool six)
{
	struct in6_addr a;

	return inet_pton(six ? AF_INET6 : AF_INET, text, &a) == 1;
}

/* "127.0.0.1:" or "[::1]:" in front of the ports, or nothing. */
static bool take_host(const char **text, char host[64])
{
	bool six = **text == '[';
	const char *start = *text + six, *end = strchr(start, six ? ']' : ':');
	size_t n = end ? (size_t)(end - start) : 64;

	*host = '\0';
	if (n >= 64)
		return false;
	if (!six && !memchr(start, '.', n))
		return true; /* a port */
	memcpy(host, start, n);
	host[n] = '\0';
	*text = end + six + 1;
	return end[six] == ':' && is_address(host, six);
}

/* "tcp:127.0.0.1:8080:80": protocol, address and port on the host, port in the guest. */
bool spec_forward_parse(const char *text, char host[64], unsigned *hostport, unsigned *guestport)
{
	if (strncmp(text, "tcp:", 4) && strncmp(text, "udp:", 4))
		return false;
	text += 4;
	return take_host(&text, host) && take_port(&text, ':', hostport) &&
	       take_port(&text, '\0', guestport);
}

bool spec_forward_ok(const char *text)
{
	unsigned hostport, guestport;
	char host[64];

	return spec_forward_parse(text, host, &hostport, &guestport);
}

static int check_net_type(const struct spec_net *n, unsigned i, struct err *e)
{
	static const struct {
		const char *type;
		size_t longest; /* of its name, 0: it has none */
	} types[] = {{"user", 0}, {"bridge", 15}, {"network", 32}, {"internal", 32}};

	for (unsigned t = 0; n->type && t < sizeof(types) / sizeof(types[0]); t++) {
		if (strcmp(types[t].type, n->type))
			continue;
		if (!types[t].longest && n->name)
			return err_set(e, -EINVAL, "nets[%u].name: user networks have none", i);
		if (types[t].longest &&
		    (!n->name || !spec_name_ok(n->name) || strlen(n->name) > types[t].longest))
			return err_set(
				e, -EINVAL,
				"nets[%u].name: a %s needs the name of one, up to %zu letters, "
				"digits, dots, dashes and underscores",
				i, n->type, types[t].longest);
		return 0;
	}
	return err_set(e, -EINVAL, "nets[%u].type: must be user, bridge, network or internal", i);
}

static int check_net(const struct spec_net *n, unsigned i, struct err *e)
{
	if (check_net_type(n, i, e))
		return e->code;
	if (n->model && strcmp(n->model, "virtio") && strcmp(n->model, "e1000"))
		return err_set(e, -EINVAL, "nets[%u].model: \"%.40s\" is neither virtio nor e1000",
			       i, n->model);
	if (n->mac[0] & 1)
		return err_set(e, -EINVAL, "nets[%u].mac: a group address cannot be a guest's own",
			       i);
	if (n->nforwards && strcmp(n->type, "user"))
		return err_set(e, -EINVAL, "nets[%u].forwards: only user networks forward ports",
			       i);
	for (unsigned f = 0; f < n->nforwards; f++)
		if (!spec_forward_ok(n->forwards[f]))
			return err_set(e, -EINVAL,
				       "nets[%u].forwards[%u]: \"%.80s\" is not of the form "
				       "tcp:[ADDRESS:]HOSTPORT:GUESTPORT or udp:...",
				       i, f, n->forwards[f]);
	return 0;
}

static int check_nets(const struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->nnets; i++)
		if (check_net(&s->nets[i], i, e))
			return e->code;
	return 0;
}

static int check_devices(const struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->ndevices; i++)
		if (!s->devices[i].name || !*s->devices[i].name)
			return err_set(e, -EINVAL, "devices[%u].name: missing", i);
	return 0;
}

/* What the engine's settings after its name must be, and whether the host can do it, it says. */
static int check_processor(const struct spec *s, struct err *e)
{
	static const char *const models[] = {"baseline", "v3", "v4", "host", NULL};
	static const char *const engines[] = {"auto", "kvm", "bt", NULL};
	char engine[8];

	snprintf(engine, sizeof(engine), "%.*s", (int)strcspn(s->engine, ","), s->engine);
	if (!is_one_of(engine, engines))
		return err_set(e, -EINVAL, "engine: \"%.40s\" is unknown; there are auto, kvm, bt",
			       s->engine);
	if (!is_one_of(s->cpu_model, models))
		return err_set(e, -EINVAL,
			       "cpu_model: \"%.40s\" is unknown; there are baseline, v3, v4, host",
			       s->cpu_model);
	return 0;
}

static int check_sandbox(const struct spec *s, struct err *e)
{
	static const char *const modes[] = {"auto", "on", "off", NULL};

	if (!s->sandbox || is_one_of(s->sandbox, modes))
		return 0;
	return err_set(e, -EINVAL, "sandbox: \"%.40s\" is none of auto, on, off", s->sandbox);
}

static int check_gdb(const struct spec *s, struct err *e)
{
	struct gdb_address a;

	return s->gdb ? gdb_address_parse(&a, s->gdb, e) : 0;
}

int spec_check(const struct spec *s, struct err *e)
{
	if (!s->engine || !s->cpu_model || !s->serial)
		return err_set(e, -ENOMEM, "machine description: out of memory");
	if (check_size(s, e) || check_processor(s, e) || check_boot(s, e) || check_serial(s, e) ||
	    check_display(s, e) || check_disks(s, e) || check_nets(s, e) || check_devices(s, e) ||
	    check_gdb(s, e) || check_sandbox(s, e))
		return e->code;
	return 0;
}
