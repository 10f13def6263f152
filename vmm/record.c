/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "vmm/machine.h"

#define RECORD_MAX 4096

static void copy_text(char *out, size_t size, json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	snprintf(out, size, "%s", text ? text : "");
}

static void unpack(json_t *o, struct record *r)
{
	json_t *status = json_object_get(o, "exit_status");

	copy_text(r->state, sizeof(r->state), o, "state");
	copy_text(r->reason, sizeof(r->reason), o, "reason");
	r->exit_status = json_is_integer(status) ? (int)json_integer_value(status) : -1;
	r->since = json_integer_value(json_object_get(o, "since"));
	r->id = (unsigned long)json_integer_value(json_object_get(o, "id"));
}

int record_read(const char *path, struct record *r, struct err *e)
{
	char *text;
	size_t len;
	json_t *o;
	int rc = file_read(path, RECORD_MAX, &text, &len, e);

	if (rc)
		return rc;
	o = json_loadb(text, len, 0, NULL);
	free(text);
	if (!json_is_object(o))
		rc = err_set(e, -EINVAL, "%s: not the record of a run", path);
	else
		unpack(o, r);
	json_decref(o);
	return rc;
}

/*
 * On a full disk: in the place of the old text, which takes no room. The blanks behind it are what
 * the old text was longer. Should the host die in between, the record is lost and no more.
 */
static int overwrite(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), len = -1;
	char padded[RECORD_MAX + 1];
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_size <= RECORD_MAX)
		len = snprintf(padded, sizeof(padded), "%-*s", (int)st.st_size, text);
	if (len < 0 || len > RECORD_MAX || pwrite(fd, padded, (size_t)len, 0) != len)
		len = -ENOSPC;
	close(fd);
	return len < 0 ? len : 0;
}

int record_write(const char *path, struct record *r, struct err *e)
{
	json_t *o;
	char *text;
	int rc;

	r->since = time(NULL);
	o = json_pack("{s:s, s:s, s:I, s:I}", "state", r->state, "reason", r->reason, "since",
		      (json_int_t)r->since, "id", (json_int_t)r->id);
	if (r->exit_status >= 0)
		json_object_set_new(o, "exit_status", json_integer(r->exit_status));
	text = json_dumps(o, JSON_INDENT(2));
	rc = text ? file_replace(path, text, strlen(text), e)
		  : err_set(e, -ENOMEM, "out of memory");
	if (rc == -ENOSPC && !overwrite(path, text))
		rc = 0;
	free(text);
	json_decref(o);
	return rc;
}

static const char *reason_of(int status)
{
	if (status == MACHINE_STATUS_OK)
		return "shutdown";
	if (status == MACHINE_STATUS_ERROR)
		return "failed";
	if (status == MACHINE_STATUS_CRASHED)
		return "triple fault";
	return status > 128 ? "signal" : "exit of the guest";
}

int record_end(const char *path, int status, const char *reason, struct err *e)
{
	struct record r = {0};
	const char *state = status == MACHINE_STATUS_CRASHED ? "crashed" : "shut off";

	record_read(path, &r, NULL);
	if (reason && !strcmp(reason, "saved"))
		state = reason;
	snprintf(r.state, sizeof(r.state), "%s", state);
	snprintf(r.reason, sizeof(r.reason), "%s", reason ? reason : reason_of(status));
	r.exit_status = status;
	return record_write(path, &r, e);
}
