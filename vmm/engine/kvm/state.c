/* SPDX-License-Identifier: Apache-2.0 */
/* A KVM vCPU's registers to and from the engine-neutral state. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/engine/kvm/kvm.h"
#include "x86/kvmstate.h"
#include "x86/registers.h"

static int fail(struct err *e, const struct engine_vcpu *c, int rc, const char *what)
{
	return err_set(e, rc, "KVM: %s of vCPU %u: %s", what, c->index, strerror(-rc));
}

/* ---- general, system and debug registers ----------------------------------------------------- */

static int get_regs(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_regs r;
	int rc = kvm_ioctl(c->fd, KVM_GET_REGS, &r);

	if (rc < 0)
		return fail(e, c, rc, "registers");
	regs_from_kvm(&r, s);
	return 0;
}

static int set_regs(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_regs r;
	int rc;

	regs_to_kvm(s, &r);
	rc = kvm_ioctl(c->fd, KVM_SET_REGS, &r);
	return rc < 0 ? fail(e, c, rc, "registers") : 0;
}

static int get_sregs(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_sregs r;
	int rc = kvm_ioctl(c->fd, KVM_GET_SREGS, &r);

	if (rc < 0)
		return fail(e, c, rc, "system registers");
	sregs_from_kvm(&r, s);
	return 0;
}

static int set_sregs(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_sregs r;
	int rc;

	sregs_to_kvm(s, &r);
	rc = kvm_ioctl(c->fd, KVM_SET_SREGS, &r);
	return rc < 0 ? fail(e, c, rc, "system registers") : 0;
}

static int get_debug(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_debugregs r;
	int rc = kvm_ioctl(c->fd, KVM_GET_DEBUGREGS, &r);

	if (rc < 0)
		return fail(e, c, rc, "debug registers");
	debugregs_from_kvm(&r, s);
	return 0;
}

static int set_debug(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_debugregs r;
	int rc;

	debugregs_to_kvm(s, &r);
	rc = kvm_ioctl(c->fd, KVM_SET_DEBUGREGS, &r);
	return rc < 0 ? fail(e, c, rc, "debug registers") : 0;
}

/* ---- model-specific registers ---------------------------------------------------------------- */

#define M(index, field, ...)                                 \
	{                                                    \
		index, offsetof(struct x86_cpu_state, field) \
	}

static const struct {
	uint32_t index;
	size_t offset;
} msr_table[] = {
	M(0x10, tsc), /* first, so that the adjustment below is not changed by it */
	M(0x3b, tsc_adjust),
	X86_MSR_FIELDS(M),
	M(0x200, mtrr_base[0]),
	M(0x201, mtrr_mask[0]),
	M(0x202, mtrr_base[1]),
	M(0x203, mtrr_mask[1]),
	M(0x204, mtrr_base[2]),
	M(0x205, mtrr_mask[2]),
	M(0x206, mtrr_base[3]),
	M(0x207, mtrr_mask[3]),
	M(0x208, mtrr_base[4]),
	M(0x209, mtrr_mask[4]),
	M(0x20a, mtrr_base[5]),
	M(0x20b, mtrr_mask[5]),
	M(0x20c, mtrr_base[6]),
	M(0x20d, mtrr_mask[6]),
	M(0x20e, mtrr_base[7]),
	M(0x20f, mtrr_mask[7]),
	M(0x4b564d00, kvmclock_wall_clock),
	M(0x4b564d01, kvmclock_system_time),
	M(0x6e0, tsc_deadline), /* after the local APIC: its timer mode decides what this means */
};

#define NMSRS (sizeof(msr_table) / sizeof(msr_table[0]))

struct msr_list {
	uint32_t nmsrs, padding; /* laid out as struct kvm_msrs */
	struct kvm_msr_entry entry[NMSRS];
};

/* KVM answers with the number it has done; the next one is what it does not know. */
static int check_msrs(const struct engine_vcpu *c, const struct msr_list *l, int rc, struct err *e)
{
	if (rc < 0)
		return fail(e, c, rc, "model-specific registers");
	if ((size_t)rc == NMSRS)
		return 0;
	return err_set(e, -ENOTSUP,
		       "KVM: MSR %#x of vCPU %u: this host's KVM does not take value %#llx",
		       l->entry[rc].index, c->index, (unsigned long long)l->entry[rc].data);
}

static int get_msrs(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct msr_list l = {.nmsrs = NMSRS};
	int rc;

	for (unsigned i = 0; i < NMSRS; i++)
		l.entry[i].index = msr_table[i].index;
	rc = check_msrs(c, &l, kvm_ioctl(c->fd, KVM_GET_MSRS, &l), e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < NMSRS; i++)
		memcpy((char *)s + msr_table[i].offset, &l.entry[i].data, sizeof(uint64_t));
	if (c->vm->stopped) {
		s->tsc -= kvm_ticks_since_stop(c->vm);
		s->tsc_deadline = c->tsc_deadline;
	}
	return 0;
}

/*
 * TSC 0 is what every vCPU starts with; KVM takes it as "the same as the others", which keeps them
 * in step. Any other value must count from where guest time stands.
 */
static int set_msrs(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct msr_list l = {.nmsrs = NMSRS};

	for (unsigned i = 0; i < NMSRS; i++) {
		l.entry[i].index = msr_table[i].index;
		memcpy(&l.entry[i].data, (const char *)s + msr_table[i].offset, sizeof(uint64_t));
	}
	if (s->tsc && c->vm->stopped && c->index == 0)
		c->vm->stopped_tsc = s->tsc; /* the others count from here */
	else if (s->tsc)
		l.entry[0].data += kvm_ticks_since_stop(c->vm);
	c->tsc_deadline = s->tsc_deadline;
	return check_msrs(c, &l, kvm_ioctl(c->fd, KVM_SET_MSRS, &l), e);
}

/* ---- vectors ----------------------------------------------------------------------------------
 */

#define XSTATE_BV 512 /* place in the area: components in use; x87 and SSE need no XCR0 */
#define X87_SSE   3u

/* Host and kernel may keep components that the model lacks. No guest reaches them, and a host
 * without them would not take the state. */
static void drop_foreign_components(struct x86_cpu_state *s, uint64_t allowed)
{
	uint64_t used;

	memcpy(&used, s->xsave + XSTATE_BV, sizeof(used));
	used &= allowed | X87_SSE;
	memcpy(s->xsave + XSTATE_BV, &used, sizeof(used));
}

static int get_fpu(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_xcrs x = {0};
	int rc;

	_Static_assert(sizeof(struct kvm_xsave) == X86_XSAVE_SIZE, "the area KVM gives");
	rc = kvm_ioctl(c->fd, KVM_GET_XSAVE, s->xsave);
	if (rc < 0)
		return fail(e, c, rc, "vector state");
	drop_foreign_components(s, c->vm->cpu.xcr0_allowed);
	s->xcr0 = 1;
	if (!c->vm->has_xcrs)
		return 0;
	rc = kvm_ioctl(c->fd, KVM_GET_XCRS, &x);
	if (rc < 0)
		return fail(e, c, rc, "XCR0");
	for (unsigned i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (x.xcrs[i].xcr == 0)
			s->xcr0 = x.xcrs[i].value;
	return 0;
}

static int set_fpu(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs[0].value = s->xcr0};
	int rc = kvm_ioctl(c->fd, KVM_SET_XSAVE, (void *)s->xsave);

	if (rc < 0)
		return fail(e, c, rc, "vector state");
	if (!c->vm->has_xcrs || !c->vm->cpu.xcr0_allowed)
		return 0;
	rc = kvm_ioctl(c->fd, KVM_SET_XCRS, &x);
	return rc < 0 ? fail(e, c, rc, "XCR0") : 0;
}

/* ---- interrupts -------------------------------------------------------------------------------
 */

#define LAPIC_ISR 0x10 /* 8 registers each */
#define LAPIC_IRR 0x20

static int get_lapic(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_lapic_state l;
	int rc = kvm_ioctl(c->fd, KVM_GET_LAPIC, &l);

	if (rc < 0)
		return fail(e, c, rc, "local APIC");
	lapic_from_kvm(&l, s->lapic);
	return 0;
}

static int set_lapic(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_lapic_state l;
	int rc;

	lapic_to_kvm(s->lapic, &l);
	rc = kvm_ioctl(c->fd, KVM_SET_LAPIC, &l);
	return rc < 0 ? fail(e, c, rc, "local APIC") : 0;
}

/*
 * An interrupt that KVM has taken from the local APIC but not yet delivered goes back there:
 * from "in service" to "requested".
 */
static void undo_acknowledge(struct x86_cpu_state *s, uint8_t vector)
{
	uint32_t bit = 1u << vector % 32;
	unsigned word = vector / 32;

	if (s->lapic[LAPIC_ISR + word] & bit) {
		s->lapic[LAPIC_ISR + word] &= ~bit;
		s->lapic[LAPIC_IRR + word] |= bit;
	}
}

/*
 * AMD-V does not tell the two apart. MOV SS holds more back (also traps), and VT-x takes it with
 * any IF, STI's only with IF 1: SDM 3, "Checks on Guest Non-Register State".
 */
static uint8_t from_shadow(uint8_t kvm)
{
	if (kvm & KVM_X86_SHADOW_INT_MOV_SS)
		return X86_SHADOW_SS;
	return kvm & KVM_X86_SHADOW_INT_STI ? X86_SHADOW_STI : 0;
}

static uint8_t to_shadow(uint8_t shadow)
{
	if (shadow & X86_SHADOW_SS)
		return KVM_X86_SHADOW_INT_MOV_SS;
	return shadow ? KVM_X86_SHADOW_INT_STI : 0;
}

static int get_events(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_vcpu_events v;
	int rc = kvm_ioctl(c->fd, KVM_GET_VCPU_EVENTS, &v);

	if (rc < 0)
		return fail(e, c, rc, "pending events");
	s->exception_pending = v.exception.injected;
	s->exception_vector = v.exception.nr;
	s->exception_has_error = v.exception.has_error_code;
	s->exception_error = v.exception.error_code;
	s->nmi_pending = v.nmi.pending || v.nmi.injected;
	s->nmi_masked = v.nmi.masked;
	s->interrupt_shadow = from_shadow(v.interrupt.shadow);
	if (v.interrupt.injected && !v.interrupt.soft)
		undo_acknowledge(s, v.interrupt.nr);
	return 0;
}

static int set_events(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_vcpu_events v = {
		.exception =
			{
				.injected = s->exception_pending,
				.nr = s->exception_vector,
				.has_error_code = s->exception_has_error,
				.error_code = s->exception_error,
			},
		.interrupt.shadow = to_shadow(s->interrupt_shadow),
		.nmi = {.pending = s->nmi_pending, .masked = s->nmi_masked},
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
	};
	int rc = kvm_ioctl(c->fd, KVM_SET_VCPU_EVENTS, &v);

	return rc < 0 ? fail(e, c, rc, "pending events") : 0;
}

static int get_activity(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	struct kvm_mp_state mp;
	int rc = kvm_ioctl(c->fd, KVM_GET_MP_STATE, &mp);

	if (rc < 0)
		return fail(e, c, rc, "activity");
	s->activity = activity_from_kvm(mp.mp_state);
	return 0;
}

static int set_activity(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct kvm_mp_state mp;
	int rc;

	if (s->activity > X86_WAIT_SIPI)
		return err_set(e, -EINVAL, "state: activity %u is unknown", s->activity);
	mp.mp_state = activity_to_kvm(s->activity);
	rc = kvm_ioctl(c->fd, KVM_SET_MP_STATE, &mp);
	return rc < 0 ? fail(e, c, rc, "activity") : 0;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

int kvm_vcpu_get(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	static int (*const steps[])(struct engine_vcpu *, struct x86_cpu_state *, struct err *) = {
		/* KVM wants to be asked for the activity first: it settles a pending INIT or SIPI.
		 */
		get_activity, get_regs, get_sregs, get_debug,
		get_msrs,     get_fpu,  get_lapic, get_events,
	};
	int rc = 0;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && !rc; i++)
		rc = steps[i](c, s, e);
	return rc;
}

int kvm_vcpu_set(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	static int (*const steps[])(struct engine_vcpu *, const struct x86_cpu_state *,
				    struct err *) = {
		/* The APIC's base decides how its registers read, its timer what the deadline
		   means. */
		set_sregs, set_regs,  set_fpu,      set_lapic,
		set_msrs,  set_debug, set_activity, set_events,
	};
	int rc = 0;

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && !rc; i++)
		rc = steps[i](c, s, e);
	return rc;
}
