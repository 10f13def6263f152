/* SPDX-License-Identifier: Apache-2.0 */
/* baton run: options to a machine description, then this process becomes baton-vmm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "manager/vm.h"

void run_context_init(void *context)
{
	struct run_context *r = context;

	spec_init(&r->spec);
}

void run_context_fini(void *context)
{
	struct run_context *r = context;

	spec_free(&r->spec);
}

static int print_spec(const struct spec *s, struct err *e)
{
	char *text = spec_print(s);

	if (!text)
		return err_set(e, -EINVAL, "a file's name or another text is not UTF-8");
	puts(text);
	free(text);
	return CLI_OK;
}

int list_devices(struct err *e)
{
	char *vmm;
	int rc = manager_find_vmm(&vmm, e);

	if (rc)
		return rc;
	execl(vmm, "baton-vmm", "--devices", (char *)NULL);
	rc = err_set(e, -errno, "%s: %s", vmm, strerror(errno));
	free(vmm);
	return rc;
}

/* Starts what the VM's networks need and then turns into the VM. Returns only on an error. */
static int become_vm(struct manager *m, struct spec *s, struct err *e)
{
	char *vmm = NULL, *spec_path = NULL;
	int rc = manager_find_vmm(&vmm, e);

	if (!rc)
		rc = manager_start_nets(m, s, e);
	if (!rc)
		rc = manager_save_spec(m, s, &spec_path, e);
	if (!rc)
		rc = manager_limit_cpu(s, e);
	if (!rc)
		rc = manager_limit_memory(s, e);
	if (!rc) {
		execl(vmm, "baton-vmm", spec_path, (char *)NULL);
		rc = err_set(e, -errno, "%s: %s", vmm, strerror(errno));
	}
	free(spec_path);
	free(vmm);
	return rc;
}

int run_make_absolute(struct spec *s, struct err *e)
{
	char *cwd = getcwd(NULL, 0);
	int rc = cwd ? spec_rebase(s, cwd, e)
		     : err_set(e, -errno, "the current folder: %s", strerror(errno));

	free(cwd);
	return rc;
}

static int check_disks(const struct run_context *r, struct err *e)
{
	for (unsigned i = 0; i < r->spec.ndisks; i++)
		if (r->new_disks[i])
			return err_set(e, -EINVAL,
				       "--disk: size= is for VMs that are kept: see `baton create "
				       "--help`");
	return 0;
}

static int start(struct spec *s, struct err *e)
{
	struct manager *m;
	int lock_fd, rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = manager_register(m, s, &lock_fd, e);
	if (!rc) {
		cli_warn_memory(s->name, s->memory);
		rc = become_vm(m, s, e);
		manager_unregister(m, s, lock_fd);
	}
	manager_close(m);
	return rc;
}

static int run(void *context, char **operands, struct err *e)
{
	struct run_context *r = context;
	struct spec *s = &r->spec;

	(void)operands;
	if (r->list_devices)
		return list_devices(e);
	if (check_disks(r, e) || spec_check(s, e))
		return e->code;
	if (r->print_spec)
		return print_spec(s, e);
	if (run_make_absolute(s, e) || manager_check_files(s, e))
		return e->code;
	return start(s, e);
}

static int set_name(void *context, const char *value, struct err *e)
{
	struct run_context *r = context;

	free(r->spec.name);
	r->spec.name = strdup(value);
	return r->spec.name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static const struct cli_option options[] = {
	{"name", "NAME", "for `baton ps` and the other verbs (vm-1, vm-2, ...)", set_name},
	CLI_FLAG("print-spec", "print what the options amount to and end", struct run_context,
		 print_spec),
	CLI_END,
};

const struct cli_verb cli_run = {
	.name = "run",
	.operands = "",
	.help = "start a virtual machine in the foreground",
	.example = "baton run --kernel vmlinuz --initrd initrd.gz --append console=ttyS0",
	.options = options,
	.shared = {run_options},
	.context_size = sizeof(struct run_context),
	.init = run_context_init,
	.run = run,
	.fini = run_context_fini,
};
