/* SPDX-License-Identifier: Apache-2.0 */
/* baton stats: a VM's counters, and with --top where its processors spend their time. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/symbols.h"
#include "manager/control_client.h"
#include "manager/manager.h"

#define TOP_LINES    25
#define TOP_SECONDS  5
#define SYSCALL_NAME "entry_SYSCALL_64" /* what a kernel puts into LSTAR */

struct stats_context {
	bool json, top;
	unsigned seconds;
	const char *symbols;
};

static void init(void *context)
{
	((struct stats_context *)context)->seconds = TOP_SECONDS;
}

static int set_seconds(void *context, const char *value, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n < 1 || n > 3600)
		return err_set(e, -EINVAL, "\"%s\" is not a number of seconds up to 3600", value);
	((struct stats_context *)context)->seconds = (unsigned)n;
	return 0;
}

static int set_symbols(void *context, const char *value, struct err *e)
{
	(void)e;
	((struct stats_context *)context)->symbols = value;
	return 0;
}

/* ---- counters ------------------------------------------------------------------------------- */

static int counters(const struct stats_context *c, const char *name, struct err *e)
{
	json_t *result, *value;
	const char *key;

	if (cli_call(name, "stats", NULL, &result, e))
		return e->code;
	if (c->json) {
		cli_print_json(result);
	} else {
		json_object_foreach(result, key, value)
			printf("%-32s %lld\n", key, (long long)json_integer_value(value));
	}
	json_decref(result);
	return CLI_OK;
}

/* ---- the profile ---------------------------------------------------------------------------- */

/* One line of the table: an address, or all addresses of one symbol. */
struct line {
	uint64_t addr, count;
	const char *name; /* NULL: unknown */
};

struct table {
	struct line *line;
	size_t n;
};

static uint64_t hex(const json_t *o)
{
	const char *text = json_string_value(o);

	return text ? strtoull(text, NULL, 16) : 0;
}

/* By how much the running kernel lies elsewhere than its map says. */
static uint64_t kernel_shift(const struct symbols *s, uint64_t lstar)
{
	const struct symbol *entry = symbols_named(s, SYSCALL_NAME);

	return entry && lstar ? lstar - entry->addr : 0;
}

static bool is_kernel(uint64_t addr)
{
	return addr >> 63;
}

static void add_line(struct table *t, uint64_t addr, uint64_t count, const char *name)
{
	for (size_t i = 0; name && i < t->n; i++) {
		if (t->line[i].name && !strcmp(t->line[i].name, name)) {
			t->line[i].count += count;
			return;
		}
	}
	t->line[t->n++] = (struct line){addr, count, name};
}

static int by_count(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* With symbols, the addresses of user programs are one line. */
static int make_table(struct table *t, const json_t *profile, const struct symbols *s,
		      struct err *e)
{
	const json_t *list = json_object_get(profile, "addresses");
	uint64_t shift = kernel_shift(s, hex(json_object_get(profile, "lstar")));
	size_t i;
	json_t *pair;

	t->line = calloc(json_array_size(list) + 1, sizeof(*t->line));
	if (!t->line)
		return err_set(e, -ENOMEM, "out of memory");
	json_array_foreach((json_t *)list, i, pair)
	{
		uint64_t addr = hex(json_array_get(pair, 0));
		uint64_t count = (uint64_t)json_integer_value(json_array_get(pair, 1));
		const struct symbol *at = s->n ? symbols_at(s, addr - shift) : NULL;
		const char *name = at ? at->name : NULL;

		if (s->n && !is_kernel(addr))
			name = "(user)";
		add_line(t, addr, count, name);
	}
	qsort(t->line, t->n, sizeof(*t->line), by_count);
	return 0;
}

static double number(const json_t *o, const char *key)
{
	return (double)json_integer_value(json_object_get(o, key));
}

static void print_rates(const json_t *p)
{
	double seconds = number(p, "ns") / 1e9, insns = number(p, "instructions");
	double accesses = number(p, "accesses"), misses = number(p, "tlb_misses");
	double samples = number(p, "samples"), idle = number(p, "idle");

	printf("%.0f samples in %.1f s, %.0f %% of the processors' time halted\n", samples, seconds,
	       samples + idle > 0 ? 100 * idle / (samples + idle) : 0);
	if (insns > 0)
		printf("%.1f million guest instructions a second\n", insns / seconds / 1e6);
	if (accesses > 0)
		printf("%.3f %% of memory accesses hit the TLB\n",
		       misses < accesses ? 100 * (1 - misses / accesses) : 0);
}

static void print_table(const struct table *t, double samples)
{
	printf("\n%8s %6s  %-16s %s\n", "SAMPLES", "%", "ADDRESS", "SYMBOL");
	for (size_t i = 0; i < t->n && i < TOP_LINES; i++)
		printf("%8" PRIu64 " %6.1f  %016" PRIx64 " %s\n", t->line[i].count,
		       samples > 0 ? 100 * (double)t->line[i].count / samples : 0, t->line[i].addr,
		       t->line[i].name ? t->line[i].name : "-");
}

static void print_json(json_t *p, const struct table *t)
{
	json_t *top = json_array();

	for (size_t i = 0; i < t->n; i++) {
		char addr[17];

		snprintf(addr, sizeof(addr), "%" PRIx64, t->line[i].addr);
		json_array_append_new(top, json_pack("{s:s, s:I, s:s*}", "address", addr, "samples",
						     (json_int_t)t->line[i].count, "symbol",
						     t->line[i].name));
	}
	json_object_del(p, "addresses");
	json_object_set_new(p, "top", top);
	cli_print_json(p);
}

static int take_profile(const char *name, unsigned seconds, json_t **result, struct err *e)
{
	struct cli_progress bar = {0};
	struct manager *m;
	struct vm_info vm;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = manager_find(m, name, &vm, e);
	manager_close(m);
	if (rc)
		return rc;
	rc = control_call_long(vm.control, "profile", json_pack("{s:i}", "seconds", (int)seconds),
			       NULL, result, cli_progress, &bar, e);
	cli_progress_end(&bar);
	return rc ? err_prefix(e, "%s", name) : 0;
}

static int top(const struct stats_context *c, const char *name, struct err *e)
{
	struct symbols symbols = {0};
	struct table t = {0};
	json_t *profile;
	int rc = c->symbols ? symbols_load(&symbols, c->symbols, e) : 0;

	if (rc)
		return rc;
	rc = take_profile(name, c->seconds, &profile, e);
	if (rc)
		goto free_symbols;
	rc = make_table(&t, profile, &symbols, e);
	if (!rc && c->json) {
		print_json(profile, &t);
	} else if (!rc) {
		print_rates(profile);
		print_table(&t, number(profile, "samples"));
	}
	free(t.line);
	json_decref(profile);
free_symbols:
	symbols_free(&symbols);
	return rc;
}

static int run(void *context, char **operands, struct err *e)
{
	struct stats_context *c = context;

	if (c->symbols && !c->top)
		return err_set(e, -EINVAL, "--symbols goes with --top");
	return c->top ? top(c, operands[0], e) : counters(c, operands[0], e);
}

static const struct cli_option options[] = {
	CLI_FLAG("json", "print JSON", struct stats_context, json),
	CLI_FLAG("top", "sample for some seconds where the processors are", struct stats_context,
		 top),
	{"seconds", "N", "how long --top samples (5)", set_seconds, 0, 0},
	{"symbols", "FILE", "the guest kernel's System.map, or its /proc/kallsyms", set_symbols, 0,
	 0},
	CLI_END,
};

const struct cli_verb cli_stats = {
	.name = "stats",
	.operands = "NAME",
	.help = "print the counters of a virtual machine, or where it spends its time",
	.min = 1,
	.max = 1,
	.options = options,
	.example = "baton stats web --top --symbols System.map",
	.context_size = sizeof(struct stats_context),
	.init = init,
	.run = run,
};
