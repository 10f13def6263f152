/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs for a VM's screen and keyboard: screenshot, sendkey, view. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "manager/vm.h"

struct screen_context {
	bool text;        /* screenshot --text */
	bool address;     /* view --address */
	const char *type; /* sendkey --text TEXT */
};

/* ---- screenshot ----------------------------------------------------------------------------- */

static int print_text(const char *name, struct err *e)
{
	json_t *result = NULL;

	if (cli_call(name, "screen_text", NULL, &result, e))
		return e->code;
	fputs(json_string_value(json_object_get(result, "text")), stdout);
	json_decref(result);
	return CLI_OK;
}

/*
 * The VM may not open every file (vmm/sandbox/sandbox.h): it gets one open. It needs the name on
 * kernels that cannot hand it over, and then it must be UTF-8.
 */
static int take_picture(const char *name, const char *file, int fd, struct err *e)
{
	json_t *params = json_pack("{s:s}", "path", file);

	if (!params)
		params = json_pack("{s:s}", "path", "picture");
	return cli_call_fd(name, "screenshot", params, fd, NULL, e);
}

/* A new file is renamed at the end: a reader never sees half a picture. */
static int replace_picture(const char *name, const char *file, struct err *e)
{
	char temporary[PATH_MAX];
	mode_t mask = umask(0);
	int fd, rc;

	umask(mask);
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", file) >= sizeof(temporary))
		return err_set(e, -ENAMETOOLONG, "%s: too long", file);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	fchmod(fd, 0666 & ~mask);
	rc = take_picture(name, temporary, fd, e);
	close(fd);
	if (!rc && rename(temporary, file))
		rc = err_set(e, -errno, "%s: %s", file, strerror(errno));
	if (rc)
		unlink(temporary);
	return rc;
}

static int copy(int from, int to, const char *file, struct err *e)
{
	char part[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, part, sizeof(part), at)) > 0) {
		n = write(to, part, (size_t)n);
		if (n < 0)
			break;
		at += n;
	}
	return n < 0 ? err_set(e, -errno, "%s: %s", file, strerror(errno)) : 0;
}

/* In the VM's folder, where its process may write on every kernel. */
static int open_aside(const char *name, char path[512], struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e), fd;

	if (rc)
		return rc;
	rc = vm_file(m, name, "picture.XXXXXX", path, e);
	manager_close(m);
	if (rc)
		return rc;
	fd = mkostemp(path, O_CLOEXEC);
	return fd < 0 ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : fd;
}

/* The VM would stand still until somebody reads a pipe: it writes to a file of its own. */
static int copy_picture(const char *name, const char *file, int to, struct err *e)
{
	char aside[512];
	int fd = open_aside(name, aside, e), rc;

	if (fd < 0)
		return fd;
	rc = take_picture(name, aside, fd, e);
	unlink(aside); /* before a pipe's reader that goes away ends this process */
	if (!rc)
		rc = copy(fd, to, file, e);
	close(fd);
	return rc;
}

/* "-", pipes, devices and what links point to are written where they are. */
static int save_picture(const char *name, const char *file, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (!strcmp(file, "-"))
		return copy_picture(name, "standard output", STDOUT_FILENO, e);
	if (lstat(file, &st) || S_ISREG(st.st_mode))
		return replace_picture(name, file, e);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	rc = copy_picture(name, file, fd, e);
	close(fd);
	return rc;
}

static int screenshot(void *context, char **operands, struct err *e)
{
	bool text = ((struct screen_context *)context)->text;

	if (text == (operands[1] != NULL))
		return err_set(e, -EINVAL,
			       text ? "--text prints to the terminal; leave the file out"
				    : "the name of the PNG file is missing");
	return text ? print_text(operands[0], e) : save_picture(operands[0], operands[1], e);
}

static const struct cli_option screenshot_options[] = {
	CLI_FLAG("text", "print the characters of a text mode instead", struct screen_context,
		 text),
	CLI_END,
};

const struct cli_verb cli_screenshot = {
	.name = "screenshot",
	.operands = "NAME [FILE.png|-]",
	.help = "save what a virtual machine's screen shows",
	.example = "baton screenshot web screen.png",
	.min = 1,
	.max = 2,
	.options = screenshot_options,
	.context_size = sizeof(struct screen_context),
	.run = screenshot,
};

/* ---- sendkey -------------------------------------------------------------------------------- */

#define MAX_KEYS 256

static int set_type(void *context, const char *value, struct err *e)
{
	(void)e;
	((struct screen_context *)context)->type = value;
	return 0;
}

static int sendkey(void *context, char **operands, struct err *e)
{
	const char *text = ((struct screen_context *)context)->type;
	json_t *keys = json_array(), *params;

	for (char **key = operands + 1; *key; key++)
		json_array_append_new(keys, json_string(*key));
	if (!text == !json_array_size(keys)) {
		json_decref(keys);
		return err_set(e, -EINVAL, "give either keys, such as ctrl-alt-delete, or --text");
	}
	params = text ? json_pack("{s:s}", "text", text) : json_pack("{s:O}", "keys", keys);
	json_decref(keys);
	if (!params)
		return err_set(e, -EINVAL, "a text that is not UTF-8 cannot be typed");
	return cli_call(operands[0], "sendkey", params, NULL, e);
}

static const struct cli_option sendkey_options[] = {
	{.name = "text", .argument = "TEXT", .help = "type these characters", .set = set_type},
	CLI_END,
};

const struct cli_verb cli_sendkey = {
	.name = "sendkey",
	.operands = "NAME [KEY[-KEY]...]...",
	.help = "press keys of a virtual machine's keyboard",
	.example = "baton sendkey web ctrl-alt-delete\n"
		   "baton sendkey web --text root && baton sendkey web ret",
	.min = 1,
	.max = 1 + MAX_KEYS,
	.options = sendkey_options,
	.context_size = sizeof(struct screen_context),
	.run = sendkey,
};

/* ---- view ----------------------------------------------------------------------------------- */

/* In the order of preference; some want URLs. */
static const struct viewer {
	const char *program;
	bool wants_url;
} viewers[] = {
	{"remote-viewer", true},
	{"xtigervncviewer", false},
	{"vncviewer", false},
};

/* With a port behind two colons: behind one, some viewers take it for a display's number. */
static void double_colon(char *out, size_t size, const char *address)
{
	const char *colon = strrchr(address, ':');

	snprintf(out, size, "%.*s:%s", colon ? (int)(colon - address) : 0, address,
		 colon ? colon : "");
}

/* Returns only when the program is not there. */
static void try_viewer(const struct viewer *v, const char *address)
{
	bool is_unix = !strncmp(address, "unix:", 5);
	const char *path = is_unix ? address + 5 : address;
	char argument[PATH_MAX];

	if (v->wants_url)
		snprintf(argument, sizeof(argument), "%s%s", is_unix ? "vnc+unix://" : "vnc://",
			 path);
	else if (is_unix)
		snprintf(argument, sizeof(argument), "%s", path);
	else
		double_colon(argument, sizeof(argument), address);
	execlp(v->program, v->program, argument, (char *)NULL);
}

static int view(void *context, char **operands, struct err *e)
{
	json_t *result = NULL;
	const char *address;
	int rc;

	if (cli_call(operands[0], "display", NULL, &result, e))
		return e->code;
	address = json_string_value(json_object_get(result, "vnc"));
	if (address && ((struct screen_context *)context)->address) {
		puts(address);
		json_decref(result);
		return CLI_OK;
	}
	for (size_t i = 0; address && i < sizeof(viewers) / sizeof(viewers[0]); i++)
		try_viewer(&viewers[i], address);
	rc = address ? err_set(e, -ENOENT,
			       "no VNC viewer is installed; install tigervnc-viewer or "
			       "virt-viewer, "
			       "or point one at %s",
			       address)
		     : err_set(e, -ENODEV, "%s serves no screen; start it with --display vnc",
			       operands[0]);
	json_decref(result);
	return rc;
}

static const struct cli_option view_options[] = {
	CLI_FLAG("address", "only print where the screen is served", struct screen_context,
		 address),
	CLI_END,
};

const struct cli_verb cli_view = {
	.name = "view",
	.operands = "NAME",
	.help = "open a viewer on a virtual machine's screen",
	.example = "baton view web",
	.min = 1,
	.max = 1,
	.options = view_options,
	.context_size = sizeof(struct screen_context),
	.run = view,
};
