/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a vCPU sees it: TSC, the paravirtual clock page (KVM's, as Linux documents it in
 * virt/kvm/x86/msr.rst), and how VM time relates to the TSC.
 */
#include "vmm/engine/bt/mmu.h"

#include <time.h>

#include "vmm/engine/bt/lockstep/lockstep.h"

#define KVMCLOCK_ENABLE    1
#define PVCLOCK_TSC_STABLE 1

struct pvclock_page {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
};

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

/* Nanoseconds = (ticks << shift) * mul >> 32, with mul as precise as it goes. */
static void scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t num = 1000000, den = khz ? khz : 1000000;

	*shift = 0;
	while (num >= den) {
		den <<= 1;
		++*shift;
	}
	while (num * 2 < den) {
		num <<= 1;
		--*shift;
	}
	*mul = (uint32_t)((num << 32) / den);
}

/* The guest reads again while the version is odd or has changed. */
void bt_kvmclock_update(struct bt_vcpu *v)
{
	struct pvclock_page p = {.flags = PVCLOCK_TSC_STABLE};
	gpa_t gpa = v->kvmclock_system_time & ~(uint64_t)KVMCLOCK_ENABLE;
	uint32_t version;

	if (!(v->kvmclock_system_time & KVMCLOCK_ENABLE))
		return;
	bt_phys_read(v, gpa, &version, sizeof(version));
	p.version = (version | 1);
	bt_phys_write(v, gpa, &p.version, sizeof(p.version));
	p.tsc_timestamp = bt_read_tsc(v);
	p.system_time = bt_clock_ns(v) + (uint64_t)v->vm->cfg.clock->kvmclock_offset;
	scale(v->vm->cfg.cpu->tsc_khz, &p.mul, &p.shift);
	bt_phys_write(v, gpa, &p, sizeof(p));
	p.version++;
	bt_phys_write(v, gpa, &p.version, sizeof(p.version));
}

/* Wall-clock time at which kvmclock was zero. */
void bt_kvmclock_wall(struct bt_vcpu *v)
{
	struct timespec now;
	uint64_t ns;
	uint32_t w[3] = {2};

	bt_fpu_leave(v);
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec -
	     clock_now(v->vm->cfg.clock) - (uint64_t)v->vm->cfg.clock->kvmclock_offset;
	bt_fpu_enter(v);
	ns = bt_logged(v, LOG_CLOCK, 1, ns);
	w[1] = (uint32_t)(ns / 1000000000);
	w[2] = (uint32_t)(ns % 1000000000);
	bt_phys_write(v, v->kvmclock_wall_clock, w, sizeof(w));
}
