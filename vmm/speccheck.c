/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine description must fulfil, whoever wrote it. */
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
	return 0;
}

static int check_boot(const struct spec *s, struct err *e)
{
	if (!s->kernel && !s->firmware)
		return err_set(e, -EINVAL, "boot: nothing to start; give a kernel or a firmware");
	if (s->kernel && s->firmware)
		return err_set(e, -EINVAL, "boot: kernel and firmware exclude each other");
	if (s->firmware && (s->initrd || s->append || s->nmodules))
		return err_set(e, -EINVAL,
			       "boot: initrd, append and modules go with a kernel, not a firmware");
	if (s->initrd && s->nmodules)
		return err_set(e, -EINVAL, "boot: initrd and modules exclude each other");
	for (unsigned i = 0; i < s->nmodules; i++)
		if (!*s->modules[i] || *s->modules[i] == ' ')
			return err_set(e, -EINVAL, "boot.modules[%u]: no file is named", i);
	return 0;
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
	return s->firmware ? "vnc" : "none";
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

static int check_disks(const struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->ndisks; i++) {
		const struct spec_disk *d = &s->disks[i];

		if (!d->path || !*d->path)
			return err_set(e, -EINVAL, "disks[%u].path: missing", i);
		if (d->format && strcmp(d->format, "raw"))
			return err_set(e, -EINVAL,
				       "disks[%u].format: \"%.40s\" is not known; raw is", i,
				       d->format);
	}
	return 0;
}

static bool port_ok(unsigned long n)
{
	return n && n <= 65535;
}

/* "tcp:8080:80": protocol, port on the host, port in the guest. */
bool spec_forward_ok(const char *text)
{
	unsigned long host, guest;
	char *end;

	if (strncmp(text, "tcp:", 4) && strncmp(text, "udp:", 4))
		return false;
	if (!isdigit((unsigned char)text[4]))
		return false;
	host = strtoul(text + 4, &end, 10);
	if (*end != ':' || !isdigit((unsigned char)end[1]))
		return false;
	guest = strtoul(end + 1, &end, 10);
	return !*end && port_ok(host) && port_ok(guest);
}

static int check_net(const struct spec_net *n, unsigned i, struct err *e)
{
	if (!n->type || strcmp(n->type, "user"))
		return err_set(e, -EINVAL, "nets[%u].type: must be \"user\"", i);
	if (n->mac[0] & 1)
		return err_set(e, -EINVAL, "nets[%u].mac: a group address cannot be a guest's own",
			       i);
	for (unsigned f = 0; f < n->nforwards; f++)
		if (!spec_forward_ok(n->forwards[f]))
			return err_set(e, -EINVAL,
				       "nets[%u].forwards[%u]: \"%.80s\" is not of the form "
				       "tcp:HOSTPORT:GUESTPORT or udp:HOSTPORT:GUESTPORT",
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

static int check_gdb(const struct spec *s, struct err *e)
{
	struct gdb_address a;

	return s->gdb ? gdb_address_parse(&a, s->gdb, e) : 0;
}

int spec_check(const struct spec *s, struct err *e)
{
	if (!s->engine || !s->cpu_model || !s->serial)
		return err_set(e, -ENOMEM, "machine description: out of memory");
	if (check_size(s, e) || check_boot(s, e) || check_serial(s, e) || check_display(s, e) ||
	    check_disks(s, e) || check_nets(s, e) || check_devices(s, e) || check_gdb(s, e))
		return e->code;
	return 0;
}
