/* SPDX-License-Identifier: Apache-2.0 */
/* baton inspect: registers, devices and memory map of a machine's state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "manager/inspect.h"

#define LINE 64 /* characters of a long value that are shown */

struct inspect_context {
	bool json;
};

static void print_value(const char *name, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	const char *shown = text ? text : "?";
	int len = (int)strlen(shown);

	if (*shown == '"') { /* a text needs no quotes here */
		shown++;
		len -= 2;
	}
	printf("  %-24s %.*s%s\n", name, len > LINE ? LINE : len, shown, len > LINE ? "..." : "");
	free(text);
}

static void print_record(const json_t *record)
{
	const char *name = json_string_value(json_object_get(record, "name")), *key;
	json_t *fields = json_object_get(record, "fields"), *value;

	printf("\n%s %lld\n", name,
	       (long long)json_integer_value(json_object_get(record, "instance")));
	if (!fields)
		printf("  unknown to this program: %lld bytes\n",
		       (long long)json_integer_value(json_object_get(record, "bytes")));
	json_object_foreach(fields, key, value) print_value(key, value);
}

static void print_memory(const json_t *o)
{
	const json_t *map = json_object_get(json_object_get(o, "machine"), "memory");

	printf("\nmemory\n");
	for (size_t i = 0; i < json_array_size(map); i++) {
		const json_t *slot = json_array_get(map, i), *at = json_object_get(slot, "address");
		const char *kind = json_string_value(json_object_get(slot, "kind"));
		long long size = json_integer_value(json_object_get(slot, "size"));
		long long from = json_integer_value(at);

		if (at)
			printf("  %#14llx - %#14llx  %6lld KiB  %s\n", from, from + size - 1,
			       size >> 10, kind ? kind : "?");
		else
			printf("  %-31s  %6lld KiB  %s\n", "where its registers say", size >> 10,
			       kind ? kind : "?");
	}
	printf("  %lld KiB of it are in the file\n",
	       (long long)json_integer_value(json_object_get(o, "memory_stored")) >> 10);
}

static void print_text(const json_t *o)
{
	json_t *about = json_object_get(o, "about"), *records = json_object_get(o, "records"), *v;
	const char *key;

	printf("machine\n");
	json_object_foreach(about, key, v) print_value(key, v);
	print_value("cpus", json_object_get(json_object_get(o, "machine"), "cpus"));
	print_memory(o);
	for (size_t i = 0; i < json_array_size(records); i++)
		print_record(json_array_get(records, i));
}

static int run(void *context, char **operands, struct err *e)
{
	const struct inspect_context *c = context;
	struct manager *m;
	json_t *o = NULL;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = inspect(m, operands[0], operands[1], &o, e);
	manager_close(m);
	if (rc)
		return rc;
	if (c->json)
		cli_print_json(o);
	else
		print_text(o);
	json_decref(o);
	return CLI_OK;
}

static const struct cli_option options[] = {
	CLI_FLAG("json", "print JSON", struct inspect_context, json),
	CLI_END,
};

const struct cli_verb cli_inspect = {
	.name = "inspect",
	.operands = "NAME [SNAPSHOT] | FILE",
	.help = "show registers, devices and memory map of a machine, a snapshot or a saved state",
	.example = "baton inspect web before-upgrade --json",
	.min = 1,
	.max = 2,
	.options = options,
	.context_size = sizeof(struct inspect_context),
	.run = run,
};
