/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine under a debugger. `standing` is the debugger's own hold. A vCPU that stops marks
 * itself and asks the others to park (debug_wanted); the main thread then holds the machine and
 * tells.
 */
#include "vmm/machinegdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/gdb/listener.h"
#include "vmm/gdb/server.h"

struct machine_gdb {
	struct machine *m;
	struct gdb_server *server;
	bool standing;
	char listen[GDB_ADDRESS_TEXT]; /* where it is open */
};

/* ---- stopping ------------------------------------------------------------------------------- */

static void stand(struct machine_gdb *g)
{
	if (g->standing)
		return;
	g->standing = true;
	machine_hold(g->m);
}

static bool is_data(const struct engine_stop *s)
{
	return s->cause == STOP_POINT && s->kind != POINT_CODE && s->kind != POINT_INT3;
}

/* The next stop to tell. Others at code points stop there again; those at data must wait. */
static struct vcpu *take_stop(struct machine *m)
{
	struct vcpu *found = NULL;

	for (unsigned i = 0; i < m->nvcpus; i++) {
		struct vcpu *c = &m->vcpu[i];

		if (!found && c->stop_pending)
			found = c;
		if (c == found || !is_data(&c->stop))
			c->stop_pending = false;
	}
	return found;
}

static void report_stop(void *opaque)
{
	struct machine *m = opaque;
	struct vcpu *c;

	if (!m->gdb || m->gdb->standing || m->ended) {
		m->debug_wanted = false;
		return;
	}
	stand(m->gdb);
	m->debug_wanted = false;
	c = take_stop(m);
	if (c)
		gdb_server_stopped(m->gdb->server, c->index, &c->stop);
}

/* On the vCPU's thread: the others shall park, and the main thread tells. */
static void stop_all(struct vcpu *c)
{
	struct machine *m = c->machine;

	c->stop_pending = true;
	if (m->debug_wanted)
		return;
	m->debug_wanted = true;
	machine_kick(m);
	loop_call(m->loop, report_stop, m);
}

void machine_gdb_stop(struct vcpu *c)
{
	c->machine->engine->vcpu_stop(c->engine, &c->stop);
	stop_all(c);
}

bool machine_gdb_crash(struct vcpu *c)
{
	struct machine *m = c->machine;

	if (!m->gdb || m->ended || c->crash_told || !gdb_server_has_client(m->gdb->server))
		return false;
	c->crash_told = true;
	c->stop = (struct engine_stop){.cause = STOP_CRASH};
	stop_all(c);
	return true;
}

/* ---- the stub's target ---------------------------------------------------------------------- */

static int get(void *opaque, unsigned cpu, struct x86_cpu_state *s)
{
	struct machine *m = ((struct machine_gdb *)opaque)->m;
	struct err e;

	return m->engine->vcpu_get(m->vcpu[cpu].engine, s, &e);
}

static int set(void *opaque, unsigned cpu, const struct x86_cpu_state *s)
{
	struct machine *m = ((struct machine_gdb *)opaque)->m;
	struct err e;

	m->vcpu[cpu].crash_told = false; /* it may go on from elsewhere */
	return m->engine->vcpu_set(m->vcpu[cpu].engine, s, &e);
}

/* The debugger is told its error; the VM goes on standing. */
static int set_debug(struct vcpu *c, const struct engine_debug *d)
{
	struct err e;
	int rc = c->machine->engine->vcpu_debug(c->engine, d, &e);

	if (rc)
		log_warn("gdb: vCPU %u: %s", c->index, e.text);
	return rc;
}

static bool any_data_stop(const struct machine *m)
{
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpu[i].stop_pending && is_data(&m->vcpu[i].stop))
			return true;
	return false;
}

static void release(struct machine_gdb *g)
{
	struct machine *m = g->m;

	if (any_data_stop(m) && g->standing) { /* not told yet: it comes now, nothing runs */
		g->standing = false;
		m->debug_wanted = true;
		loop_call(m->loop, report_stop, m);
	} else if (g->standing) {
		g->standing = false;
	} else {
		return;
	}
	machine_release(m);
}

static int resume(void *opaque, const enum gdb_action *action, const struct engine_point *point,
		  unsigned npoints, int passed)
{
	struct machine_gdb *g = opaque;
	struct machine *m = g->m;

	for (unsigned i = 0; i < m->nvcpus; i++) {
		struct engine_debug d = {
			.point = point,
			.npoints = npoints,
			.step = action[i] == GDB_STEP,
			.pass = passed == (int)i,
		};
		bool any = d.npoints || d.step || d.pass;
		int rc = set_debug(&m->vcpu[i], any ? &d : NULL);

		if (rc)
			return rc;
		m->vcpu[i].stays = action[i] == GDB_STAY;
		m->vcpu[i].stop_pending &= is_data(&m->vcpu[i].stop);
	}
	release(g);
	return 0;
}

static void interrupt(void *opaque)
{
	stand(opaque);
}

static void kill_machine(void *opaque)
{
	machine_end(((struct machine_gdb *)opaque)->m, MACHINE_STATUS_OK);
}

/* ---- monitor commands ----------------------------------------------------------------------- */

static void monitor_help(struct machine *m, FILE *out);

static void print_stat(void *opaque, const char *name, uint64_t value)
{
	fprintf(opaque, "%-32s %llu\n", name, (unsigned long long)value);
}

static void monitor_stats(struct machine *m, FILE *out)
{
	machine_stats(m, print_stat, out);
}

static void monitor_status(struct machine *m, FILE *out)
{
	fprintf(out, "%s, %u vCPUs, %llu MiB, up %llu s\n", m->engine_why, m->nvcpus,
		(unsigned long long)(m->mem.ram_size >> 20),
		(unsigned long long)(clock_now(&m->clock) / 1000000000));
}

static void monitor_reset(struct machine *m, FILE *out)
{
	machine_reset(m);
	fputs("reset; the processors stand at its first instruction\n", out);
}

static void monitor_quit(struct machine *m, FILE *out)
{
	(void)out;
	machine_end(m, MACHINE_STATUS_OK);
}

static const struct {
	const char *name, *help;
	void (*fn)(struct machine *m, FILE *out);
} monitors[] = {
	{"help", "this list", monitor_help},
	{"status", "engine, size, time", monitor_status},
	{"stats", "counters of engine and devices", monitor_stats},
	{"reset", "restart the guest", monitor_reset},
	{"system_reset", "the same", monitor_reset},
	{"quit", "end the VM", monitor_quit},
};

#define NMONITORS (sizeof(monitors) / sizeof(monitors[0]))

static void monitor_help(struct machine *m, FILE *out)
{
	(void)m;
	for (size_t i = 0; i < NMONITORS; i++)
		fprintf(out, "%-14s %s\n", monitors[i].name, monitors[i].help);
}

static char *monitor(void *opaque, const char *line)
{
	struct machine *m = ((struct machine_gdb *)opaque)->m;
	char *text = NULL;
	size_t size, i = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	while (i < NMONITORS && strcmp(monitors[i].name, line))
		i++;
	if (i < NMONITORS)
		monitors[i].fn(m, out);
	else
		fprintf(out, "there is no command \"%.80s\"; see help\n", line);
	return fclose(out) ? NULL : text;
}

/* Where the guest's CPUID says that AVX-512's components lie. */
static struct gdb_vectors vectors_of(const struct cpu_model *cpu)
{
	struct gdb_vectors v = {.avx = cpu->has[X86_FEAT_AVX]};
	uint16_t *const parts[] = {&v.opmask, &v.zmm_high, &v.zmm16};
	struct cpuid_context context = {.nvcpus = 1, .xcr0 = cpu->xcr0_allowed};

	for (unsigned i = 0; i < 3 && (cpu->xcr0_allowed & 0xe0) == 0xe0; i++) {
		struct cpuid_regs r;

		cpuid_answer(cpu, &context, 0xd, 5 + i, &r);
		*parts[i] = (uint16_t)r.ebx;
	}
	return v;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int serve(struct machine_gdb *g, const struct gdb_address *a, int listener, struct err *e)
{
	const struct gdb_target target = {
		.mem = &g->m->mem,
		.ncpus = g->m->nvcpus,
		.max_points = g->m->engine->max_points,
		.vectors = vectors_of(&g->m->cpu),
		.get = get,
		.set = set,
		.resume = resume,
		.interrupt = interrupt,
		.kill = kill_machine,
		.monitor = monitor,
		.opaque = g,
	};
	struct gdb_address where = *a;

	where.wait = where.i386 = false;
	gdb_address_print(&where, g->listen);
	return gdb_server_open(&g->server, a, listener, &target, g->m->loop, e);
}

int machine_gdb_open(struct machine *m, const struct gdb_address *a, int listener, struct err *e)
{
	struct machine_gdb *g = calloc(1, sizeof(*g));
	int rc = 0;

	if (!g)
		rc = err_set(e, -ENOMEM, "no memory for the debugger");
	if (!rc && listener < 0)
		rc = gdb_listen(a, &listener, e);
	else if (!rc && !gdb_is_listener(listener))
		rc = err_set(e, -EINVAL, "gdb: the descriptor is no socket that listens");
	if (!rc) {
		g->m = m;
		rc = serve(g, a, listener, e);
	}
	if (rc) {
		if (listener >= 0)
			close(listener);
		free(g);
		return rc;
	}
	m->gdb = g;
	if (a->wait)
		stand(g);
	return 0;
}

void machine_gdb_close(struct machine *m, int status)
{
	if (!m->gdb)
		return;
	gdb_server_close(m->gdb->server, status);
	free(m->gdb);
	m->gdb = NULL;
}

static int open_gdb(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		    struct err *e)
{
	const char *text = json_string_value(json_object_get(params, "listen"));
	struct machine *m = opaque;
	struct gdb_address a;

	if (text && !m->gdb &&
	    (gdb_address_parse(&a, text, e) || machine_gdb_open(m, &a, control_take_fd(call), e)))
		return e->code;
	*result = json_pack("{s:s?}", "listen", m->gdb ? m->gdb->listen : NULL);
	return 0;
}

const struct control_method machine_gdb_methods[] = {
	{"gdb", open_gdb, {{"listen", CONTROL_STRING, false}}},
	{NULL, NULL, {{0}}},
};
