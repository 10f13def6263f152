/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control method "profile": samples each running vCPU every millisecond for some seconds, then
 * answers with the addresses met, most frequent first, and with what the engine counted meanwhile.
 */
#include "vmm/machineprofile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS      1000000
#define MAX_SECONDS  3600
#define MAX_ANSWER   2000 /* addresses: an answer fits into a socket's buffer */
#define PROGRESS_GAP 500  /* ticks */

struct machine_profile {
	struct machine *m;
	struct control_call *call;
	struct loop_timer timer;
	unsigned done, total; /* ticks */
	uint64_t started_ns;
	struct profile *vcpu; /* one each */
};

/* The vCPUs stand while it changes. */
static void set_profiles(struct machine_profile *p, bool on)
{
	struct machine *m = p->m;

	machine_hold(m);
	for (unsigned i = 0; i < m->nvcpus; i++)
		m->engine->vcpu_profile(m->vcpu[i].engine, on ? &p->vcpu[i] : NULL);
	machine_release(m);
}

static void destroy(struct machine_profile *p)
{
	loop_timer_cancel(p->m->loop, &p->timer);
	p->m->profile = NULL;
	free(p->vcpu);
	free(p);
}

/* ---- the answer ----------------------------------------------------------------------------- */

struct address {
	uint64_t rip, count;
};

static int by_rip(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	return (x->rip > y->rip) - (x->rip < y->rip);
}

static int by_count(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* All vCPUs' addresses, each once. Returns their number. */
static size_t collect(const struct machine_profile *p, struct address *out)
{
	size_t n = 0, kept = 0;

	for (unsigned i = 0; i < p->m->nvcpus; i++)
		for (unsigned s = 0; s < PROFILE_SLOTS; s++)
			if (p->vcpu[i].slot[s].count)
				out[n++] = (struct address){p->vcpu[i].slot[s].rip,
							    p->vcpu[i].slot[s].count};
	qsort(out, n, sizeof(*out), by_rip);
	for (size_t i = 0; i < n; i++) {
		if (kept && out[kept - 1].rip == out[i].rip)
			out[kept - 1].count += out[i].count;
		else
			out[kept++] = out[i];
	}
	qsort(out, kept, sizeof(*out), by_count);
	return kept;
}

static json_t *addresses(const struct machine_profile *p)
{
	struct address *list =
		malloc((size_t)p->m->nvcpus * PROFILE_SLOTS * sizeof(struct address));
	size_t n = list ? collect(p, list) : 0;
	json_t *a = json_array();

	for (size_t i = 0; i < n && i < MAX_ANSWER; i++) {
		char hex[17];

		snprintf(hex, sizeof(hex), "%llx", (unsigned long long)list[i].rip);
		json_array_append_new(a, json_pack("[s, I]", hex, (json_int_t)list[i].count));
	}
	free(list);
	return a;
}

static json_int_t sum(const struct machine_profile *p, size_t field)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->m->nvcpus; i++)
		n += *(const uint64_t *)((const char *)&p->vcpu[i] + field);
	return (json_int_t)n;
}

/* LSTAR tells where the kernel's system call entry is: the shift of its addresses follows. */
static uint64_t read_lstar(struct machine *m)
{
	struct x86_cpu_state *s = aligned_alloc(_Alignof(struct x86_cpu_state), sizeof(*s));
	uint64_t lstar = 0;
	struct err e;

	machine_hold(m);
	if (s && !m->engine->vcpu_get(m->vcpu[0].engine, s, &e))
		lstar = s->lstar;
	machine_release(m);
	free(s);
	return lstar;
}

static json_t *answer(const struct machine_profile *p)
{
	char lstar[17];

	snprintf(lstar, sizeof(lstar), "%llx", (unsigned long long)read_lstar(p->m));
#define SUM(name) #name, sum(p, offsetof(struct profile, name))
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "ns",
			 (json_int_t)(loop_now() - p->started_ns), SUM(samples), SUM(idle),
			 SUM(lost), SUM(instructions), SUM(accesses), SUM(tlb_misses), "lstar",
			 lstar, "addresses", addresses(p));
#undef SUM
}

/* ---- taking it ------------------------------------------------------------------------------ */

static void tick(void *opaque)
{
	struct machine_profile *p = opaque;
	struct machine *m = p->m;
	struct control_call *call = p->call;
	json_t *result;

	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->vcpu[i].state == VCPU_RUNNING)
			m->engine->vcpu_sample(m->vcpu[i].engine);
	if (++p->done < p->total) {
		if (p->done % PROGRESS_GAP == 0)
			control_progress(call, "milliseconds", p->done, p->total);
		loop_timer_set(m->loop, &p->timer, p->timer.deadline + TICK_NS);
		return;
	}
	set_profiles(p, false);
	result = answer(p);
	destroy(p);
	control_finish(call, result, &(struct err){0});
}

void machine_profile_cancel(struct machine *m)
{
	struct control_call *call;
	struct err e;

	if (!m->profile)
		return;
	call = m->profile->call;
	for (unsigned i = 0; i < m->nvcpus; i++)
		m->engine->vcpu_profile(m->vcpu[i].engine, NULL);
	destroy(m->profile);
	err_set(&e, -ECANCELED, "the VM ended before the profile did");
	control_finish(call, NULL, &e);
}

static int profile(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		   struct err *e)
{
	struct machine *m = opaque;
	json_int_t seconds = json_integer_value(json_object_get(params, "seconds"));
	struct machine_profile *p;

	(void)result;
	if (seconds < 1 || seconds > MAX_SECONDS)
		return err_set(e, -EINVAL, "seconds: must be from 1 to %d", MAX_SECONDS);
	if (m->profile)
		return err_set(e, -EBUSY, "a profile is being taken already");
	p = calloc(1, sizeof(*p));
	if (p)
		p->vcpu = calloc(m->nvcpus, sizeof(*p->vcpu));
	if (!p || !p->vcpu) {
		free(p);
		return err_set(e, -ENOMEM, "no memory for a profile");
	}
	p->m = m;
	p->call = call;
	p->total = (unsigned)seconds * 1000;
	p->timer = (struct loop_timer){.fn = tick, .opaque = p};
	m->profile = p;
	set_profiles(p, true);
	p->started_ns = loop_now();
	loop_timer_set(m->loop, &p->timer, p->started_ns + TICK_NS);
	return CONTROL_LATER;
}

const struct control_method machine_profile_methods[] = {
	{"profile", profile, {{"seconds", CONTROL_UINT, true}}},
	{NULL, NULL, {{0}}},
};
