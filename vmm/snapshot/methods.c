/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save:     the machine stands, its state goes to a file, and it ends; it goes on if that fails.
 * snapshot: the machine stands for an instant, in which its disks get overlays, and runs on while
 *           its memory is written.
 */
#include "vmm/snapshot/methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmm/backend/disk.h"
#include "vmm/backend/nvram.h"
#include "vmm/diskfull.h"
#include "vmm/snapshot/disks.h"
#include "vmm/snapshot/file.h"
#include "vmm/snapshot/job.h"

#define ALIVE_NS 2000000000ull /* the caller hears something at least this often */

/* A save or snapshot under way; machine->save points to it. */
struct save {
	struct machine *machine;
	struct control_call *call;
	char *path;  /* NULL: disks only */
	bool memory; /* to be written */
	bool ends;   /* the machine stays held and ends afterwards */
	bool cancelled;
	struct overlays overlays;
	char *variables_path;              /* NULL: not wanted, or there are none */
	struct state_file file, variables; /* while they are written */
	struct job *job;                   /* while it writes the memory */
	/* After the instant: the job, disks below their overlays, and while they are being started.
	 */
	unsigned under_way;
	bool starting;
	struct err error; /* the first */
	struct disk_req flush[SPEC_MAX_DISKS];
	unsigned flushing;
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

static void free_save(struct save *s)
{
	overlays_free(&s->overlays);
	state_file_close(&s->file);
	state_file_close(&s->variables);
	free(s->variables_path);
	free(s->path);
	free(s);
}

static void finish(struct save *s, const struct err *why)
{
	struct machine *m = s->machine;
	struct err e = *why;

	loop_timer_cancel(m->loop, &s->alive);
	if (!e.code && s->variables.path)
		state_file_commit(&s->variables, &e);
	control_finish(s->call, json_pack("{s:I}", "pause_ns", (json_int_t)s->pause_ns), &e);
	m->save = NULL;
	free_save(s);
}

/* What is still under way ends without us. */
static void abandon(struct save *s)
{
	overlays_forget(s->machine, &s->overlays);
	if (s->job)
		job_cancel(s->job);
}

/* One of what is under way has ended: the last one ends it all, and so does one that failed. */
static void part_ended(void *opaque, const struct err *e)
{
	struct save *s = opaque;
	struct machine *m = s->machine;
	bool ends = s->ends, failed;

	if (e->code && !s->error.code)
		s->error = *e;
	failed = s->error.code;
	if (--s->under_way && (!failed || s->starting))
		return;
	abandon(s);
	finish(s, &s->error);
	if (ends && !failed) {
		m->end_reason = "saved";
		machine_end(m, MACHINE_STATUS_OK);
	}
	if (ends)
		machine_release(m);
}

static void written(void *opaque, const struct err *e)
{
	struct save *s = opaque;

	s->job = NULL;
	part_ended(s, e);
}

const char *machine_doing(const struct machine *m)
{
	if (m->save)
		return m->save->ends ? "saving" : "snapshot";
	return m->merges ? "merging" : NULL;
}

void save_cancel(struct save *s)
{
	static const struct err gone = {-ECANCELED, "the VM ended before its state was written"};

	if (!s)
		return;
	s->cancelled = true;
	for (unsigned i = 0; s->flushing && i < SPEC_MAX_DISKS; i++)
		if (s->machine->drive[i].disk)
			disk_drain(s->machine->drive[i].disk);
	abandon(s);
	finish(s, &gone);
}

/* ---- the instant ---------------------------------------------------------------------------- */

static const struct job_ops ops = {progress, written};

static int start_job(struct save *s, struct err *e)
{
	struct image image;
	int rc;

	if (!s->path)
		return 0;
	rc = image_take(s->machine, &image, s->memory, e);
	if (!rc)
		rc = job_start(&s->job, s->machine->loop, &image, &s->file, &ops, s, e);
	image_free(&image);
	return rc;
}

/*
 * What a machine that ends goes on with must be in its file before the state is. A copy is small:
 * to the page cache now, to the disk when the guest runs again.
 */
static int write_variables(struct save *s, struct err *e)
{
	struct nvram *n = s->machine->nvram;
	int rc = n && s->ends ? nvram_store(n) : 0;

	if (rc)
		return err_set(e, rc, "UEFI's variables: cannot be stored: %s", strerror(-rc));
	if (!n || !s->variables_path)
		return 0;
	return state_file_write(&s->variables, nvram_data(n), nvram_size(n), e);
}

/* All files are opened while the guest still runs. */
static int prepare(struct save *s, struct err *e)
{
	if (s->path && state_file_create(&s->file, s->path, s->file.fd, e))
		return e->code;
	if (s->machine->nvram && s->variables_path &&
	    state_file_create(&s->variables, s->variables_path, -1, e))
		return e->code;
	return overlays_open(s->machine, &s->overlays, e);
}

/* The child has the memory of this instant by then, and what the guest writes goes elsewhere. */
static int take_instant(struct save *s, struct err *e)
{
	if (write_variables(s, e) || start_job(s, e)) {
		overlays_drop(s->machine, &s->overlays);
		return e->code;
	}
	overlays_switch(s->machine, &s->overlays);
	return 0;
}

/* What was written below the overlays since the flush becomes stable behind the guest's back. */
static void follow_up(struct save *s)
{
	static const struct err none;

	if (!s->ends)
		log_info("snapshot: the guest stood for %.1f ms", (double)s->pause_ns / 1e6);
	s->under_way = 1 + (s->job != NULL) + overlays_count(&s->overlays);
	s->starting = true;
	overlays_settle(s->machine, &s->overlays, part_ended, s);
	s->starting = false;
	part_ended(s, &none);
}

/* Holds the machine for the instant; a machine that shall end stays held. */
static void begin(void *opaque)
{
	struct save *s = opaque;
	struct machine *m = s->machine;
	uint64_t began;
	struct err e = {0};

	if (prepare(s, &e)) {
		finish(s, &e);
		return;
	}
	began = loop_now();
	machine_hold(m);
	take_instant(s, &e);
	s->pause_ns = loop_now() - began;
	if (e.code || !s->ends)
		machine_release(m);
	if (e.code)
		finish(s, &e);
	else
		follow_up(s);
}

/* ---- before it ------------------------------------------------------------------------------ */

static void flushed(struct disk_req *r, int rc)
{
	struct save *s = r->opaque;

	(void)rc; /* it is flushed again below the overlay, and fails then */
	/* This may be a vCPU's thread, inside a device access: it cannot hold the machine. */
	if (!--s->flushing && !s->cancelled)
		loop_call(s->machine->loop, begin, s);
}

/* What is flushed while the guest runs need not be flushed while it stands. */
static void flush_first(struct save *s)
{
	struct machine *m = s->machine;

	s->flushing = 1;
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++) {
		struct disk *d = m->drive[i].disk;

		if (!d || d->readonly)
			continue;
		s->flush[i] = (struct disk_req){.op = DISK_FLUSH, .done = flushed, .opaque = s};
		s->flushing++;
		disk_submit(d, &s->flush[i]);
		disk_kick(d);
	}
	flushed(&(struct disk_req){.opaque = s}, 0);
}

static int start(struct machine *m, const json_t *params, bool ends, struct control_call *call,
		 struct err *e)
{
	const char *path = json_string_value(json_object_get(params, "path"));
	const char *variables = json_string_value(json_object_get(params, "variables"));
	struct save *s;

	if (m->save)
		return err_set(e, -EBUSY, "the VM's state is being saved already; wait for that");
	/* Its drain would fail the writes that wait for space. */
	if (machine_disk_problem(m))
		return err_set(e, -ENOSPC, "%s: make space first, then the VM goes on by itself",
			       machine_disk_problem(m));
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	*s = (struct save){.machine = m, .call = call, .ends = ends};
	s->alive = (struct loop_timer){.fn = tell, .opaque = s};
	s->memory = !json_is_false(json_object_get(params, "memory"));
	s->path = path ? strdup(path) : NULL;
	s->variables_path = variables ? strdup(variables) : NULL;
	s->file.fd = ends ? control_take_fd(call) : -1;
	s->variables.fd = -1;
	if (overlays_read(m, &s->overlays, json_object_get(params, "disks"), call, e)) {
		free_save(s);
		return e->code;
	}
	m->save = s;
	tell(s); /* a flush may take its time */
	flush_first(s);
	return CONTROL_LATER;
}

static int save(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	(void)result;
	return start(opaque, params, true, call, e);
}

static int snapshot(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		    struct err *e)
{
	(void)result;
	return start(opaque, params, false, call, e);
}

const struct control_method snapshot_methods[] = {
	{"save", save, {{"path", CONTROL_STRING, true}}},
	{"snapshot",
	 snapshot,
	 {{"path", CONTROL_STRING, false},
	  {"memory", CONTROL_BOOL, false},
	  {"variables", CONTROL_STRING, false},
	  {"disks", CONTROL_ARRAY, false}}},
	{"disks", disks_list, {{0}}},
	{"merge",
	 disks_merge,
	 {{"disk", CONTROL_UINT, true},
	  {"path", CONTROL_STRING, true},
	  {"down", CONTROL_BOOL, true},
	  {"note", CONTROL_STRING, true}}},
	{NULL, NULL, {{0}}},
};
