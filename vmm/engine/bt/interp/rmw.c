/* SPDX-License-Identifier: Apache-2.0 */
/* Read-modify-write of memory: plain, or locked by the host's own compare-and-exchange. */
#include "vmm/engine/bt/interp/interp.h"

/* One attempt to replace `old` in guest memory. */
static bool replace(void *p, unsigned size, uint64_t old, uint64_t val)
{
	switch (size) {
	case 1: {
		uint8_t o = (uint8_t)old;

		return __atomic_compare_exchange_n((uint8_t *)p, &o, (uint8_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	case 2: {
		uint16_t o = (uint16_t)old;

		return __atomic_compare_exchange_n((uint16_t *)p, &o, (uint16_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	case 4: {
		uint32_t o = (uint32_t)old;

		return __atomic_compare_exchange_n((uint32_t *)p, &o, (uint32_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	default:
		return __atomic_compare_exchange_n((uint64_t *)p, &old, val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

static void modify_host(struct bt_vcpu *v, void *p, unsigned size, bool lock, x86_alu *fn,
			uint64_t s, uint64_t *old)
{
	uint64_t fl, val;

	do {
		fl = v->rflags;
		*old = 0;
		bt_copy_atomic(old, p, size);
		val = fn(size, *old, s, &fl);
		if (!lock)
			bt_copy_atomic(p, &val, size);
	} while (lock && !replace(p, size, *old, val));
	v->rflags = fl;
}

/* Across pages, on devices, in pages of code: a lock of the VM keeps locked accesses apart. */
static bool modify_slow(struct bt_vcpu *v, gva_t gva, unsigned size, bool lock, x86_alu *fn,
			uint64_t s, uint64_t *old)
{
	uint64_t fl = v->rflags, val;
	bool ok;

	*old = 0;
	if (lock)
		bt_lock(&v->vm->split_lock);
	ok = bt_read_intent(v, gva, old, size);
	if (ok) {
		val = fn(size, *old, s, &fl);
		ok = bt_write(v, gva, &val, size);
	}
	if (lock)
		bt_unlock(&v->vm->split_lock);
	if (ok)
		v->rflags = fl;
	return ok;
}

bool bt_rmw_at(struct bt_vcpu *v, gva_t gva, unsigned size, bool lock, x86_alu *fn, uint64_t s,
	       uint64_t *old)
{
	const struct bt_tlb_page *page = &v->view->tlb->write[bt_tlb_index(v->view, gva)];
	void *p = (void *)(gva + page->addend);

	if (page->tag != BT_TLB_TAG(gva + size - 1)) {
		p = bt_host(v, gva, size, BT_RMW);
		if (!p)
			return v->fault.vector == BT_NO_FAULT &&
			       modify_slow(v, gva, size, lock, fn, s, old);
	}
	modify_host(v, p, size, lock, fn, s, old);
	return true;
}
