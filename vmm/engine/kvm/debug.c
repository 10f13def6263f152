/* SPDX-License-Identifier: Apache-2.0 */
/* A debugger's points and steps under KVM: KVM_SET_GUEST_DEBUG and the exits it brings. */
#include <errno.h>
#include <string.h>

#include "vmm/engine/kvm/kvm.h"

#define VECTOR_BP 3
#define DR6_BS    (1u << 14)
#define DR7_GE    (1u << 9) /* exact data breakpoints; old processors want it */
#define EFLAGS_RF (1u << 16)

/* DR7's fields of a point: RW and LEN (Intel SDM volume 3B section 18.2.4). */
static uint64_t dr7_fields(const struct engine_point *p, unsigned i)
{
	static const uint8_t rw[] = {
		[POINT_CODE] = 0, [POINT_WRITE] = 1, [POINT_READ] = 3, [POINT_ACCESS] = 3};
	uint64_t len = p->kind == POINT_CODE ? 0 : p->len == 8 ? 2 : p->len - 1;

	return 2ull << (2 * i) | (uint64_t)rw[p->kind] << (16 + 4 * i) | len << (18 + 4 * i);
}

static bool fits(const struct engine_point *p)
{
	return p->kind == POINT_CODE ||
	       ((p->len == 1 || p->len == 2 || p->len == 4 || p->len == 8) && !(p->addr % p->len));
}

static int take_points(struct engine_vcpu *c, const struct engine_debug *d,
		       struct kvm_guest_debug *g, struct err *e)
{
	c->debug.nhard = c->debug.nint3 = 0;
	if (d->npoints > ENGINE_MAX_POINTS)
		return err_set(e, -ENOSPC, "more than %d breakpoints", ENGINE_MAX_POINTS);
	for (unsigned i = 0; i < d->npoints; i++) {
		const struct engine_point *p = &d->point[i];
		unsigned n = c->debug.nhard;

		if (p->kind == POINT_INT3) {
			c->debug.int3[c->debug.nint3++] = p->addr;
			continue;
		}
		if (n == KVM_MAX_POINTS)
			return err_set(e, -ENOSPC, "the processor has %d breakpoint registers",
				       KVM_MAX_POINTS);
		if (!fits(p))
			return err_set(e, -EINVAL,
				       "a breakpoint register watches 1, 2, 4 or 8 aligned bytes");
		g->arch.debugreg[n] = p->addr;
		g->arch.debugreg[7] |= dr7_fields(p, n) | DR7_GE;
		c->debug.hard[c->debug.nhard++] = *p;
	}
	return 0;
}

static void set_resume_flag(struct engine_vcpu *c)
{
	struct kvm_regs regs;

	if (kvm_ioctl(c->fd, KVM_GET_REGS, &regs))
		return;
	regs.rflags |= EFLAGS_RF;
	kvm_ioctl(c->fd, KVM_SET_REGS, &regs);
}

static uint32_t control_bits(const struct engine_vcpu *c, const struct engine_debug *d)
{
	uint32_t bits = KVM_GUESTDBG_ENABLE;
	int known = kvm_ioctl_val(c->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

	if (c->debug.nhard)
		bits |= KVM_GUESTDBG_USE_HW_BP;
	if (c->debug.nint3)
		bits |= KVM_GUESTDBG_USE_SW_BP;
	if (d->step) /* older kernels cannot hold interrupts back: steps then visit handlers */
		bits |= KVM_GUESTDBG_SINGLESTEP |
			(known > 0 ? KVM_GUESTDBG_BLOCKIRQ & (uint32_t)known : 0);
	return bits;
}

static int set_guest_debug(struct engine_vcpu *c, struct err *e)
{
	int rc = kvm_ioctl(c->fd, KVM_SET_GUEST_DEBUG, &c->debug.kvm);

	if (rc < 0)
		return err_set(e, rc, "KVM_SET_GUEST_DEBUG: %s; --engine bt has a debugger",
			       strerror(-rc));
	return 0;
}

int kvm_vcpu_debug(struct engine_vcpu *c, const struct engine_debug *d, struct err *e)
{
	struct kvm_guest_debug g = {0};
	int rc = 0;

	c->debug.step = d && d->step;
	if (d)
		rc = take_points(c, d, &g, e);
	if (rc)
		return rc;
	if (d && d->pass && c->debug.nhard)
		set_resume_flag(c);
	g.control = d ? control_bits(c, d) : 0;
	c->debug.kvm = g;
	return set_guest_debug(c, e);
}

void kvm_vcpu_stop(struct engine_vcpu *c, struct engine_stop *out)
{
	*out = c->debug.stop;
}

/* An exception that is the guest's own business goes on to it. */
static bool reflect(struct engine_vcpu *c, uint32_t inject)
{
	struct kvm_guest_debug g = c->debug.kvm;

	g.control |= inject;
	kvm_ioctl(c->fd, KVM_SET_GUEST_DEBUG, &g);
	return false;
}

static bool is_own_int3(const struct engine_vcpu *c, uint64_t pc)
{
	for (unsigned i = 0; i < c->debug.nint3; i++)
		if (c->debug.int3[i] == pc)
			return true;
	return false;
}

static bool stop_at(struct engine_vcpu *c, enum engine_point_kind kind, uint64_t addr)
{
	c->debug.stop = (struct engine_stop){.cause = STOP_POINT, .kind = kind, .addr = addr};
	return true;
}

bool kvm_debug_exit(struct engine_vcpu *c)
{
	const struct kvm_debug_exit_arch *a = &c->run->debug.arch;

	if (a->exception == VECTOR_BP)
		return is_own_int3(c, a->pc) ? stop_at(c, POINT_INT3, a->pc)
					     : reflect(c, KVM_GUESTDBG_INJECT_BP);
	for (unsigned i = 0; i < c->debug.nhard; i++)
		if (a->dr6 >> i & 1)
			return stop_at(c, c->debug.hard[i].kind, c->debug.hard[i].addr);
	if (!(a->dr6 & DR6_BS) || !c->debug.step)
		return reflect(c, KVM_GUESTDBG_INJECT_DB);
	c->debug.stop = (struct engine_stop){.cause = STOP_STEP, .addr = a->pc};
	return true;
}
