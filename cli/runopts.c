/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `baton run`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/num.h"
#include "cli/run.h"

static int set_text(char **field, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

/* One setter for each text that is taken as it is. */
#define TEXT_SETTER(field)                                                               \
	static int set_##field(void *context, const char *value, struct err *e)          \
	{                                                                                \
		return set_text(&((struct run_context *)context)->spec.field, value, e); \
	}

/* The same for one that need not be: an empty value takes it out. */
#define OPTIONAL_SETTER(field)                                                  \
	static int set_##field(void *context, const char *value, struct err *e) \
	{                                                                       \
		char **text = &((struct run_context *)context)->spec.field;     \
                                                                                \
		if (*value)                                                     \
			return set_text(text, value, e);                        \
		free(*text);                                                    \
		*text = NULL;                                                   \
		return 0;                                                       \
	}

OPTIONAL_SETTER(kernel)
OPTIONAL_SETTER(initrd)
OPTIONAL_SETTER(append)
OPTIONAL_SETTER(firmware)
OPTIONAL_SETTER(nvram)
OPTIONAL_SETTER(restore)
OPTIONAL_SETTER(sandbox)
TEXT_SETTER(serial)
OPTIONAL_SETTER(display)
TEXT_SETTER(engine)
TEXT_SETTER(cpu_model)
TEXT_SETTER(trace)
TEXT_SETTER(gdb)

static int set_memory(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;

	return num_parse_size(value, MIB, &r->spec.memory, e);
}

static int set_number(unsigned *to, const char *value, unsigned least, unsigned most, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n < least || n > most)
		return err_set(e, -EINVAL, "\"%s\" is not a number from %u to %u", value, least,
			       most);
	*to = (unsigned)n;
	return 0;
}

static int set_cpus(void *context, const char *value, struct err *e)
{
	return set_number(&((struct run_context *)context)->spec.cpus, value, 1, SPEC_MAX_CPUS, e);
}

static int set_cpu_shares(void *context, const char *value, struct err *e)
{
	return set_number(&((struct run_context *)context)->spec.cpu_shares, value, 1,
			  SPEC_MAX_SHARES, e);
}

static int set_cpu_cap(void *context, const char *value, struct err *e)
{
	return set_number(&((struct run_context *)context)->spec.cpu_cap, value, 0,
			  100 * SPEC_MAX_CPUS, e);
}

static int set_module(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;

	if (s->nmodules == SPEC_MAX_MODULES)
		return err_set(e, -E2BIG, "more than %d modules", SPEC_MAX_MODULES);
	return set_text(&s->modules[s->nmodules++], value, e);
}

static int set_reboot(void *context, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	((struct run_context *)context)->spec.reboot = false;
	return 0;
}

static int set_spec(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;

	spec_free(&r->spec);
	spec_init(&r->spec);
	memset(r->new_disks, 0, sizeof(r->new_disks));
	return spec_load(value, &r->spec, e);
}

/* ---- values with settings: "FIRST,key=value,flag" ------------------------------------------- */

/*
 * Cuts the next part off *rest, which becomes NULL at the end. Modifies the text: two commas are
 * one of a file's name.
 */
static char *next_part(char **rest)
{
	char *part = *rest, *from = part, *to = part;

	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		*to++ = *from++;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return part;
}

/* "bootindex=N" of a disk or network. */
static int set_bootindex(unsigned *index, const char *value, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n < 1 || n > 99)
		return err_set(e, -EINVAL, "bootindex=%s is not a number from 1 to 99", value);
	*index = (unsigned)n;
	return 0;
}

static int set_rate(int64_t *field, const char *value, struct err *e)
{
	uint64_t n;

	if (num_parse_size(value, 1, &n, e))
		return e->code;
	*field = (int64_t)n;
	return 0;
}

static const struct {
	const char *name;
	size_t offset;
} disk_texts[] =
	{
		{"format", offsetof(struct spec_disk, format)},
		{"bus", offsetof(struct spec_disk, bus)},
		{"cache", offsetof(struct spec_disk, cache)},
		{"allow-backing", offsetof(struct spec_disk, allow_backing)},
},
  disk_rates[] = {
	  {"bps", offsetof(struct spec_disk, bps)},
	  {"iops", offsetof(struct spec_disk, iops)},
	  {"burst", offsetof(struct spec_disk, burst)},
};

/* "key=value": the value, if it is that key. */
static const char *value_of(const char *part, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(part, key, n) && part[n] == '=' ? part + n + 1 : NULL;
}

static int disk_setting(struct spec_disk *d, const char *part, struct err *e)
{
	const char *value;

	for (size_t i = 0; i < sizeof(disk_texts) / sizeof(disk_texts[0]); i++)
		if ((value = value_of(part, disk_texts[i].name)))
			return set_text((char **)((char *)d + disk_texts[i].offset), value, e);
	for (size_t i = 0; i < sizeof(disk_rates) / sizeof(disk_rates[0]); i++)
		if ((value = value_of(part, disk_rates[i].name)))
			return set_rate((int64_t *)((char *)d + disk_rates[i].offset), value, e);
	if ((value = value_of(part, "bootindex")))
		return set_bootindex(&d->bootindex, value, e);
	if (!strcmp(part, "ro"))
		d->readonly = true;
	else if (!strcmp(part, "detect-zeroes"))
		d->detect_zeroes = true;
	else
		return err_set(e, -EINVAL,
			       "\"%s\" is not a setting of a disk; ro, format=raw|qcow2|vdi, "
			       "bus=virtio|ahci|nvme, bootindex=N, cache=writeback|none, "
			       "detect-zeroes, bps=N, iops=N, burst=SECONDS and "
			       "allow-backing=FOLDER are",
			       part);
	return 0;
}

static int new_disk(const char *size, uint64_t *bytes, struct err *e)
{
	if (num_parse_size(size, MIB, bytes, e))
		return e->code;
	if (!*bytes || *bytes % 512)
		return err_set(e, -EINVAL, "size=%s is not a whole number of sectors", size);
	return 0;
}

/* The first part is a file, or the size of one that is to be made. */
static int fill_disk(struct spec_disk *d, uint64_t *bytes, char *rest, struct err *e)
{
	const char *first = next_part(&rest);
	int rc = strncmp(first, "size=", 5) ? set_text(&d->path, first, e)
					    : new_disk(first + 5, bytes, e);

	while (rest && !rc)
		rc = disk_setting(d, next_part(&rest), e);
	return rc;
}

int run_add_disk(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;
	struct spec *s = &r->spec;
	unsigned i = s->ndisks;
	char *copy;
	int rc;

	if (i == SPEC_MAX_DISKS)
		return err_set(e, -E2BIG, "more than %d disks", SPEC_MAX_DISKS);
	copy = strdup(value);
	s->ndisks++;
	rc = copy ? fill_disk(&s->disks[i], &r->new_disks[i], copy, e)
		  : err_set(e, -ENOMEM, "out of memory");
	free(copy);
	return rc;
}

/* A drive that is there without a disc: --cdrom none. */
static int set_cdrom(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;
	bool empty = !strcmp(value, "none");

	if (run_add_disk(context, value, e))
		return e->code;
	s->disks[s->ndisks - 1].cdrom = s->disks[s->ndisks - 1].readonly = true;
	if (empty) {
		free(s->disks[s->ndisks - 1].path);
		s->disks[s->ndisks - 1].path = NULL;
	}
	return 0;
}

/* Classes of devices, and perhaps the word "menu". */
static int set_boot(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;
	char *order = calloc(1, strlen(value) + 1), *copy = strdup(value), *rest = copy;
	int rc = order && copy ? 0 : err_set(e, -ENOMEM, "out of memory");

	while (rest && !rc) {
		const char *word = next_part(&rest);

		if (!strcmp(word, "menu")) {
			s->boot_menu = true;
			continue;
		}
		strcat(order, *order ? "," : "");
		strcat(order, word);
	}
	if (!rc && *order)
		rc = set_text(&s->boot_order, order, e);
	free(copy);
	free(order);
	return rc;
}

static int set_mac(uint8_t mac[6], const char *text, struct err *e)
{
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &used) != 6 ||
	    used != 17 || text[used])
		return err_set(e, -EINVAL, "\"%s\" is not of the form 52:54:00:12:34:56", text);
	return 0;
}

static int net_setting(struct spec_net *n, const char *part, struct err *e)
{
	if (!strncmp(part, "model=", 6))
		return set_text(&n->model, part + 6, e);
	if (!strncmp(part, "bootindex=", 10))
		return set_bootindex(&n->bootindex, part + 10, e);
	if (!strncmp(part, "mac=", 4))
		return set_mac(n->mac, part + 4, e);
	if (strncmp(part, "forward=", 8))
		return err_set(
			e, -EINVAL,
			"\"%s\" is not a setting of a network; model=virtio|e1000, "
			"mac=ADDRESS, bootindex=N and forward=tcp:[ADDRESS:]HOSTPORT:GUESTPORT are",
			part);
	if (!spec_forward_ok(part + 8))
		return err_set(e, -EINVAL,
			       "\"%s\" is not of the form tcp:[ADDRESS:]HOSTPORT:GUESTPORT or "
			       "udp:...",
			       part + 8);
	if (n->nforwards == SPEC_MAX_FORWARDS)
		return err_set(e, -E2BIG, "more than %d forwards", SPEC_MAX_FORWARDS);
	return set_text(&n->forwards[n->nforwards++], part + 8, e);
}

/* "user", or what it is with its name behind: "bridge=br0". */
static int set_net_type(struct spec_net *n, const char *text, struct err *e)
{
	static const char *const named[] = {"bridge", "network", "internal"};

	if (!strcmp(text, "user"))
		return set_text(&n->type, text, e);
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		size_t len = strlen(named[i]);

		if (strncmp(text, named[i], len) || text[len] != '=')
			continue;
		/* Other VMs are there: the usual address would not be the only one. */
		if (getrandom(n->mac + 3, 3, 0) != 3 || set_text(&n->type, named[i], e))
			return err_set(e, -EIO, "no random numbers");
		return set_text(&n->name, text + len + 1, e);
	}
	return err_set(
		e, -EINVAL,
		"\"%s\" is not a network; user, bridge=NAME, network=NAME, internal=NAME and "
		"none are",
		text);
}

static int add_net(struct spec *s, char *rest, struct err *e)
{
	const char *type = next_part(&rest);
	struct spec_net *n = &s->nets[s->nnets];
	int rc;

	if (!strcmp(type, "none") && !rest)
		return 0;
	if (s->nnets == SPEC_MAX_NETS)
		return err_set(e, -E2BIG, "more than %d networks", SPEC_MAX_NETS);
	n->fd = n->hold = -1;
	spec_default_mac(n->mac, s->nnets++);
	rc = set_net_type(n, type, e);
	while (rest && !rc)
		rc = net_setting(n, next_part(&rest), e);
	return rc;
}

static int set_net(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;
	char *copy = strdup(value);
	int rc = copy ? add_net(s, copy, e) : err_set(e, -ENOMEM, "out of memory");

	free(copy);
	return rc;
}

static int device_setting(struct spec_device *d, char *part, struct err *e)
{
	char *equals = strchr(part, '=');

	if (!equals || equals == part)
		return err_set(e, -EINVAL, "\"%s\" is not of the form key=value", part);
	*equals = '\0';
	if (!strcmp(part, "name"))
		return err_set(e, -EINVAL, "\"name\" is not a setting of a device");
	if (d->nprops == DEVICE_MAX_PROPS)
		return err_set(e, -E2BIG, "more than %d settings", DEVICE_MAX_PROPS);
	d->nprops++;
	if (set_text(&d->key[d->nprops - 1], part, e))
		return e->code;
	return set_text(&d->value[d->nprops - 1], equals + 1, e);
}

static int fill_device(struct spec_device *d, char *rest, struct err *e)
{
	int rc = set_text(&d->name, next_part(&rest), e);

	while (rest && !rc)
		rc = device_setting(d, next_part(&rest), e);
	return rc;
}

static int set_device(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;
	struct spec *s = &r->spec;
	char *copy;
	int rc;

	if (!strcmp(value, "help")) {
		r->list_devices = true;
		return 0;
	}
	if (s->ndevices == SPEC_MAX_DEVICES)
		return err_set(e, -E2BIG, "more than %d devices", SPEC_MAX_DEVICES);
	copy = strdup(value);
	rc = copy ? fill_device(&s->devices[s->ndevices++], copy, e)
		  : err_set(e, -ENOMEM, "out of memory");
	free(copy);
	return rc;
}

const struct cli_option run_options[] = {
	{"kernel", "FILE", "Linux bzImage, PVH ELF or multiboot kernel", set_kernel},
	{"initrd", "FILE", "initial file system for the kernel", set_initrd},
	{"append", "\"ARGS\"", "the kernel's command line", set_append},
	{"module", "\"FILE ARGS\"", "multiboot module (repeatable)", set_module},
	{"firmware", "bios|uefi|FILE", "what starts instead of a kernel: SeaBIOS, OVMF, own (bios)",
	 set_firmware},
	{"nvram", "FILE", "keeps UEFI's variables; made when missing", set_nvram},
	{"boot", "CLASS[,CLASS][,menu]", "firmware's order of disk, cdrom and net; its boot menu",
	 set_boot},
	{"memory", "SIZE", "RAM, as in 512M or 2G; a bare number is MiB (512M)", set_memory},
	{"cpus", "N", "virtual processors (1)", set_cpus},
	{"cpu-shares", "N",
	 "its part of the host's CPU time beside others' 100, when all want it (100)",
	 set_cpu_shares},
	{"cpu-cap", "PERCENT", "at most this much CPU time, 100 is one host CPU (0: no limit)",
	 set_cpu_cap},
	{"cpu", "baseline|v3|v4|host", "what the processors look like (baseline)", set_cpu_model},
	{"engine", "auto|kvm|bt[,tier=interp|translate|lockstep][,flags=exact]",
	 "how the guest's code runs (auto)", set_engine},
	{"disk", "FILE|size=SIZE[,ro][,format=NAME][,bus=virtio|ahci|nvme][,SETTING...]",
	 "disk image or block device, or a new disk (repeatable)", run_add_disk},
	{"cdrom", "FILE|none[,bootindex=N]", "CD-ROM drive with an ISO image (repeatable)",
	 set_cdrom},
	{"net",
	 "user|bridge=NAME|network=NAME|internal=NAME|none[,model=virtio|e1000][,mac=ADDRESS]"
	 "[,forward=tcp:[ADDRESS:]HOSTPORT:GUESTPORT]",
	 "one more network card (repeatable): on the host's own network, with forwarded ports; on "
	 "a "
	 "bridge of the host; on a network of `baton net`; on one for VMs only",
	 set_net},
	{"serial", "WHERE", "stdio, none, file:PATH or unix:PATH (stdio)", set_serial},
	{"display", "WHAT",
	 "none, vga, vnc, vnc=unix:PATH or vnc=HOST:PORT[,password-file=FILE]...", set_display},
	{"device", "NAME[,KEY=VALUE]", "one more device (repeatable); help lists them", set_device},
	{"no-reboot", NULL, "end when the guest reboots", set_reboot},
	{"restore", "FILE", "go on from this saved state instead of booting", set_restore},
	{"sandbox", "auto|on|off",
	 "what the VM's process gives up: what this host can take, all or an error, nothing (auto)",
	 set_sandbox},
	{"trace", "KIND[,KIND]",
	 "print what happens: exits and, with engine bt, events (exceptions, interrupts), code",
	 set_trace},
	{"gdb", "PORT|unix:PATH[,wait][,i386]",
	 "listen for a debugger; wait: do not start before it says so", set_gdb},
	{"spec", "FILE", "start from the settings in this JSON file; later options change them",
	 set_spec},
	CLI_END,
};
