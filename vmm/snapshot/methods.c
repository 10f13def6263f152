/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save:     the machine stands, its state goes to a file, and it ends; it goes on if that fails.
 * snapshot: the machine stands for an instant and runs on while its state is written.
 */
#include "vmm/snapshot/methods.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/snapshot/job.h"

#define ALIVE_NS 2000000000ull /* the caller hears something at least this often */

/* A save or snapshot that is being written; machine->save points to it. */
struct save {
	struct machine *machine;
	struct control_call *call;
	struct job *job;
	bool ends; /* the machine is held and ends afterwards */
	uint64_t pause_ns, done, total;
	struct loop_timer alive;
};

/* ---- while it is written -------------------------------------------------------------------- */

static void tell(void *opaque)
{
	struct save *s = opaque;

	control_progress(s->call, "memory", s->done, s->total);
	loop_timer_set(s->machine->loop, &s->alive, loop_now() + ALIVE_NS);
}

static void progress(void *opaque, uint64_t done, uint64_t total)
{
	struct save *s = opaque;

	s->done = done;
	s->total = total;
	tell(s);
}

static void forget(struct save *s)
{
	loop_timer_cancel(s->machine->loop, &s->alive);
	s->machine->save = NULL;
	free(s);
}

static void done(void *opaque, const struct err *e)
{
	struct save *s = opaque;
	struct machine *m = s->machine;
	bool ends = s->ends;

	control_finish(s->call, json_pack("{s:I}", "pause_ns", (json_int_t)s->pause_ns), e);
	forget(s);
	if (ends && !e->code) {
		m->end_reason = "saved";
		machine_end(m, MACHINE_STATUS_OK);
	}
	if (ends)
		machine_release(m);
}

const char *save_doing(const struct save *s)
{
	if (!s)
		return NULL;
	return s->ends ? "saving" : "snapshot";
}

void save_cancel(struct save *s)
{
	static const struct err gone = {-ECANCELED, "the VM ended before its state was written"};

	if (!s)
		return;
	job_cancel(s->job);
	control_finish(s->call, NULL, &gone);
	forget(s);
}

/* ---- starting ------------------------------------------------------------------------------- */

static const struct job_ops ops = {progress, done};

static int start_job(struct save *s, const char *path, bool memory, struct err *e)
{
	struct image image;
	int rc = image_take(s->machine, &image, memory, e);

	if (!rc)
		rc = job_start(&s->job, s->machine->loop, &image, path, &ops, s, e);
	image_free(&image);
	return rc;
}

/* Holds the machine for the instant; a machine that shall end stays held. */
static int start(struct machine *m, const char *path, bool memory, bool ends,
		 struct control_call *call, struct err *e)
{
	struct save *s;
	uint64_t began = loop_now();
	int rc;

	if (m->save)
		return err_set(e, -EBUSY, "the VM's state is being saved already; wait for that");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	*s = (struct save){.machine = m, .call = call, .ends = ends};
	s->alive = (struct loop_timer){.fn = tell, .opaque = s};
	machine_hold(m);
	rc = start_job(s, path, memory, e);
	if (rc || !ends)
		machine_release(m);
	if (rc) {
		free(s);
		return rc;
	}
	s->pause_ns = loop_now() - began;
	m->save = s;
	tell(s);
	return CONTROL_LATER;
}

static const char *text(const json_t *params, const char *key)
{
	return json_string_value(json_object_get(params, key));
}

static int save(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	(void)result;
	return start(opaque, text(params, "path"), true, true, call, e);
}

static int snapshot(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		    struct err *e)
{
	(void)result;
	return start(opaque, text(params, "path"),
		     !json_is_false(json_object_get(params, "memory")), false, call, e);
}

const struct control_method snapshot_methods[] = {
	{"save", save, {{"path", CONTROL_STRING, true}}},
	{"snapshot", snapshot, {{"path", CONTROL_STRING, true}, {"memory", CONTROL_BOOL, false}}},
	{NULL, NULL, {{0}}},
};
