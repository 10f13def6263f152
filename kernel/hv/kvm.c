/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/kvm: what this system can do, and making VMs. */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/vfs.h"

#define DATA_MAX 4352 /* the largest structure that is copied: struct kvm_xsave */

static const struct hv_ops *ops;

const struct hv_ops *hv_ops(void)
{
	return ops;
}

static int64_t call(const struct hv_call *c, struct hv_vm *vm, struct hv_vcpu *v, void *data,
		    uint64_t arg)
{
	return v ? c->vcpu(v, data, arg) : c->vm(vm, data, arg);
}

int64_t hv_dispatch(const struct hv_call *calls, unsigned n, struct hv_vm *vm, struct hv_vcpu *v,
		    unsigned cmd, uint64_t arg)
{
	const struct hv_call *c = ARRAY_FIND(const struct hv_call, i, calls, n, i->cmd == cmd);
	size_t size = cmd >> 16 & 0x3fff;
	int64_t rc = 0;
	void *data;

	if (!c || c->raw)
		return c ? call(c, vm, v, NULL, arg) : -ENOTTY;
	if (size > DATA_MAX)
		return -EINVAL;
	data = kzalloc(size + 1);
	if (!data)
		return -ENOMEM;
	/* _IOC_WRITE: the structure comes in. Of this one KVM's number says that it went out only.
	 */
	if (cmd >> 30 & 1 || cmd == KVM_SET_IRQCHIP)
		rc = copy_from_user(data, arg, size);
	if (!rc)
		rc = call(c, vm, v, data, arg);
	if (rc >= 0 && cmd >> 31 && copy_to_user(arg, data, size)) /* _IOC_READ: it goes out */
		rc = -EFAULT;
	kfree(data);
	return rc;
}

static int64_t api_version(struct hv_vm *vm, void *data, uint64_t arg)
{
	return KVM_API_VERSION;
}

static int64_t create_vm(struct hv_vm *vm, void *data, uint64_t arg)
{
	if (current_process()->domain) /* whose VM is there already */
		return -EPERM;
	return arg ? -EINVAL : vm_create_file();
}

static int64_t mmap_size(struct hv_vm *vm, void *data, uint64_t arg)
{
	return 2 * PAGE_SIZE;
}

/* What KVM_CHECK_EXTENSION answers; others are 0. */
static const struct capability {
	unsigned cap;
	int value;
} caps[] = {
	{KVM_CAP_IRQCHIP, 1},
	{KVM_CAP_HLT, 1},
	{KVM_CAP_USER_MEMORY, 1},
	{KVM_CAP_SET_TSS_ADDR, 1},
	{KVM_CAP_EXT_CPUID, 1},
	{KVM_CAP_PIT2, 1},
	{KVM_CAP_PIT_STATE2, 1},
	{KVM_CAP_MP_STATE, 1},
	{KVM_CAP_NR_VCPUS, HV_MAX_VCPUS},
	{KVM_CAP_MAX_VCPUS, HV_MAX_VCPUS},
	{KVM_CAP_NR_MEMSLOTS, HV_MAX_SLOTS},
	{KVM_CAP_IRQ_ROUTING, MAX_ROUTES},
	{KVM_CAP_SIGNAL_MSI, 1},
	{KVM_CAP_IOEVENTFD, 1},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, 1},
	{KVM_CAP_ADJUST_CLOCK, 1},
	{KVM_CAP_VCPU_EVENTS, 1},
	{KVM_CAP_DEBUGREGS, 1},
	{KVM_CAP_XSAVE, 1},
	{KVM_CAP_XCRS, 1},
	{KVM_CAP_GET_TSC_KHZ, 1},
	{KVM_CAP_READONLY_MEM, 1},
	{KVM_CAP_IMMEDIATE_EXIT, 1},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, 1},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1},
	{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1},
	{KVM_CAP_TSC_DEADLINE_TIMER, 1},
	{KVM_CAP_USER_NMI, 1},
	{KVM_CAP_SYNC_MMU, 1},
	{KVM_CAP_VCPU_ATTRIBUTES, 1},
	{KVM_CAP_SET_GUEST_DEBUG, 1},
	{KVM_CAP_SET_GUEST_DEBUG2, HV_DEBUG_CONTROL},
};

int64_t hv_check_extension(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct capability *c =
		ARRAY_FIND(const struct capability, i, caps, ARRAY_SIZE(caps), i->cap == arg);

	return c ? c->value : 0;
}

static const struct hv_call system_calls[] = {
	{KVM_GET_API_VERSION, .vm = api_version, .raw = true},
	{KVM_CREATE_VM, .vm = create_vm, .raw = true},
	{KVM_CHECK_EXTENSION, .vm = hv_check_extension, .raw = true},
	{KVM_GET_VCPU_MMAP_SIZE, .vm = mmap_size, .raw = true},
	{KVM_GET_SUPPORTED_CPUID, .vm = supported_cpuid, .raw = true},
};

static int64_t kvm_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	return hv_dispatch(system_calls, ARRAY_SIZE(system_calls), NULL, NULL, cmd, arg);
}

static const struct file_ops kvm_ops = {
	.name = "kvm",
	.ioctl = kvm_ioctl,
};

static struct file *kvm_open(struct node *n, unsigned flags, int *rc)
{
	*rc = -ENOMEM;
	return file_new(&kvm_ops, flags, NULL);
}

void hv_init(void)
{
	static const struct node_ops node_ops = {.open = kvm_open};
	static const struct hv_ops *const candidates[] = {&hv_svm, &hv_vmx};

	for (unsigned i = 0; i < ARRAY_SIZE(candidates) && !ops; i++) {
		if (candidates[i]->probe())
			ops = candidates[i];
	}
	if (!ops) {
		klog("no hardware virtualization (neither AMD-V with nested paging nor VT-x with "
		     "EPT): VMs run by translation");
		return;
	}
	vfs_device("dev/kvm", S_IFCHR | 0660, 0xae8, &node_ops, NULL);
	klog("hardware virtualization: %s", ops->name);
}
