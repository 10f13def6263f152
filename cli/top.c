/* SPDX-License-Identifier: Apache-2.0 */
/* baton top: what running VMs use of the host, as a table that is drawn again and again. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/cli.h"
#include "manager/usage.h"
#include "manager/vm.h"

#define INTERVAL_MS 2000
#define HOME        "\033[H"
#define CLEAR_REST  "\033[J"
#define CLEAR_LINE  "\033[K"
#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

/* One VM between two looks. */
struct row {
	struct vm_info vm;
	struct vm_usage now, before;
	bool known; /* `before` is of the same process */
};

struct top_context {
	bool batch, json;
	unsigned count, interval_ms;
	const struct column *sort;
	struct row *rows;
	size_t n;
};

/* ---- numbers -------------------------------------------------------------------------------- */

/* Growth a second of a counter; 0 at the first look. */
static double rate(const struct row *r, size_t field)
{
	uint64_t now, before;
	double ns = (double)(r->now.at_ns - r->before.at_ns);

	memcpy(&now, (const char *)&r->now + field, sizeof(now));
	memcpy(&before, (const char *)&r->before + field, sizeof(before));
	return r->known && now > before && ns > 0 ? (double)(now - before) * 1e9 / ns : 0;
}

static double value(const struct row *r, size_t field)
{
	uint64_t now;

	memcpy(&now, (const char *)&r->now + field, sizeof(now));
	return (double)now;
}

/* 100: one of the host's processors. */
static double percent(const struct row *r, size_t field)
{
	return rate(r, field) / 1e7;
}

static void print_percent(double n)
{
	printf(" %7.1f", n);
}

static void print_mib(double n)
{
	printf(" %7.0f", n / (double)MIB);
}

/* Bytes a second in four digits and a unit. */
static void print_rate(double n)
{
	static const char units[] = "BKMG";
	unsigned u = 0;

	for (; n >= 9999.5 && units[u + 1]; u++)
		n /= 1024;
	printf(" %6.0f%c", n, units[u]);
}

static const struct column {
	const char *key, *title; /* key: for --json and --sort */
	double (*number)(const struct row *r, size_t field);
	size_t field;
	void (*print)(double n);
} columns[] = {
	{"cpu", "CPU %", percent, offsetof(struct vm_usage, cpu_ns), print_percent},
	{"steal", "STEAL %", percent, offsetof(struct vm_usage, wait_ns), print_percent},
	{"memory_used", "USED M", value, offsetof(struct vm_usage, memory_used), print_mib},
	{"memory_given", "GIVEN M", value, offsetof(struct vm_usage, memory_given), print_mib},
	{"disk_read", "READ/s", rate, offsetof(struct vm_usage, disk_read), print_rate},
	{"disk_written", "WRITE/s", rate, offsetof(struct vm_usage, disk_written), print_rate},
	{"net_received", "RECV/s", rate, offsetof(struct vm_usage, net_received), print_rate},
	{"net_sent", "SENT/s", rate, offsetof(struct vm_usage, net_sent), print_rate},
};

#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

/* ---- looking -------------------------------------------------------------------------------- */

struct look {
	struct row *rows, *old;
	size_t n, nold;
};

static int add_row(void *opaque, const struct vm_info *vm, struct err *e)
{
	struct look *l = opaque;
	struct row *rows = realloc(l->rows, (l->n + 1) * sizeof(*rows)), *r;

	if (!rows)
		return err_set(e, -ENOMEM, "out of memory");
	l->rows = rows;
	r = &rows[l->n];
	memset(r, 0, sizeof(*r));
	r->vm = *vm;
	if (vm_usage(vm, &r->now, e))
		return 0; /* it has just ended */
	for (size_t i = 0; i < l->nold; i++) {
		if (l->old[i].vm.pid != vm->pid)
			continue;
		r->before = l->old[i].now;
		r->known = true;
	}
	l->n++;
	return 0;
}

static int compare(const void *a, const void *b, void *opaque)
{
	const struct column *c = opaque;
	double x = c->number(a, c->field), y = c->number(b, c->field);

	if (x != y)
		return x < y ? 1 : -1;
	return strcmp(((const struct row *)a)->vm.name, ((const struct row *)b)->vm.name);
}

static int look(struct manager *m, struct top_context *c, struct err *e)
{
	struct look l = {.old = c->rows, .nold = c->n};
	int rc = manager_each(m, add_row, &l, e);

	free(c->rows);
	c->rows = l.rows;
	c->n = l.n;
	if (c->n)
		qsort_r(c->rows, c->n, sizeof(*c->rows), compare, (void *)c->sort);
	return rc;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void print_json(const struct top_context *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n; i++) {
		const struct row *r = &c->rows[i];
		json_t *o = json_pack("{s:s, s:i}", "name", r->vm.name, "pid", (int)r->vm.pid);

		for (size_t k = 0; k < NCOLUMNS; k++)
			json_object_set_new(o, columns[k].key,
					    json_real(columns[k].number(r, columns[k].field)));
		json_array_append_new(list, o);
	}
	json_dumpf(list, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(list);
}

static void print_table(const struct top_context *c, size_t lines, const char *end)
{
	printf("%-20s", "NAME");
	for (size_t k = 0; k < NCOLUMNS; k++)
		printf(" %7s", columns[k].title);
	fputs(end, stdout);
	for (size_t i = 0; i < c->n && i < lines; i++) {
		printf("%-20.20s", c->rows[i].vm.name);
		for (size_t k = 0; k < NCOLUMNS; k++)
			columns[k].print(columns[k].number(&c->rows[i], columns[k].field));
		fputs(end, stdout);
	}
}

static void draw(const struct top_context *c)
{
	struct winsize w = {.ws_row = 24};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	fputs(HOME, stdout);
	print_table(c, w.ws_row > 3 ? w.ws_row - 3u : 1, CLEAR_LINE "\r\n");
	printf(CLEAR_LINE "\r\nq leaves" CLEAR_REST);
}

/* ---- time and keys -------------------------------------------------------------------------- */

/* False when a key says that it is enough. */
static bool wait_key(unsigned ms, bool keys)
{
	struct pollfd p = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key = 0;

	if (poll(&p, 1, (int)ms) <= 0)
		return true;
	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 3 && key != 4;
}

static int show_again(struct manager *m, struct top_context *c, struct err *e)
{
	bool live = !c->batch && !c->json;

	/* Rates need two looks; the first is not printed where there is only one. */
	if (!live && (look(m, c, e) || !wait_key(c->interval_ms, false)))
		return e->code;
	for (unsigned i = 0; !c->count || i < c->count; i++) {
		if (look(m, c, e))
			return e->code;
		if (live)
			draw(c);
		else if (c->json)
			print_json(c);
		else
			print_table(c, SIZE_MAX, "\n");
		fflush(stdout);
		if (i + 1 != c->count && !wait_key(c->interval_ms, live))
			break;
	}
	return CLI_OK;
}

static int show(struct manager *m, struct top_context *c, struct err *e)
{
	struct termios old, raw;
	int rc;

	if (c->batch || c->json || tcgetattr(STDIN_FILENO, &old)) {
		c->batch = true;
		return show_again(m, c, e);
	}
	raw = old;
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs(HIDE_CURSOR HOME CLEAR_REST, stdout);
	rc = show_again(m, c, e);
	fputs(HOME CLEAR_REST SHOW_CURSOR, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &old);
	return rc;
}

static int top(void *context, char **operands, struct err *e)
{
	struct top_context *c = context;
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)operands;
	if (rc)
		return rc;
	if (!isatty(STDOUT_FILENO))
		c->batch = true;
	if (!c->count && (c->batch || c->json))
		c->count = 1;
	rc = show(m, c, e);
	manager_close(m);
	return rc;
}

/* ---- options -------------------------------------------------------------------------------- */

static void init(void *context)
{
	struct top_context *c = context;

	c->interval_ms = INTERVAL_MS;
	c->sort = &columns[0];
}

static void fini(void *context)
{
	free(((struct top_context *)context)->rows);
}

static int set_count(void *context, const char *text, struct err *e)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > 1000000)
		return err_set(e, -EINVAL, "\"%s\" is not a number from 1 to 1000000", text);
	((struct top_context *)context)->count = (unsigned)n;
	return 0;
}

static int set_interval(void *context, const char *text, struct err *e)
{
	char *end;
	double s = strtod(text, &end);

	if (!*text || *end || !(s >= 0.1 && s <= 3600))
		return err_set(e, -EINVAL, "\"%s\" is not a number of seconds from 0.1 to 3600",
			       text);
	((struct top_context *)context)->interval_ms = (unsigned)(s * 1000);
	return 0;
}

static int set_sort(void *context, const char *text, struct err *e)
{
	for (size_t k = 0; k < NCOLUMNS; k++) {
		if (strcmp(columns[k].key, text))
			continue;
		((struct top_context *)context)->sort = &columns[k];
		return 0;
	}
	return err_set(e, -EINVAL,
		       "\"%s\" is none of cpu, steal, memory_used, memory_given, disk_read, "
		       "disk_written, net_received and net_sent",
		       text);
}

static const struct cli_option options[] = {
	CLI_FLAG("batch", "print a plain table; once, without --count", struct top_context, batch),
	CLI_FLAG("json", "print JSON, one array a line; once, without --count", struct top_context,
		 json),
	{"count", "N", "end after N tables", set_count, 0, 0},
	{"interval", "SECONDS", "between two tables (2)", set_interval, 0, 0},
	{"sort", "COLUMN", "cpu, memory_used, disk_written ...: largest first (cpu)", set_sort, 0,
	 0},
	CLI_END,
};

const struct cli_verb cli_top = {
	.name = "top",
	.operands = "",
	.help = "show what running virtual machines use of the host, again and again",
	.example = "baton top --batch --count 10 --sort memory_used",
	.options = options,
	.context_size = sizeof(struct top_context),
	.init = init,
	.run = top,
	.fini = fini,
};
