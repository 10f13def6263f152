/* SPDX-License-Identifier: Apache-2.0 */
/* A VM as a file: memory, interrupt chips, clock, its vCPUs. */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/file.h"

void vm_get(struct hv_vm *vm)
{
	__atomic_fetch_add(&vm->refs, 1, __ATOMIC_RELAXED);
}

void vm_put(struct hv_vm *vm)
{
	if (__atomic_sub_fetch(&vm->refs, 1, __ATOMIC_ACQ_REL))
		return;
	chips_fini(vm);
	npt_fini(vm); /* nobody looks at vCPUs any more */
	VCPUS(v, vm)
		vcpu_free(v);
	ioevent_free(vm);
	for (unsigned i = 0; i < vm->nslots; i++)
		kfree(vm->slot[i].dirty);
	space_put(vm->space);
	kfree(vm);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool overlaps(struct hv_vm *vm, unsigned slot, const struct kvm_userspace_memory_region *r)
{
	return ARRAY_FIND(const struct hv_slot, s, vm->slot, vm->nslots,
			  s != &vm->slot[slot] && s->size &&
				  r->guest_phys_addr < s->gpa + s->size &&
				  s->gpa < r->guest_phys_addr + r->memory_size);
}

static bool bad_region(const struct kvm_userspace_memory_region *r)
{
	uint64_t all = r->guest_phys_addr | r->memory_size | r->userspace_addr;

	return r->slot >= HV_MAX_SLOTS || all & (PAGE_SIZE - 1) ||
	       r->flags & ~(KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES) ||
	       r->guest_phys_addr + r->memory_size < r->guest_phys_addr ||
	       (r->guest_phys_addr + r->memory_size) >> 48 ||
	       r->userspace_addr + r->memory_size < r->userspace_addr ||
	       r->userspace_addr + r->memory_size > USER_END;
}

static int64_t set_memory(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_userspace_memory_region *r = data;
	struct hv_slot new = {0}, *s;
	uint64_t *drop;
	int rc = 0;

	if (bad_region(r))
		return -EINVAL;
	s = &vm->slot[r->slot];
	if (r->memory_size)
		new = (struct hv_slot){r->guest_phys_addr, r->memory_size, r->userspace_addr,
				       r->flags, NULL};
	if (r->memory_size && r->flags & KVM_MEM_LOG_DIRTY_PAGES) {
		new.dirty = kzalloc((r->memory_size >> PAGE_SHIFT) / 8 + 8);
		if (!new.dirty)
			return -ENOMEM;
	}
	/* In one step for faults, and for the owner's pages that go. */
	LOCKED(&vm->space->lock) {
		drop = new.dirty;
		if (r->memory_size && overlaps(vm, r->slot, r)) {
			rc = -EEXIST;
		} else {
			drop = s->dirty;
			npt_unmap(vm, s->gpa, s->size);
			*s = new;
			vm->nslots = MAX(vm->nslots, r->slot + 1);
		}
	}
	kfree(drop);
	return rc;
}

static int64_t get_dirty_log(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_dirty_log *l = data;

	if (l->slot >= HV_MAX_SLOTS || !vm->slot[l->slot].dirty)
		return -ENOENT;
	return npt_get_dirty(vm, l->slot, (uint64_t)l->dirty_bitmap);
}

/* Both name pages that only Intel's older processors need. */
static int64_t accept(struct hv_vm *vm, void *data, uint64_t arg)
{
	return 0;
}

/* ---- chips ----------------------------------------------------------------------------------- */

static int64_t create_irqchip(struct hv_vm *vm, void *data, uint64_t arg)
{
	SPIN_GUARD(&vm->lock);

	if (vm->has_chips)
		return -EEXIST;
	if (vm->has_file)
		return -EINVAL;
	chips_init(vm);
	return 0;
}

static int64_t create_pit(struct hv_vm *vm, void *data, uint64_t arg)
{
	SPIN_GUARD(&vm->lock);

	if (!vm->has_chips)
		return -ENOENT;
	if (vm->chips.pit_timer.fn)
		return -EEXIST;
	chips_add_pit(vm);
	return 0;
}

static int64_t set_routing(struct hv_vm *vm, void *data, uint64_t arg)
{
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry *table;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nr > MAX_ROUTES || head.flags)
		return -EINVAL;
	table = kzalloc((head.nr + 1) * sizeof(*table));
	if (!table)
		return -ENOMEM;
	if (copy_from_user(table, arg + sizeof(head), head.nr * sizeof(*table))) {
		kfree(table);
		return -EFAULT;
	}
	LOCKED(&vm->lock) {
		memcpy(vm->chips.route, table, head.nr * sizeof(*table));
		vm->chips.nroutes = head.nr;
	}
	kfree(table);
	return 0;
}

static int64_t irq_line(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_irq_level *l = data;

	if (!vm->has_chips)
		return -ENXIO;
	SPIN_GUARD(&vm->lock);
	chips_set_gsi(vm, l->irq, l->level);
	return 0;
}

static int64_t signal_msi(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_msi *m = data;

	deliver_msi(vm, m->address_lo | (uint64_t)m->address_hi << 32, m->data);
	return 1;
}

/* ---- clock, vCPUs, abilities ----------------------------------------------------------------- */

static int64_t get_clock(struct hv_vm *vm, void *data, uint64_t arg)
{
	*(struct kvm_clock_data *)data = (struct kvm_clock_data){
		.clock = now_ns() + (uint64_t)vm->clock_offset, .flags = KVM_CLOCK_TSC_STABLE};
	return 0;
}

static int64_t set_clock(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_clock_data *c = data;

	if (c->flags)
		return -EINVAL;
	vm->clock_offset = (int64_t)(c->clock - now_ns());
	VCPUS(v, vm)
		kvmclock_update(v);
	return 0;
}

static int64_t create_vcpu(struct hv_vm *vm, void *data, uint64_t arg)
{
	return arg < HV_MAX_VCPUS ? vcpu_create_file(vm, (unsigned)arg) : -EINVAL;
}

static const struct hv_call vm_calls[] = {
	{KVM_CREATE_VCPU, .vm = create_vcpu, .raw = true},
	{KVM_SET_USER_MEMORY_REGION, .vm = set_memory},
	{KVM_GET_DIRTY_LOG, .vm = get_dirty_log},
	{KVM_SET_TSS_ADDR, .vm = accept, .raw = true},
	{KVM_SET_IDENTITY_MAP_ADDR, .vm = accept},
	{KVM_CREATE_IRQCHIP, .vm = create_irqchip, .raw = true},
	{KVM_CREATE_PIT2, .vm = create_pit},
	{KVM_GET_IRQCHIP, .vm = chips_get},
	{KVM_SET_IRQCHIP, .vm = chips_set},
	{KVM_GET_PIT2, .vm = chips_get_pit},
	{KVM_SET_PIT2, .vm = chips_set_pit},
	{KVM_SET_GSI_ROUTING, .vm = set_routing, .raw = true},
	{KVM_IRQ_LINE, .vm = irq_line},
	{KVM_SIGNAL_MSI, .vm = signal_msi},
	{KVM_IOEVENTFD, .vm = vm_ioeventfd},
	{KVM_GET_CLOCK, .vm = get_clock},
	{KVM_SET_CLOCK, .vm = set_clock},
	{KVM_CHECK_EXTENSION, .vm = hv_check_extension, .raw = true},
};

static int64_t vm_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct hv_vm *vm = f->data;

	/* The memory that it names is the owner's. */
	if (current_process()->space != vm->space)
		return -EIO;
	return hv_dispatch(vm_calls, ARRAY_SIZE(vm_calls), vm, NULL, cmd, arg);
}

static void vm_close(struct file *f)
{
	vm_put(f->data);
}

static const struct file_ops vm_ops = {
	.name = "anon_inode:kvm-vm",
	.ioctl = vm_ioctl,
	.close = vm_close,
};

int64_t vm_create_file(void)
{
	struct hv_vm *vm = kzalloc(sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->refs = 1;
	vm->ops = hv_ops();
	vm->space = current_process()->space;
	space_get(vm->space);
	vm->clock_offset = -(int64_t)now_ns();
	vm->tsc_base = rdtsc();
	if (npt_init(vm)) {
		space_put(vm->space);
		kfree(vm);
		return -ENOMEM;
	}
	return fd_new(&vm_ops, O_CLOEXEC, vm);
}
