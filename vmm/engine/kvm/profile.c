/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of a vCPU's RIP under KVM: it is brought out of guest code for each. */
#include "vmm/engine/kvm/kvm.h"

void kvm_vcpu_profile(struct engine_vcpu *c, struct profile *p)
{
	c->profile = p;
	atomic_store(&c->sample_wanted, false);
}

void kvm_vcpu_sample(struct engine_vcpu *c)
{
	atomic_store(&c->sample_wanted, true);
	kvm_vcpu_disturb(c);
}

void kvm_take_sample(struct engine_vcpu *c)
{
	struct kvm_regs regs;
	struct kvm_mp_state mp = {0};

	if (!c->profile || !atomic_exchange(&c->sample_wanted, false))
		return;
	if (!kvm_ioctl(c->fd, KVM_GET_MP_STATE, &mp) && mp.mp_state == KVM_MP_STATE_HALTED)
		c->profile->idle++;
	else if (!kvm_ioctl(c->fd, KVM_GET_REGS, &regs))
		profile_add(c->profile, regs.rip);
}
