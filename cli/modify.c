/* SPDX-License-Identifier: Apache-2.0 */
/* baton modify, disk attach, disk detach and rename: changes of definitions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "manager/vm.h"

/* ---- modify --------------------------------------------------------------------------------- */

struct modify_context {
	struct define_context define; /* first: the shared options change what was loaded */
	struct manager *m;
	char name[64];
	bool begun;
};

/* What create's options mean here: they change the machine that there is. */
static int prepare_modify(void *context, char **operands, struct err *e)
{
	struct modify_context *c = context;
	struct definition d;
	int rc = manager_open(&c->m, e);

	if (rc)
		return rc;
	definition_init(&d);
	rc = vm_begin(c->m, operands[0], c->name, &d, e);
	c->begun = !rc;
	define_take(&c->define, &d);
	return rc;
}

static int modify(void *context, char **operands, struct err *e)
{
	struct modify_context *c = context;
	struct definition d;
	int rc;

	(void)operands;
	if (c->define.run.list_devices)
		return list_devices(e);
	rc = define_give(&c->define, &d, e);
	if (!rc) {
		c->begun = false;
		rc = vm_commit(c->m, c->name, &d, c->define.run.new_disks, e);
	}
	if (!rc)
		cli_say_when(c->m, c->name);
	definition_free(&d);
	return rc;
}

static void fini_modify(void *context)
{
	struct modify_context *c = context;

	if (c->begun)
		vm_abort(c->m);
	if (c->m)
		manager_close(c->m);
	define_fini(&c->define);
}

/* Index of the element that `text` means: its number, or where `is` says so. -1: none. */
static int find_index(const char *text, unsigned n, const struct spec *s,
		      bool (*is)(const struct spec *s, unsigned i, const char *text))
{
	char *end;
	unsigned long i = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end)
		return i < n ? (int)i : -1;
	for (unsigned k = 0; k < n; k++)
		if (is(s, k, text))
			return (int)k;
	return -1;
}

static bool is_disk(const struct spec *s, unsigned i, const char *text)
{
	const char *path = s->disks[i].path, *slash = path ? strrchr(path, '/') : NULL;

	return path && (!strcmp(path, text) || (slash && !strcmp(slash + 1, text)));
}

static int remove_disk(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;
	int i = find_index(value, r->spec.ndisks, &r->spec, is_disk);

	if (i < 0)
		return err_set(e, -ENOENT, "there is no disk \"%s\"; `baton info` lists them",
			       value);
	spec_remove_disk(&r->spec, (unsigned)i);
	memmove(&r->new_disks[i], &r->new_disks[i + 1],
		(SPEC_MAX_DISKS - 1 - (size_t)i) * sizeof(r->new_disks[0]));
	return 0;
}

static bool is_net(const struct spec *s, unsigned i, const char *text)
{
	const uint8_t *a = s->nets[i].mac;
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4],
		 a[5]);
	return !strcmp(mac, text);
}

static int remove_net(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;
	int i = find_index(value, s->nnets, s, is_net);

	if (i < 0)
		return err_set(e, -ENOENT, "there is no network \"%s\"; `baton info` lists them",
			       value);
	spec_remove_net(s, (unsigned)i);
	return 0;
}

static bool is_device(const struct spec *s, unsigned i, const char *text)
{
	return s->devices[i].name && !strcmp(s->devices[i].name, text);
}

static int remove_device(void *context, const char *value, struct err *e)
{
	struct spec *s = &((struct run_context *)context)->spec;
	int i = find_index(value, s->ndevices, s, is_device);

	if (i < 0)
		return err_set(e, -ENOENT, "there is no device \"%s\"; `baton info` lists them",
			       value);
	spec_remove_device(s, (unsigned)i);
	return 0;
}

static int set_reboot(void *context, const char *value, struct err *e)
{
	(void)value, (void)e;
	((struct run_context *)context)->spec.reboot = true;
	return 0;
}

static const struct cli_option modify_options[] = {
	{"disk-remove", "N|FILE", "take a disk out; its file stays (repeatable)", remove_disk},
	{"net-remove", "N|ADDRESS", "take a network out (repeatable)", remove_net},
	{"device-remove", "N|NAME", "take a device out (repeatable)", remove_device},
	{"reboot", NULL, "restart when the guest reboots: undoes --no-reboot", set_reboot},
	CLI_END,
};

const struct cli_verb cli_modify = {
	.name = "modify",
	.operands = "NAME",
	.help = "change what a virtual machine is, from its next start on",
	.details =
		"The options of `baton create` change what is there; --disk, --net, --device and "
		"--module add one more. An empty value takes a kernel, initrd, append or firmware "
		"out.",
	.example = "baton modify web --memory 4G --cpus 4 --disk size=100G --disk-remove 1",
	.min = 1,
	.max = 1,
	.wants_option = true,
	.options = modify_options,
	.shared = {define_options, run_options},
	.context_size = sizeof(struct modify_context),
	.prepare = prepare_modify,
	.run = modify,
	.fini = fini_modify,
};

/* ---- disk attach, disk detach --------------------------------------------------------------- */

static int attach_disk(void *context, char **operands, struct err *e)
{
	int rc = run_add_disk(context, operands[1], e);

	return rc ? rc : modify(context, operands, e);
}

static int detach_disk(void *context, char **operands, struct err *e)
{
	int rc = remove_disk(context, operands[1], e);

	return rc ? rc : modify(context, operands, e);
}

const struct cli_verb cli_disk_attach = {
	.name = "disk attach",
	.operands = "NAME FILE[,SETTING...]",
	.help = "give a virtual machine one more disk, from its next start on",
	.details = "The settings are those of `baton run --disk`.",
	.example = "baton disk attach web data.qcow2,iops=500",
	.min = 2,
	.max = 2,
	.context_size = sizeof(struct modify_context),
	.prepare = prepare_modify,
	.run = attach_disk,
	.fini = fini_modify,
};

const struct cli_verb cli_disk_detach = {
	.name = "disk detach",
	.operands = "NAME FILE|N",
	.help = "take a disk out of a virtual machine; the file stays",
	.example = "baton disk detach web data.qcow2",
	.min = 2,
	.max = 2,
	.context_size = sizeof(struct modify_context),
	.prepare = prepare_modify,
	.run = detach_disk,
	.fini = fini_modify,
};

/* ---- rename --------------------------------------------------------------------------------- */

static int rename_vm(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = vm_rename(m, operands[0], operands[1], e);
	manager_close(m);
	return rc;
}

const struct cli_verb cli_rename = {
	.name = "rename",
	.operands = "NAME NEW-NAME",
	.help = "give a virtual machine that does not run another name",
	.example = "baton rename web www",
	.min = 2,
	.max = 2,
	.run = rename_vm,
};
