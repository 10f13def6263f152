/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/kvm itself: opening it, what it must be able to do, which CPU features it offers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/engine/cpumodel.h"
#include "vmm/engine/kvm/kvm.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int rc;

	do
		rc = ioctl(fd, request, arg);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

int kvm_ioctl_val(int fd, unsigned long request, unsigned long arg)
{
	return kvm_ioctl(fd, request, (void *)arg);
}

static const char *open_remedy(int code)
{
	switch (code) {
	case ENOENT:
		return "load the module with `modprobe kvm_amd` or `modprobe kvm_intel`";
	case ENODEV:
	case ENXIO:
		return "the kvm module is loaded but found no hardware virtualization";
	case EACCES:
	case EPERM:
		return "add this user to the group kvm, then log in again";
	case EBUSY:
		return "another hypervisor uses the processor's virtualization; end it first";
	default:
		return "see `baton check`";
	}
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), version;

	if (fd < 0) {
		int code = errno;

		return err_set(e, -code, "/dev/kvm: %s; %s", strerror(code), open_remedy(code));
	}
	version = kvm_ioctl_val(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return err_set(e, -ENOTSUP, "/dev/kvm has API version %d, not %d: this kernel is too old",
		       version, KVM_API_VERSION);
}

static const struct {
	int cap;
	const char *name;
} required[] = {
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
	{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
	{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

int kvm_probe(struct err *e)
{
	int fd = kvm_open(e), rc = 0;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]) && !rc; i++)
		if (kvm_ioctl_val(fd, KVM_CHECK_EXTENSION, required[i].cap) <= 0)
			rc = err_set(e, -ENOTSUP,
				     "/dev/kvm lacks %s, which Baton needs; use a newer kernel",
				     required[i].name);
	close(fd);
	return rc;
}

/* ---- features ------------------------------------------------------------------------------- */

#define MAX_CPUID 256

struct cpuid_table {
	uint32_t nent, padding; /* laid out as struct kvm_cpuid2 */
	struct kvm_cpuid_entry2 entry[MAX_CPUID];
};

static struct cpuid_regs find_leaf(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		const struct kvm_cpuid_entry2 *k = &t->entry[i];

		if (k->function == leaf && k->index == subleaf)
			return (struct cpuid_regs){k->eax, k->ebx, k->ecx, k->edx};
	}
	return (struct cpuid_regs){0};
}

/* What KVM passes on, and what it emulates but leaves out of its list (x2APIC mode, TSC deadline).
 */
int kvm_cpu_features(bool has[X86_NFEATURES], struct err *e)
{
	struct cpuid_table t = {.nent = MAX_CPUID};
	int fd = kvm_open(e), rc;

	if (fd < 0)
		return fd;
	rc = kvm_ioctl(fd, KVM_GET_SUPPORTED_CPUID, &t);
	close(fd);
	if (rc < 0)
		return err_set(e, rc, "KVM_GET_SUPPORTED_CPUID: %s", strerror(-rc));
	cpu_features_provided(has);
	for (unsigned f = X86_FEAT_NONE + 1; f < X86_NFEATURES; f++) {
		const struct x86_feature_bit *b = &x86_feature_bits[f];
		struct cpuid_regs r = find_leaf(&t, b->leaf, b->subleaf);

		has[f] |= x86_feature_set(&r, f);
	}
	return 0;
}
