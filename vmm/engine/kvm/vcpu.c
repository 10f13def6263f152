/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU under KVM: creation with its CPUID and TSC, and how other threads reach it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/engine/kvm/kvm.h"

/*
 * A kick sets immediate_exit, which makes the next KVM_RUN return, and sends this signal, which
 * ends the present one. Its handler has nothing to do.
 */
#define KICK_SIGNAL SIGUSR1

static void kick_arrived(int sig)
{
	(void)sig;
}

int kvm_install_kick_signal(struct err *e)
{
	struct sigaction sa = {.sa_handler = kick_arrived};

	sigemptyset(&sa.sa_mask);
	if (sigaction(KICK_SIGNAL, &sa, NULL))
		return err_set(e, -errno, "KVM: signal handler: %s", strerror(errno));
	return 0;
}

void kvm_vcpu_disturb(struct engine_vcpu *c)
{
	if (atomic_load(&c->has_thread))
		pthread_kill(c->thread, KICK_SIGNAL);
}

void kvm_vcpu_kick(struct engine_vcpu *c)
{
	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	kvm_vcpu_disturb(c);
}

void kvm_vcpu_nmi(struct engine_vcpu *c)
{
	kvm_ioctl(c->fd, KVM_NMI, NULL);
}

#define MAX_CPUID 80

struct cpuid_table {
	uint32_t nent, padding; /* laid out as struct kvm_cpuid2 */
	struct kvm_cpuid_entry2 entry[MAX_CPUID];
	bool full;
};

static void add_leaf(void *opaque, uint32_t leaf, uint32_t subleaf, bool indexed,
		     const struct cpuid_regs *r)
{
	struct cpuid_table *t = opaque;

	t->full = t->nent == MAX_CPUID;
	if (t->full)
		return;
	t->entry[t->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = r->eax,
		.ebx = r->ebx,
		.ecx = r->ecx,
		.edx = r->edx,
	};
}

/* KVM itself keeps OSXSAVE and the XSAVE size up to date. */
static int set_cpuid(struct engine_vcpu *c, struct err *e)
{
	struct cpuid_context context = {.apic_id = c->index, .nvcpus = c->vm->nvcpus, .xcr0 = 1};
	struct cpuid_table t = {0};
	int rc;

	cpuid_each(&c->vm->cpu, &context, add_leaf, &t);
	if (t.full)
		return err_set(e, -E2BIG, "KVM: CPU model %s has more than %d CPUID leaves",
			       c->vm->cpu.name, MAX_CPUID);
	rc = kvm_ioctl(c->fd, KVM_SET_CPUID2, &t);
	if (rc < 0)
		return err_set(e, rc, "KVM: CPUID of model %s is not accepted: %s", c->vm->cpu.name,
			       strerror(-rc));
	return 0;
}

/*
 * A guest that was started on another host keeps the frequency it was told there. Half a percent
 * passes as the same: it is measuring error, and the guest's paravirtual clock knows the exact one.
 */
static int set_tsc_frequency(struct engine_vcpu *c, struct err *e)
{
	int host_khz = kvm_ioctl_val(c->fd, KVM_GET_TSC_KHZ, 0), rc;
	int64_t khz = c->vm->cpu.tsc_khz;

	if (!khz || host_khz <= 0 || llabs(khz - host_khz) * 200 < host_khz)
		return 0;
	rc = kvm_ioctl_val(c->fd, KVM_SET_TSC_KHZ, (unsigned long)khz);
	if (rc < 0)
		return err_set(e, rc,
			       "KVM: the guest's TSC runs at %lld kHz, this host's at %d, and the "
			       "processor cannot scale it; use --engine bt",
			       (long long)khz, host_khz);
	return 0;
}

static int map_run(struct engine_vcpu *c, struct err *e)
{
	void *p = mmap(NULL, c->vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);

	if (p == MAP_FAILED)
		return err_set(e, -errno, "KVM: shared page of vCPU %u: %s", c->index,
			       strerror(errno));
	c->run = p;
	return 0;
}

static bool has_tsc_offset(const struct engine_vcpu *c)
{
	struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};

	return kvm_ioctl(c->fd, KVM_HAS_DEVICE_ATTR, &a) == 0;
}

int kvm_vcpu_create(struct engine_vm *vm, unsigned index, struct engine_vcpu **out, struct err *e)
{
	struct engine_vcpu *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "KVM: out of memory");
	c->vm = vm;
	c->index = index;
	rc = c->fd = kvm_ioctl_val(vm->fd, KVM_CREATE_VCPU, index);
	if (rc < 0)
		err_set(e, rc, "KVM: cannot create vCPU %u: %s", index, strerror(-rc));
	else
		rc = map_run(c, e);
	if (!rc)
		rc = set_cpuid(c, e);
	if (!rc)
		rc = set_tsc_frequency(c, e);
	if (rc) {
		kvm_vcpu_destroy(c);
		return rc;
	}
	vm->has_tsc_offset = has_tsc_offset(c);
	vm->vcpu[index] = c;
	*out = c;
	return 0;
}

void kvm_vcpu_destroy(struct engine_vcpu *c)
{
	if (c->vm->vcpu[c->index] == c)
		c->vm->vcpu[c->index] = NULL;
	if (c->run)
		munmap(c->run, c->vm->run_size);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}
