/* SPDX-License-Identifier: Apache-2.0 */
/* baton balloon: memory that a running guest gives up and gets back. */
#include <stdio.h>
#include <time.h>

#include "base/num.h"
#include "cli/cli.h"

#define ANSWER_MS 100 /* for the guest's kernel to tell what it was asked */

struct balloon_context {
	bool json;
};

static int set(const char *name, const char *size, struct err *e)
{
	json_t *result = NULL;
	uint64_t bytes;
	int rc;

	if (num_parse_size(size, MIB, &bytes, e))
		return e->code;
	rc = cli_call(name, "balloon", json_pack("{s:I}", "memory", (json_int_t)bytes), &result, e);
	if (!rc && !json_is_true(json_object_get(result, "driver")))
		fprintf(stderr, "baton: %s: its guest has no driver of the balloon just now\n",
			name);
	json_decref(result);
	return rc;
}

static void print_size(const char *key, const json_t *n)
{
	if (n)
		printf("%-16s %" JSON_INTEGER_FORMAT " MiB\n", key, json_integer_value(n) / MIB);
}

static void print_all(const json_t *o)
{
	const json_t *guest = json_object_get(o, "guest");

	print_size("memory", json_object_get(o, "memory"));
	print_size("wanted", json_object_get(o, "target"));
	print_size("given", json_object_get(o, "actual"));
	print_size("free in guest", json_object_get(guest, "free"));
	print_size("available", json_object_get(guest, "available"));
	if (!json_is_true(json_object_get(o, "driver")))
		puts("the guest has no driver of the balloon just now");
}

/* The first call asks the guest, the second has what it told. */
static int show(const char *name, bool json, struct err *e)
{
	const struct timespec wait = {.tv_nsec = ANSWER_MS * 1000000};
	json_t *result;
	int rc = cli_call(name, "balloon", NULL, NULL, e);

	if (rc)
		return rc;
	nanosleep(&wait, NULL);
	rc = cli_call(name, "balloon", NULL, &result, e);
	if (rc)
		return rc;
	if (json)
		cli_print_json(result);
	else
		print_all(result);
	json_decref(result);
	return CLI_OK;
}

static int balloon(void *context, char **operands, struct err *e)
{
	const struct balloon_context *c = context;

	return operands[1] ? set(operands[0], operands[1], e) : show(operands[0], c->json, e);
}

static const struct cli_option options[] = {
	CLI_FLAG("json", "print JSON", struct balloon_context, json),
	CLI_END,
};

const struct cli_verb cli_balloon = {
	.name = "balloon",
	.operands = "NAME [SIZE]",
	.help = "tell or set how much of its memory a running guest has",
	.details = "The guest's virtio-balloon driver gives the rest back to the host, as far as "
		   "the guest can spare it, and takes it again when SIZE grows. SIZE is as in 512M "
		   "or 2G, a bare number is MiB, and lasts until the machine ends.",
	.example = "baton balloon web 512M && baton balloon web",
	.min = 1,
	.max = 2,
	.options = options,
	.context_size = sizeof(struct balloon_context),
	.run = balloon,
};
