/* SPDX-License-Identifier: Apache-2.0 */
/* baton edit: a definition in the user's editor, checked before it takes the old one's place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "manager/vm.h"

/* A copy of the definition; it stays where it is when an edit is given up, so no work is lost. */
static int write_copy(const char *name, const char *text, char path[512], struct err *e)
{
	const char *folder = getenv("TMPDIR");
	size_t len = strlen(text);
	int fd, n;

	n = snprintf(path, 512, "%s/baton-%s-XXXXXX.json", folder && *folder ? folder : "/tmp",
		     name);
	if (n >= 512)
		return err_set(e, -ENAMETOOLONG, "TMPDIR: too long");
	fd = mkstemps(path, 5);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		err_set(e, -errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	close(fd);
	return 0;
}

/* $VISUAL and $EDITOR may have arguments: a shell takes them apart. */
static int run_editor(const char *path, struct err *e)
{
	static const char command[] = "eval \"${VISUAL:-${EDITOR:-vi}} \\\"\\$1\\\"\"";
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return err_set(e, -errno, "fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "editor: %s", strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return err_set(e, -ECHILD, "the editor failed; nothing is changed");
}

/* One round: edit, then put in place. -EAGAIN: nothing was changed. */
static int edit_once(struct manager *m, const char *name, const char *old, const char *path,
		     struct err *e)
{
	char *text;
	size_t len;
	int rc = run_editor(path, e);

	if (!rc)
		rc = file_read(path, SPEC_MAX_FILE, &text, &len, e);
	if (rc)
		return rc;
	rc = strcmp(text, old) ? vm_replace_text(m, name, old, text, e) : -EAGAIN;
	free(text);
	return rc;
}

/* An error keeps the text for the user and says where. */
static int give_up(const char *path, struct err *e)
{
	struct err why = *e;

	return err_set(e, why.code, "%.280s (your text: %.100s)", why.text, path);
}

static int edit_until_good(struct manager *m, const char *name, const char *old, struct err *e)
{
	char path[512];
	int rc = write_copy(name, old, path, e);

	if (rc)
		return rc;
	do {
		rc = edit_once(m, name, old, path, e);
	} while (rc == -EINVAL && cli_ask("baton: %s\nEdit again?", e->text));
	if (rc && rc != -EAGAIN)
		return give_up(path, e);
	unlink(path);
	if (rc == -EAGAIN)
		fprintf(stderr, "baton: nothing was changed\n");
	else
		cli_say_when(m, name);
	return 0;
}

static int edit_vm(struct manager *m, const char *name, struct err *e)
{
	char resolved[64], *old;
	int rc = vm_read_text(m, name, resolved, &old, e);

	if (rc)
		return rc;
	rc = edit_until_good(m, resolved, old, e);
	free(old);
	return rc;
}

static int edit(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = edit_vm(m, operands[0], e);
	manager_close(m);
	return rc;
}

const struct cli_verb cli_edit = {
	.name = "edit",
	.operands = "NAME",
	.help = "change a virtual machine's definition in $VISUAL or $EDITOR",
	.example = "EDITOR=nano baton edit web",
	.min = 1,
	.max = 1,
	.run = edit,
};
