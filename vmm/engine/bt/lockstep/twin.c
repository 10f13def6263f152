/* SPDX-License-Identifier: Apache-2.0 */
/* The twin: its VM, its memory, and how it becomes what the vCPU is. */
#include "vmm/engine/bt/lockstep/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/state.h"

#define PTE_USED 0x60 /* accessed and dirty */

/* ---- making it ------------------------------------------------------------------------------- */

static int copy_layout(struct lockstep *l, const struct guest_memory *from, struct err *e)
{
	l->memory = *from;
	l->memory.nslots = 0;
	l->memory.written = NULL;
	for (unsigned i = 0; i < from->nslots; i++) {
		struct mem_slot *s = &l->memory.slot[i];

		s->host = mmap(NULL, s->size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (s->host == MAP_FAILED)
			return err_set(e, -errno, "lockstep: no second memory: %s",
				       strerror(errno));
		l->memory.nslots++;
	}
	return 0;
}

static int make_twin_vm(struct lockstep *l, struct bt_vm *vm, struct err *e)
{
	struct bt_vm *t = calloc(1, sizeof(*t));
	struct engine_vcpu *c;
	int rc;

	if (!t)
		return err_set(e, -ENOMEM, "lockstep: no memory for the twin");
	l->twin_vm = t;
	t->cfg = vm->cfg;
	t->cfg.mem = &l->memory;
	t->machine = vm->machine;
	t->tier = BT_TIER_INTERP;
	t->lockstep = l;
	t->stopped = true;
	rc = bt_code_init(t, e);
	if (!rc)
		rc = engine_bt.vcpu_create((struct engine_vm *)t, 0, &c, e);
	if (!rc)
		l->twin = (struct bt_vcpu *)c;
	return rc;
}

int bt_lockstep_create(struct bt_vm *vm, struct err *e)
{
	struct lockstep *l;
	int rc;

	if (vm->cfg.nvcpus != 1)
		return err_set(e, -EINVAL, "engine bt: tier=lockstep has one vCPU; use --cpus 1");
	l = aligned_alloc(64, (sizeof(*l) + 63) & ~63ul);
	if (!l)
		return err_set(e, -ENOMEM, "lockstep: out of memory");
	memset(l, 0, sizeof(*l));
	vm->lockstep = l;
	l->main = vm->vcpu[0];
	l->stale = true;
	rc = log_create(l, e);
	if (!rc)
		rc = copy_layout(l, vm->cfg.mem, e);
	if (!rc)
		rc = make_twin_vm(l, vm, e);
	if (rc)
		bt_lockstep_destroy(vm);
	return rc;
}

void bt_lockstep_destroy(struct bt_vm *vm)
{
	struct lockstep *l = vm->lockstep;

	if (!l)
		return;
	vm->lockstep = NULL;
	if (l->twin)
		engine_bt.vcpu_destroy((struct engine_vcpu *)l->twin);
	if (l->twin_vm)
		bt_code_fini(l->twin_vm);
	free(l->twin_vm);
	for (unsigned i = 0; i < l->memory.nslots; i++)
		munmap(l->memory.slot[i].host, l->memory.slot[i].size);
	log_destroy(l);
	free(l);
}

bool bt_lockstep_is_twin(const struct bt_vcpu *v)
{
	return v == v->vm->lockstep->twin;
}

/* ---- becoming what the vCPU is --------------------------------------------------------------- */

void bt_lockstep_stale(struct bt_vm *vm)
{
	vm->lockstep->stale = true;
}

uint8_t *twin_byte(const struct lockstep *l, gpa_t gpa)
{
	struct bt_slot *s = bt_slot_find(l->twin_vm, gpa);

	return s ? s->host + (gpa - s->gpa) : NULL;
}

/* Pages that are the same, untouched ones above all, are left alone. */
static void take_memory(struct lockstep *l)
{
	for (unsigned i = 0; i < l->main->vm->nslots; i++) {
		const struct bt_slot *from = &l->main->vm->slot[i];
		struct bt_slot *to = &l->twin_vm->slot[i];

		for (uint64_t at = 0; at < from->size; at += BT_PAGE) {
			if (!memcmp(to->host + at, from->host + at, BT_PAGE))
				continue;
			memcpy(to->host + at, from->host + at, BT_PAGE);
			bt_code_dma(l->twin_vm, to->gpa + at, BT_PAGE);
		}
	}
}

void twin_take_over(struct lockstep *l)
{
	struct x86_cpu_state *s = aligned_alloc(64, sizeof(*s));
	struct err e;

	if (!s)
		return;
	log_reset(l);
	take_memory(l);
	bt_state_get(l->main, s);
	bt_state_set(l->twin, s, &e); /* the vCPU has accepted the same */
	l->twin->fault = l->main->fault;
	l->stale = false;
	free(s);
}

/* Interrupts come between blocks; the controller has decided, the twin only enters the handler. */
void bt_lockstep_interrupt(struct bt_vcpu *v, unsigned vector)
{
	struct lockstep *l = v->vm->lockstep;

	if (v != l->main || l->stale)
		return;
	log_take_dma(l);
	l->twin->activity = X86_ACTIVE;
	l->twin->nmi_masked = v->nmi_masked;
	bt_deliver_interrupt(l->twin, vector);
	log_reset(l);
}

/* ---- hooks on memory ------------------------------------------------------------------------- */

void bt_lockstep_written(struct bt_vcpu *v, gpa_t gpa, unsigned len)
{
	struct lockstep *l = v->vm->lockstep;

	if (v != l->twin)
		return;
	if (l->nwrites && l->write[l->nwrites - 1].gpa + l->write[l->nwrites - 1].len == gpa) {
		l->write[l->nwrites - 1].len += len;
		return;
	}
	if (l->nwrites == MAX_WRITES)
		return; /* the comparison of all memory will tell */
	l->write[l->nwrites].gpa = gpa;
	l->write[l->nwrites++].len = len;
}

/*
 * Accessed and dirty bits are set when a TLB misses, which the two do at different times: at the
 * end of a block each gets the other's, unless the guest has changed the entry since.
 */
void bt_lockstep_table_bits(struct bt_vcpu *v, const uint8_t *entry, unsigned size, uint64_t bits)
{
	struct lockstep *l = v->vm->lockstep;

	for (unsigned i = 0; i < v->vm->nslots && l->ntables < MAX_TABLES; i++) {
		uint64_t off = (uint64_t)(entry - v->vm->slot[i].host), value = 0;

		if (off >= v->vm->slot[i].size)
			continue;
		memcpy(&value, entry, size);
		l->table[l->ntables].gpa = v->vm->slot[i].gpa + off;
		l->table[l->ntables].entry = value;
		l->table[l->ntables].size = (uint8_t)size;
		l->table[l->ntables++].bits = (uint8_t)bits;
	}
}

static void set_bits(struct bt_vm *vm, gpa_t gpa, unsigned size, uint64_t entry, uint8_t bits)
{
	struct bt_slot *s = bt_slot_find(vm, gpa);
	uint8_t *p = s->host + (gpa - s->gpa);
	uint64_t now = 0;

	memcpy(&now, p, size);
	if (!((now ^ entry) & ~(uint64_t)PTE_USED))
		*p |= bits;
}

void twin_take_table_bits(struct lockstep *l)
{
	for (unsigned i = 0; i < l->ntables; i++) {
		set_bits(l->main->vm, l->table[i].gpa, l->table[i].size, l->table[i].entry,
			 l->table[i].bits);
		set_bits(l->twin_vm, l->table[i].gpa, l->table[i].size, l->table[i].entry,
			 l->table[i].bits);
	}
	l->ntables = 0;
}

/* ---- vector registers and the lock ----------------------------------------------------------- */

/* The twin is about to use them. */
void bt_lockstep_vectors(struct bt_vcpu *v)
{
	struct lockstep *l = v->vm->lockstep;

	if (v != l->twin || l->vectors)
		return;
	bt_fpu_swap(l->main, l->twin);
	l->vectors = true;
}

void twin_vectors_out(struct lockstep *l)
{
	if (l->vectors)
		bt_fpu_swap(l->twin, l->main);
	l->vectors = false;
}

void bt_lockstep_unlock(struct bt_vcpu *v)
{
	const struct engine_machine *m = &v->vm->machine;

	if (v == v->vm->lockstep->main && m->unlock)
		m->unlock(m->opaque);
}

void bt_lockstep_lock(struct bt_vcpu *v)
{
	const struct engine_machine *m = &v->vm->machine;

	if (v == v->vm->lockstep->main && m->lock)
		m->lock(m->opaque);
}
