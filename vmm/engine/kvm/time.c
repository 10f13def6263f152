/* SPDX-License-Identifier: Apache-2.0 */
/* Guest time under KVM stands still while the VM is stopped: kvmclock, TSC, deadline timer. */
#include "vmm/engine/kvm/kvm.h"

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0

struct one_msr {
	uint32_t nmsrs, padding; /* laid out as struct kvm_msrs */
	struct kvm_msr_entry entry[1];
};

static uint64_t get_msr(const struct engine_vcpu *c, uint32_t index)
{
	struct one_msr m = {.nmsrs = 1, .entry[0].index = index};

	return kvm_ioctl(c->fd, KVM_GET_MSRS, &m) == 1 ? m.entry[0].data : 0;
}

/* Writing it anew makes KVM compute the timer's host time again. */
static void set_deadline(struct engine_vcpu *c, uint64_t deadline)
{
	struct one_msr m = {.nmsrs = 1, .entry[0] = {MSR_TSC_DEADLINE, 0, deadline}};

	if (deadline)
		kvm_ioctl(c->fd, KVM_SET_MSRS, &m);
}

/*
 * Read from the guest's TSC and not computed from the host's, because where the host's is unstable
 * KVM itself lets the guest's stand while a vCPU does not run. The first vCPU speaks for all, so
 * that they stay in step.
 */
uint64_t kvm_ticks_since_stop(const struct engine_vm *vm)
{
	uint64_t now;

	if (!vm->stopped || !vm->has_tsc_offset || !vm->vcpu[0])
		return 0;
	now = get_msr(vm->vcpu[0], MSR_TSC);
	return now > vm->stopped_tsc ? now - vm->stopped_tsc : 0;
}

/* Guest TSC = host TSC, scaled, + offset. */
static void move_tsc_back(struct engine_vcpu *c, uint64_t ticks)
{
	__u64 offset;
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (kvm_ioctl(c->fd, KVM_GET_DEVICE_ATTR, &a) < 0)
		return;
	offset -= ticks;
	kvm_ioctl(c->fd, KVM_SET_DEVICE_ATTR, &a);
}

void kvm_vm_stopped(struct engine_vm *vm)
{
	struct kvm_clock_data clock;

	vm->stopped = true;
	if (vm->has_clock && kvm_ioctl(vm->fd, KVM_GET_CLOCK, &clock) == 0)
		vm->clock->kvmclock_offset = (int64_t)(clock.clock - clock_now(vm->clock));
	if (vm->vcpu[0])
		vm->stopped_tsc = get_msr(vm->vcpu[0], MSR_TSC);
	for (unsigned i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i])
			vm->vcpu[i]->tsc_deadline = get_msr(vm->vcpu[i], MSR_TSC_DEADLINE);
}

/*
 * The order matters: KVM derives kvmclock's page from TSC offset and clock together at the next
 * entry, and the deadline is a guest TSC value. KVM_KVMCLOCK_CTRL tells the guest's watchdogs
 * that it was stopped.
 */
void kvm_vm_started(struct engine_vm *vm)
{
	struct kvm_clock_data clock = {0};
	uint64_t ticks = kvm_ticks_since_stop(vm);

	if (!vm->stopped)
		return;
	vm->stopped = false;
	for (unsigned i = 0; i < vm->nvcpus; i++)
		if (vm->vcpu[i] && ticks)
			move_tsc_back(vm->vcpu[i], ticks);
	clock.clock = clock_now(vm->clock) + (uint64_t)vm->clock->kvmclock_offset;
	if (vm->has_clock)
		kvm_ioctl(vm->fd, KVM_SET_CLOCK, &clock);
	for (unsigned i = 0; i < vm->nvcpus; i++) {
		if (!vm->vcpu[i])
			continue;
		set_deadline(vm->vcpu[i], vm->vcpu[i]->tsc_deadline);
		kvm_ioctl(vm->vcpu[i]->fd, KVM_KVMCLOCK_CTRL, NULL);
	}
}
