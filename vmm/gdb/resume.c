/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that let the target run, and those that end the session. */
#include <errno.h>
#include <string.h>

#include "vmm/gdb/internal.h"

static void set_all(const struct gdb_session *s, enum gdb_action *action, enum gdb_action to)
{
	for (unsigned i = 0; i < s->target->ncpus; i++)
		action[i] = to;
}

/* No reply now: the next stop is the reply. */
static void resume(struct gdb_session *s, const enum gdb_action *action)
{
	struct engine_point point[ENGINE_MAX_POINTS];
	unsigned n = gdb_points_list(&s->points, point);
	int rc;

	s->running = true;
	rc = s->target->resume(s->target->opaque, action, point, n, s->passed);
	s->no_reply = !rc;
	if (!rc)
		return;
	s->running = false;
	gdb_reply_ok(s, rc);
}

/* "[ADDR]": goes on elsewhere. */
static bool set_rip(struct gdb_session *s, const char *args)
{
	uint64_t addr;

	if (!*args)
		return true;
	if (!gdb_hex_number(&args, &addr) || *args || gdb_load_state(s))
		return false;
	s->state->rip = addr;
	return !s->target->set(s->target->opaque, s->cpu, s->state);
}

static void go(struct gdb_session *s, const char *args, enum gdb_action current)
{
	enum gdb_action action[GDB_MAX_CPUS];

	if (!set_rip(s, args)) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	set_all(s, action, GDB_RUN);
	action[s->cpu] = current;
	resume(s, action);
}

/* "SIGNAL[;ADDR]": there are no signals to give to a guest. */
static const char *skip_signal(const char *args)
{
	const char *semicolon = strchr(args, ';');

	return semicolon ? semicolon + 1 : "";
}

void gdb_cmd_continue(struct gdb_session *s, const char *args, size_t len)
{
	(void)len;
	go(s, args, GDB_RUN);
}

void gdb_cmd_step(struct gdb_session *s, const char *args, size_t len)
{
	(void)len;
	go(s, args, GDB_STEP);
}

void gdb_cmd_continue_signal(struct gdb_session *s, const char *args, size_t len)
{
	(void)len;
	go(s, skip_signal(args), GDB_RUN);
}

void gdb_cmd_step_signal(struct gdb_session *s, const char *args, size_t len)
{
	(void)len;
	go(s, skip_signal(args), GDB_STEP);
}

void gdb_cmd_vcont_query(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	gdb_reply(s, "vCont;c;C;s;S");
}

/* One "c", "C05", "s" or "S05", with or without ":THREAD", for the vCPUs that have none yet. */
static bool take_action(const struct gdb_session *s, const char **p, enum gdb_action *action,
			bool *taken)
{
	char kind = *(*p)++;
	enum gdb_action to = kind == 'c' || kind == 'C' ? GDB_RUN : GDB_STEP;
	unsigned cpu = s->cpu;
	bool all = true;
	uint64_t signal;

	if (!strchr("cCsS", kind) || !kind)
		return false;
	if ((kind == 'C' || kind == 'S') && !gdb_hex_number(p, &signal))
		return false;
	if (**p == ':') {
		++*p;
		if (!gdb_thread(s, p, &cpu, &all))
			return false;
	}
	for (unsigned i = 0; i < s->target->ncpus; i++) {
		if (taken[i] || (!all && i != cpu))
			continue;
		taken[i] = true;
		action[i] = to;
	}
	return true;
}

void gdb_cmd_vcont(struct gdb_session *s, const char *args, size_t len)
{
	enum gdb_action action[GDB_MAX_CPUS];
	bool taken[GDB_MAX_CPUS] = {false};

	(void)len;
	set_all(s, action, GDB_STAY);
	if (*args != ';') {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	while (*args == ';') {
		args++;
		if (!take_action(s, &args, action, taken)) {
			gdb_reply_ok(s, -EINVAL);
			return;
		}
	}
	if (*args)
		gdb_reply_ok(s, -EINVAL);
	else
		resume(s, action);
}

/* ---- the end -------------------------------------------------------------------------------- */

void gdb_cmd_detach(struct gdb_session *s, const char *args, size_t len)
{
	enum gdb_action action[GDB_MAX_CPUS];
	int rc;

	(void)args, (void)len;
	gdb_points_clear(&s->points);
	set_all(s, action, GDB_RUN);
	rc = s->target->resume(s->target->opaque, action, NULL, 0, s->passed);
	gdb_reply_ok(s, rc);
}

void gdb_cmd_kill(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	s->no_reply = true;
	s->target->kill(s->target->opaque);
}

void gdb_cmd_vkill(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	s->target->kill(s->target->opaque);
	gdb_reply_ok(s, 0);
}
