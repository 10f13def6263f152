/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU as a file: its state, given and taken as Linux's KVM does. */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/fpu.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/user.h"
#include "kernel/sys/file.h"
#include "x86/kvmstate.h"
#include "x86/registers.h"

/* ---- registers ------------------------------------------------------------------------------- */

static int64_t get_regs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	vcpu_state_to_cpu(v);
	regs_to_kvm(&v->s, data);
	return 0;
}

static int64_t set_regs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	vcpu_state_to_cpu(v);
	regs_from_kvm(data, &v->s);
	v->s.rflags |= 2;
	v->again.event = 0;
	return 0;
}

/* The local APIC has CR8 and its base. */
static int64_t get_sregs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	struct kvm_sregs *r = data;

	vcpu_state_to_cpu(v);
	sregs_to_kvm(&v->s, r);
	r->cr8 = lapic_get_cr8(&v->lapic);
	r->apic_base = v->lapic.hw.base;
	return 0;
}

static int64_t set_sregs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_sregs *r = data;

	vcpu_state_to_cpu(v);
	sregs_from_kvm(r, &v->s);
	v->s.cr0 |= CR0_ET;
	v->lapic.hw.base = r->apic_base;
	lapic_set_cr8(&v->lapic, (uint8_t)r->cr8);
	v->flush = true;
	return 0;
}

static int64_t get_debugregs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	vcpu_state_to_cpu(v);
	debugregs_to_kvm(&v->s, data);
	return 0;
}

static int64_t set_debugregs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_debugregs *r = data;

	if ((r->dr6 | r->dr7) >> 32)
		return -EINVAL;
	vcpu_state_to_cpu(v);
	debugregs_from_kvm(r, &v->s);
	return 0;
}

static int64_t access_msrs(struct hv_vcpu *v, uint64_t arg, bool write)
{
	struct kvm_msrs head;
	struct kvm_msr_entry e;
	uint32_t i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > 256)
		return -E2BIG;
	vcpu_state_to_cpu(v);
	for (i = 0; i < head.nmsrs; i++) {
		uint64_t at = arg + sizeof(head) + i * sizeof(e), val;

		if (copy_from_user(&e, at, sizeof(e)))
			return -EFAULT;
		if (write ? !msr_set(v, e.index, e.data, true) : !msr_get(v, e.index, &val))
			break;
		e.data = write ? e.data : val;
		if (!write && copy_to_user(at, &e, sizeof(e)))
			return -EFAULT;
	}
	return i;
}

static int64_t get_msrs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	return access_msrs(v, arg, false);
}

static int64_t set_msrs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	return access_msrs(v, arg, true);
}

/* ---- vectors --------------------------------------------------------------------------------- */

static int64_t get_xsave(struct hv_vcpu *v, void *data, uint64_t arg)
{
	memcpy(data, v->guest_fpu, MIN(fpu_size(), sizeof(struct kvm_xsave)));
	return 0;
}

static int64_t set_xsave(struct hv_vcpu *v, void *data, uint64_t arg)
{
	memcpy(v->guest_fpu, data, MIN(fpu_size(), sizeof(struct kvm_xsave)));
	fpu_sanitize(v->guest_fpu);
	return 0;
}

static int64_t get_xcrs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	struct kvm_xcrs *x = data;

	memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].value = v->s.xcr0;
	return 0;
}

static int64_t set_xcrs(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_xcrs *x = data;

	for (unsigned i = 0; i < x->nr_xcrs && i < KVM_MAX_XCRS; i++) {
		if (x->xcrs[i].xcr || !x86_xcr0_valid(x->xcrs[i].value, fpu_features()))
			return -EINVAL;
		v->s.xcr0 = x->xcrs[i].value;
	}
	return 0;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static int64_t get_lapic(struct hv_vcpu *v, void *data, uint64_t arg)
{
	uint32_t regs[LAPIC_NREGS];

	lapic_save(&v->lapic, regs);
	lapic_to_kvm(regs, data);
	return 0;
}

static int64_t set_lapic(struct hv_vcpu *v, void *data, uint64_t arg)
{
	uint32_t regs[LAPIC_NREGS];

	lapic_from_kvm(data, regs);
	lapic_load(&v->lapic, regs, v->lapic.hw.base, v->lapic.hw.tsc_deadline);
	return 0;
}

static int64_t get_events(struct hv_vcpu *v, void *data, uint64_t arg)
{
	struct kvm_vcpu_events *e = data;

	vcpu_state_to_cpu(v);
	memset(e, 0, sizeof(*e));
	e->exception.injected = v->again.event && EVENT_TYPE(v->again.event) == EVENT_EXCEPTION;
	e->exception.nr = EVENT_VECTOR(v->again.event);
	e->exception.has_error_code = !!(v->again.event & EVENT_ERROR);
	e->exception.error_code = v->again.error;
	e->interrupt.injected = v->again.event && EVENT_TYPE(v->again.event) == EVENT_EXTERNAL;
	e->interrupt.nr = EVENT_VECTOR(v->again.event);
	e->interrupt.shadow = v->s.interrupt_shadow ? KVM_X86_SHADOW_INT_STI : 0;
	e->nmi.pending = v->nmi_pending;
	e->nmi.masked = v->nmi_masked;
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	return 0;
}

static int64_t set_events(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_vcpu_events *e = data;

	vcpu_state_to_cpu(v);
	v->again.event = 0;
	if (e->exception.injected)
		vcpu_inject_exception(v, e->exception.nr, e->exception.has_error_code,
				      e->exception.error_code);
	else if (e->interrupt.injected && !e->interrupt.soft)
		v->again.event = EVENT(EVENT_EXTERNAL, e->interrupt.nr);
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		v->nmi_pending = e->nmi.pending || e->nmi.injected;
	v->nmi_masked = e->nmi.masked;
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		v->s.interrupt_shadow = e->interrupt.shadow != 0;
	return 0;
}

static int64_t get_mp_state(struct hv_vcpu *v, void *data, uint64_t arg)
{
	((struct kvm_mp_state *)data)->mp_state = activity_to_kvm(v->s.activity);
	return 0;
}

static int64_t set_mp_state(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_mp_state *m = data;

	if (m->mp_state > KVM_MP_STATE_HALTED)
		return -EINVAL;
	v->s.activity = activity_from_kvm(m->mp_state);
	return 0;
}

static int64_t send_nmi(struct hv_vcpu *v, void *data, uint64_t arg)
{
	v->nmi_pending = true;
	vcpu_kick(v);
	return 0;
}

/* ---- time, CPUID, debugging ------------------------------------------------------------------ */

static int64_t get_tsc_khz(struct hv_vcpu *v, void *data, uint64_t arg)
{
	return (int64_t)tsc_khz();
}

static bool is_tsc_offset(const struct kvm_device_attr *a)
{
	return a->group == KVM_VCPU_TSC_CTRL && a->attr == KVM_VCPU_TSC_OFFSET;
}

static int64_t has_attr(struct hv_vcpu *v, void *data, uint64_t arg)
{
	return is_tsc_offset(data) ? 0 : -ENXIO;
}

static int64_t get_attr(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_device_attr *a = data;

	return is_tsc_offset(a) ? copy_to_user(a->addr, &v->tsc_offset, 8) : -ENXIO;
}

static int64_t set_attr(struct hv_vcpu *v, void *data, uint64_t arg)
{
	const struct kvm_device_attr *a = data;

	return is_tsc_offset(a) ? copy_from_user(&v->tsc_offset, a->addr, 8) : -ENXIO;
}

static int64_t set_cpuid2(struct hv_vcpu *v, void *data, uint64_t arg)
{
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > HV_MAX_CPUID)
		return -E2BIG;
	if (copy_from_user(v->cpuid, arg + sizeof(head), head.nent * sizeof(v->cpuid[0])))
		return -EFAULT;
	v->ncpuid = head.nent;
	return 0;
}

/* The guest is told that its owner stopped it, so that its watchdogs keep quiet. */
static int64_t kvmclock_ctrl(struct hv_vcpu *v, void *data, uint64_t arg)
{
	if (!(v->s.kvmclock_system_time & 1))
		return -EINVAL;
	kvmclock_update(v);
	return 0;
}

static int64_t run(struct hv_vcpu *v, void *data, uint64_t arg)
{
	return arg ? -EINVAL : vcpu_run(v);
}

static const struct hv_call vcpu_calls[] = {
	{KVM_RUN, .vcpu = run, .raw = true},
	{KVM_GET_REGS, .vcpu = get_regs},
	{KVM_SET_REGS, .vcpu = set_regs},
	{KVM_GET_SREGS, .vcpu = get_sregs},
	{KVM_SET_SREGS, .vcpu = set_sregs},
	{KVM_GET_DEBUGREGS, .vcpu = get_debugregs},
	{KVM_SET_DEBUGREGS, .vcpu = set_debugregs},
	{KVM_GET_MSRS, .vcpu = get_msrs, .raw = true},
	{KVM_SET_MSRS, .vcpu = set_msrs, .raw = true},
	{KVM_GET_XSAVE, .vcpu = get_xsave},
	{KVM_SET_XSAVE, .vcpu = set_xsave},
	{KVM_GET_XCRS, .vcpu = get_xcrs},
	{KVM_SET_XCRS, .vcpu = set_xcrs},
	{KVM_GET_LAPIC, .vcpu = get_lapic},
	{KVM_SET_LAPIC, .vcpu = set_lapic},
	{KVM_GET_VCPU_EVENTS, .vcpu = get_events},
	{KVM_SET_VCPU_EVENTS, .vcpu = set_events},
	{KVM_GET_MP_STATE, .vcpu = get_mp_state},
	{KVM_SET_MP_STATE, .vcpu = set_mp_state},
	{KVM_NMI, .vcpu = send_nmi, .raw = true},
	{KVM_GET_TSC_KHZ, .vcpu = get_tsc_khz, .raw = true},
	{KVM_HAS_DEVICE_ATTR, .vcpu = has_attr},
	{KVM_GET_DEVICE_ATTR, .vcpu = get_attr},
	{KVM_SET_DEVICE_ATTR, .vcpu = set_attr},
	{KVM_SET_CPUID2, .vcpu = set_cpuid2, .raw = true},
	{KVM_SET_GUEST_DEBUG, .vcpu = vcpu_set_debug},
	{KVM_KVMCLOCK_CTRL, .vcpu = kvmclock_ctrl, .raw = true},
};

/* ---- the file -------------------------------------------------------------------------------- */

static int64_t vcpu_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct hv_vcpu *v = f->data;
	int64_t rc;

	if (current_process()->space != v->vm->space)
		return -EIO;
	if (cmd == KVM_NMI) /* from other threads too, while it runs */
		return send_nmi(v, NULL, 0);
	if (__atomic_exchange_n(&v->busy, true, __ATOMIC_ACQUIRE))
		return -EBUSY;
	rc = hv_dispatch(vcpu_calls, ARRAY_SIZE(vcpu_calls), v->vm, v, cmd, arg);
	__atomic_store_n(&v->busy, false, __ATOMIC_RELEASE);
	return rc;
}

static int64_t vcpu_mmap(struct file *f, uint64_t addr, uint64_t len, unsigned flags,
			 uint64_t offset, bool fixed)
{
	if (offset || fixed || len > 2 * PAGE_SIZE || !(flags & VMA_SHARED))
		return -EINVAL;
	return space_map(current_process()->space, addr, len, flags,
			 ((struct hv_vcpu *)f->data)->run_pages, 0, false);
}

void vcpu_free(struct hv_vcpu *v)
{
	timer_end(&v->timer);
	if (v->hw_page)
		page_put(v->hw_page);
	kfree(v->hw);
	memobj_put(v->run_pages);
	kfree(v->guest_fpu);
	kfree(v);
}

static void vcpu_close(struct file *f)
{
	vm_put(((struct hv_vcpu *)f->data)->vm);
}

static const struct file_ops vcpu_ops = {
	.name = "anon_inode:kvm-vcpu",
	.ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.close = vcpu_close,
};

/* The object keeps it. */
static void *make_page(struct memobj *o, uint64_t offset)
{
	uint64_t page = memobj_page(o, offset, true);

	if (!page)
		return NULL;
	page_put(page);
	return phys_to_virt(page);
}

static int make_run_pages(struct hv_vcpu *v)
{
	v->run_pages = memobj_new();
	if (!v->run_pages)
		return -ENOMEM;
	v->run_pages->size = 2 * PAGE_SIZE;
	v->run = make_page(v->run_pages, 0);
	v->port_data = make_page(v->run_pages, PAGE_SIZE);
	return v->run && v->port_data ? 0 : -ENOMEM;
}

static int vcpu_new(struct hv_vm *vm, unsigned index)
{
	struct hv_vcpu *v = kzalloc(sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	v->vm = vm;
	v->index = index;
	v->tsc_offset = 0 - vm->tsc_base;
	v->guest_fpu = kzalloc(MAX(fpu_size(), sizeof(struct kvm_xsave)));
	v->hw = kzalloc(vm->ops->hw_size);
	v->hw_page = page_alloc_zero(0);
	v->last_cpu = -1;
	rc = v->guest_fpu && v->hw && v->hw_page ? make_run_pages(v) : -ENOMEM;
	rc = rc ? rc : vm->ops->vcpu_init(v);
	if (rc) {
		vcpu_free(v);
		return rc;
	}
	vcpu_lapic_init(v);
	vcpu_reset(v, false);
	v->s.activity = index ? X86_WAIT_SIPI : X86_ACTIVE;
	__atomic_store_n(&vm->vcpu[index], v, __ATOMIC_RELEASE);
	return 0;
}

/* Who walks vm->vcpu[] takes no lock: a vCPU for which there was no descriptor waits for the next
 * attempt. */
int64_t vcpu_create_file(struct hv_vm *vm, unsigned index)
{
	uint64_t bit = 1UL << index, had = 0;
	int64_t rc;

	LOCKED(&vm->lock) /* chips come before all vCPUs, or not at all */
		had = __atomic_fetch_or(&vm->has_file, bit, __ATOMIC_ACQUIRE);
	if (had & bit)
		return -EEXIST;
	rc = vm->vcpu[index] ? 0 : vcpu_new(vm, index);
	if (!rc) {
		vm_get(vm);
		rc = fd_new(&vcpu_ops, O_CLOEXEC, vm->vcpu[index]);
	}
	if (rc < 0)
		__atomic_fetch_and(&vm->has_file, ~bit, __ATOMIC_RELEASE);
	return rc;
}
