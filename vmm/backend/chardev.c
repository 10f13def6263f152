/* SPDX-License-Identifier: Apache-2.0 */
/* Opens character devices by their text, and the kind that is joined to nothing. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/charkinds.h"

void chardev_input(struct chardev *c, const uint8_t *data, size_t len)
{
	if (c->client.input && len)
		c->client.input(c->client.opaque, data, len);
}

size_t chardev_room(struct chardev *c, size_t max)
{
	size_t room;

	if (!c->client.room)
		return max;
	room = c->client.room(c->client.opaque);
	return room < max ? room : max;
}

static void none_write(struct chardev *c, const void *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void none_poll_input(struct chardev *c)
{
	(void)c;
}

static void none_destroy(struct chardev *c)
{
	free(c);
}

static const struct chardev_ops none_ops = {none_write, none_poll_input, none_destroy};

static int open_none(const struct chardev_request *q, struct chardev **out, struct err *e)
{
	(void)q;
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return err_set(e, -ENOMEM, "out of memory");
	(*out)->ops = &none_ops;
	return 0;
}

static const struct kind {
	const char *name;
	bool has_arg;
	int (*open)(const struct chardev_request *q, struct chardev **out, struct err *e);
} kinds[] = {
	{"stdio", false, chardev_open_stdio},
	{"none", false, open_none},
	{"file", true, chardev_open_file},
	{"unix", true, chardev_open_socket},
};

int chardev_open(const char *text, struct loop *loop, loop_fn *quit, void *quit_opaque,
		 struct chardev **out, struct err *e)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	struct chardev_request q = {colon ? colon + 1 : "", loop, quit, quit_opaque};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strlen(kinds[i].name) == len && !strncmp(kinds[i].name, text, len) &&
		    kinds[i].has_arg == (colon && colon[1]))
			return kinds[i].open(&q, out, e);
	return err_set(e, -EINVAL, "\"%s\" is none of stdio, none, file:PATH, unix:PATH", text);
}
