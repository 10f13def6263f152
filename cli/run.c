/* SPDX-License-Identifier: Apache-2.0 */
/* baton run: options to a machine description, then this process becomes baton-vmm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "manager/manager.h"

static void init(void *context)
{
	struct run_context *r = context;

	spec_init(&r->spec);
}

static void fini(void *context)
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

static int list_devices(struct err *e)
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

static int check_file(const char *what, const char *path, int mode, struct err *e)
{
	if (path && access(path, mode))
		return err_set(e, -errno, "%s %s: %s", what, path, strerror(errno));
	return 0;
}

static int check_module(const char *text, struct err *e)
{
	char *path = strndup(text, strcspn(text, " "));
	int rc = path ? check_file("module", path, R_OK, e) : err_set(e, -ENOMEM, "out of memory");

	free(path);
	return rc;
}

/* A missing file is found here, before the VM has a name and a folder. */
static int check_files(const struct spec *s, struct err *e)
{
	int rc = check_file("kernel", s->kernel, R_OK, e);

	if (!rc)
		rc = check_file("initrd", s->initrd, R_OK, e);
	if (!rc)
		rc = check_file("firmware", s->firmware, R_OK, e);
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = check_module(s->modules[i], e);
	for (unsigned i = 0; i < s->ndisks && !rc; i++)
		rc = check_file("disk", s->disks[i].path, s->disks[i].readonly ? R_OK : R_OK | W_OK,
				e);
	return rc;
}

/* Starts what the VM's networks need and then turns into the VM. Returns only on an error. */
static int become_vm(struct manager *m, struct spec *s, struct err *e)
{
	char *vmm = NULL, *spec_path = NULL;
	int rc = manager_find_vmm(&vmm, e);

	for (unsigned i = 0; i < s->nnets && !rc; i++)
		if (s->nets[i].fd < 0)
			rc = manager_start_passt(&s->nets[i], &s->nets[i].fd, e);
	if (!rc)
		rc = manager_save_spec(m, s, &spec_path, e);
	if (!rc) {
		execl(vmm, "baton-vmm", spec_path, (char *)NULL);
		rc = err_set(e, -errno, "%s: %s", vmm, strerror(errno));
	}
	free(spec_path);
	free(vmm);
	return rc;
}

/* `baton console` may be called in another folder. */
static int make_serial_absolute(struct spec *s, struct err *e)
{
	char *cwd, *text;
	int n;

	if (strncmp(s->serial, "unix:", 5) || s->serial[5] == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_set(e, -errno, "the current folder: %s", strerror(errno));
	n = asprintf(&text, "unix:%s/%s", cwd, s->serial + 5);
	free(cwd);
	if (n < 0)
		return err_set(e, -ENOMEM, "out of memory");
	free(s->serial);
	s->serial = text;
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
	if (spec_check(s, e))
		return e->code;
	if (r->print_spec)
		return print_spec(s, e);
	if (check_files(s, e) || make_serial_absolute(s, e))
		return e->code;
	return start(s, e);
}

const struct cli_verb cli_run = {
	.name = "run",
	.operands = "",
	.help = "start a virtual machine in the foreground",
	.options = run_options,
	.context_size = sizeof(struct run_context),
	.init = init,
	.run = run,
	.fini = fini,
};
