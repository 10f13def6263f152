/* SPDX-License-Identifier: Apache-2.0 */
/* What the vCPU learned from the world outside, for the twin to learn the same. */
#include "vmm/engine/bt/lockstep/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int log_create(struct lockstep *l, struct err *e)
{
	l->event = reserve(LOG_EVENTS * sizeof(*l->event));
	l->bytes = reserve(LOG_BYTES);
	l->write = reserve(MAX_WRITES * sizeof(*l->write));
	if (!l->event || !l->bytes || !l->write)
		return err_set(e, -ENOMEM, "lockstep: no memory for the log");
	return 0;
}

void log_destroy(struct lockstep *l)
{
	if (l->event)
		munmap(l->event, LOG_EVENTS * sizeof(*l->event));
	if (l->bytes)
		munmap(l->bytes, LOG_BYTES);
	if (l->write)
		munmap(l->write, MAX_WRITES * sizeof(*l->write));
}

void log_reset(struct lockstep *l)
{
	l->nevents = l->next = 0;
	l->nbytes = 0;
}

bool log_is_empty(const struct lockstep *l)
{
	return l->next == l->nevents;
}

static void lose(struct lockstep *l, const char *what, uint64_t addr, uint64_t main, uint64_t twin)
{
	l->lost = true;
	compare_differs(l, what, addr, main, twin);
}

bool bt_lockstep_is_lost(const struct bt_vcpu *v)
{
	return v->vm->lockstep->lost;
}

static void append(struct lockstep *l, struct log_event ev)
{
	if (l->nevents == LOG_EVENTS)
		lose(l, "the log is full", ev.addr, 0, 0);
	else
		l->event[l->nevents++] = ev;
}

/* ---- devices' writes to memory --------------------------------------------------------------- */

void bt_lockstep_dma(struct bt_vm *vm, gpa_t gpa, uint64_t len)
{
	struct lockstep *l = vm->lockstep;
	struct bt_slot *s = bt_slot_find(vm, gpa);

	if (vm == l->twin_vm || l->stale || !s)
		return;
	if (len > s->size - (gpa - s->gpa) || len > LOG_BYTES - l->nbytes) {
		l->stale = true; /* dearer, and right as well */
		return;
	}
	memcpy(l->bytes + l->nbytes, s->host + (gpa - s->gpa), len);
	append(l, (struct log_event){
			  .kind = LOG_DMA, .len = (uint32_t)len, .addr = gpa, .val = l->nbytes});
	l->nbytes += len;
}

void log_take_dma(struct lockstep *l)
{
	while (l->next < l->nevents && l->event[l->next].kind == LOG_DMA) {
		const struct log_event *ev = &l->event[l->next++];

		memcpy(twin_byte(l, ev->addr), l->bytes + ev->val, ev->len);
		bt_code_dma(l->twin_vm, ev->addr, ev->len);
	}
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_output(enum lockstep_kind kind)
{
	return kind == LOG_STORE || kind == LOG_OUT || kind == LOG_WRMSR;
}

static uint64_t replay(struct lockstep *l, enum lockstep_kind kind, uint64_t addr, uint64_t val)
{
	const struct log_event *ev;

	log_take_dma(l);
	if (l->next == l->nevents) {
		lose(l, "the vCPU did not access", addr, 0, val);
		return val;
	}
	ev = &l->event[l->next++];
	if (ev->kind != kind || ev->addr != addr)
		lose(l, "another access than the vCPU's", addr, ev->addr, addr);
	else if (is_output(kind) && ev->val != val)
		lose(l, "another value than the vCPU's is written", addr, ev->val, val);
	val = ev->val;
	log_take_dma(l);
	return val;
}

uint64_t bt_lockstep_value(struct bt_vcpu *v, enum lockstep_kind kind, uint64_t addr, uint64_t val)
{
	struct lockstep *l = v->vm->lockstep;

	if (v == l->twin)
		return replay(l, kind, addr, val);
	append(l, (struct log_event){.kind = kind, .addr = addr, .val = val});
	return val;
}
