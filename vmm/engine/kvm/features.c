/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPU features this host's KVM can give a guest. */
#include <string.h>
#include <unistd.h>

#include "vmm/engine/cpumodel.h"
#include "vmm/engine/kvm/kvm.h"

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
