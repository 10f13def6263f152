/* SPDX-License-Identifier: Apache-2.0 */
/* A VM under KVM: its memory, event descriptors, life; and the table of the engine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/engine/kvm/kvm.h"

static int fail(struct err *e, int rc, const char *what)
{
	return err_set(e, rc, "KVM: %s: %s", what, strerror(-rc));
}

static int set_memory(struct engine_vm *vm, unsigned slot, bool present)
{
	const struct mem_slot *s = &vm->mem->slot[slot];
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = s->readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = present ? s->gpa : 0,
		.memory_size = present ? s->size : 0,
		.userspace_addr = (uintptr_t)s->host,
	};

	return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

/* A slot that is there is deleted first: moving one is not among the calls we rely on. */
static int mem_moved(struct engine_vm *vm, unsigned slot, gpa_t old)
{
	int rc = old == MEM_UNMAPPED ? 0 : set_memory(vm, slot, false);

	if (!rc && vm->mem->slot[slot].gpa != MEM_UNMAPPED)
		rc = set_memory(vm, slot, true);
	return rc;
}

static int add_memory(struct engine_vm *vm, struct err *e)
{
	for (unsigned i = 0; i < vm->mem->nslots; i++) {
		const struct mem_slot *s = &vm->mem->slot[i];
		int rc;

		if (s->gpa == MEM_UNMAPPED)
			continue;
		if (s->readonly &&
		    kvm_ioctl_val(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
			return err_set(e, -ENOTSUP,
				       "KVM: this host cannot run firmware: no "
				       "KVM_CAP_READONLY_MEM; use --engine bt");
		rc = set_memory(vm, i, true);
		if (rc < 0)
			return err_set(e, rc, "KVM: memory at %#llx, %llu MiB: %s",
				       (unsigned long long)s->gpa,
				       (unsigned long long)(s->size / MIB), strerror(-rc));
	}
	return 0;
}

/* The saved state has no performance counters, so a guest gets none where that can be had. */
static void hide_performance_counters(struct engine_vm *vm)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};

	if (kvm_ioctl_val(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PMU_CAPABILITY) &
	    KVM_PMU_CAP_DISABLE)
		kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static bool has_cap(const struct engine_vm *vm, int cap)
{
	return kvm_ioctl_val(vm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap) > 0;
}

static int check_config(const struct engine_config *cfg, struct err *e)
{
	if (*cfg->options)
		return err_set(e, -EINVAL, "engine kvm has no option \"%s\"", cfg->options);
	if (*cfg->trace && strcmp(cfg->trace, "exits"))
		return err_set(e, -EINVAL, "trace: \"%s\" is no kind; engine kvm has exits",
			       cfg->trace);
	if (!cfg->nvcpus || cfg->nvcpus > KVM_MAX_VCPUS)
		return err_set(e, -EINVAL, "cpus: %u; engine kvm runs 1 to %d", cfg->nvcpus,
			       KVM_MAX_VCPUS);
	return 0;
}

static int open_vm(struct engine_vm *vm, struct err *e)
{
	int rc;

	vm->kvm_fd = kvm_open(e);
	if (vm->kvm_fd < 0)
		return vm->kvm_fd;
	vm->fd = kvm_ioctl_val(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return fail(e, vm->fd, "cannot create a VM");
	rc = kvm_ioctl_val(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < (int)sizeof(struct kvm_run))
		return fail(e, rc < 0 ? rc : -EINVAL, "size of a vCPU's shared page");
	vm->run_size = (size_t)rc;
	vm->has_clock = has_cap(vm, KVM_CAP_ADJUST_CLOCK);
	vm->has_any_length_ioeventfd = has_cap(vm, KVM_CAP_IOEVENTFD_ANY_LENGTH);
	vm->has_xcrs = has_cap(vm, KVM_CAP_XCRS);
	return 0;
}

static void vm_destroy(struct engine_vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	free(vm);
}

static int vm_create(const struct engine_config *cfg, struct engine_vm **out, struct err *e)
{
	struct engine_vm *vm;
	int rc = check_config(cfg, e);

	if (rc)
		return rc;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, -ENOMEM, "KVM: out of memory");
	vm->fd = vm->kvm_fd = -1;
	vm->machine = cfg->machine;
	vm->mem = cfg->mem;
	vm->clock = cfg->clock;
	vm->cpu = *cfg->cpu;
	vm->nvcpus = cfg->nvcpus;
	vm->trace_exits = *cfg->trace;
	rc = open_vm(vm, e);
	/* Memory first: once there are chips, each change to it waits 7 ms for a grace period. */
	if (!rc)
		rc = add_memory(vm, e);
	if (!rc)
		rc = kvm_chips_create(vm, e);
	if (!rc)
		rc = kvm_install_kick_signal(e);
	if (rc) {
		vm_destroy(vm);
		return rc;
	}
	hide_performance_counters(vm);
	*out = vm;
	return 0;
}

static int set_ioeventfd(struct engine_vm *vm, int fd, gpa_t addr, unsigned size, bool add)
{
	struct kvm_ioeventfd io = {
		.addr = addr,
		.len = size,
		.fd = fd,
		.flags = add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};
	int rc;

	if (!size && !vm->has_any_length_ioeventfd)
		return -ENOTSUP;
	rc = kvm_ioctl(vm->fd, KVM_IOEVENTFD, &io);
	return rc == -ENOTTY ? -ENOTSUP : rc;
}

const struct engine_ops engine_kvm = {
	.name = "kvm",
	.irqchip = true,
	.probe = kvm_probe,
	.cpu_features = kvm_cpu_features,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.irq_line = kvm_irq_line,
	.extint = kvm_extint,
	.msi = kvm_msi,
	.chips_reset = kvm_chips_reset,
	.chips_get = kvm_chips_get,
	.chips_set = kvm_chips_set,
	.ioeventfd = set_ioeventfd,
	.mem_moved = mem_moved,
	.vm_stopped = kvm_vm_stopped,
	.vm_started = kvm_vm_started,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_get = kvm_vcpu_get,
	.vcpu_set = kvm_vcpu_set,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_nmi = kvm_vcpu_nmi,
	.vcpu_debug = kvm_vcpu_debug,
	.vcpu_stop = kvm_vcpu_stop,
	.max_points = KVM_MAX_POINTS,
	.vcpu_profile = kvm_vcpu_profile,
	.vcpu_sample = kvm_vcpu_sample,
	.stats = kvm_stats,
};
