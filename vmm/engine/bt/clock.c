/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a vCPU sees it: TSC, the paravirtual clock page (KVM's, as Linux documents it in
 * virt/kvm/x86/msr.rst), and how VM time relates to the TSC.
 */
#include "vmm/engine/bt/mmu.h"

#include <time.h>

#include "vmm/engine/bt/lockstep/lockstep.h"
#include "x86/pvclock.h"

uint64_t bt_read_tsc(struct bt_vcpu *v)
{
	return bt_logged(v, LOG_TSC, 0, bt_guest_tsc(v));
}

uint64_t bt_clock_ns(struct bt_vcpu *v)
{
	uint64_t now;

	bt_fpu_leave(v);
	now = clock_now(v->vm->cfg.clock);
	bt_fpu_enter(v);
	return bt_logged(v, LOG_CLOCK, 0, now);
}

void bt_kvmclock_update(struct bt_vcpu *v)
{
	gpa_t gpa = v->kvmclock_system_time & ~(uint64_t)PVCLOCK_ENABLE;
	uint64_t tsc, ns;
	struct pvclock p;
	uint32_t version;

	if (!(v->kvmclock_system_time & PVCLOCK_ENABLE))
		return;
	bt_phys_read(v, gpa, &version, sizeof(version));
	version |= 1;
	bt_phys_write(v, gpa, &version, sizeof(version));
	tsc = bt_read_tsc(v);
	ns = bt_clock_ns(v) + (uint64_t)v->vm->cfg.clock->kvmclock_offset;
	p = pvclock_at(version, tsc, ns, v->vm->cfg.cpu->tsc_khz);
	bt_phys_write(v, gpa, &p, sizeof(p));
	p.version++;
	bt_phys_write(v, gpa, &p.version, sizeof(p.version));
}

void bt_kvmclock_wall(struct bt_vcpu *v)
{
	struct pvclock_wall w;
	struct timespec now;
	uint64_t ns;

	bt_fpu_leave(v);
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec -
	     clock_now(v->vm->cfg.clock) - (uint64_t)v->vm->cfg.clock->kvmclock_offset;
	bt_fpu_enter(v);
	ns = bt_logged(v, LOG_CLOCK, 1, ns);
	w = pvclock_wall_at(ns);
	bt_phys_write(v, v->kvmclock_wall_clock, &w, sizeof(w));
}
