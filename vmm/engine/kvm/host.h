/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this host's /dev/kvm worth using? Measured, because some hosts offer one that only emulates
 * and runs a hundred times slower than Baton's own translator. Used by the choice of the engine
 * and by `baton check`; needs nothing else of the vmm.
 */
#ifndef VMM_ENGINE_KVM_HOST_H
#define VMM_ENGINE_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Guest instructions a second below which /dev/kvm is taken to emulate. Where the CPU has VT-x or
 * AMD-V a slow one is more likely an emulated machine, in which everything is slow, so less is
 * asked.
 */
#define KVM_HOST_SLOW    5000000u
#define KVM_HOST_SLOW_HW 500000u

struct kvm_host {
	bool vmx, svm;             /* as CPUID says */
	bool in_vm;                /* CPUID's hypervisor bit */
	bool own_kernel;           /* Baton's own, whose /dev/kvm is the processor */
	struct err failure;        /* code 0: /dev/kvm is there, usable and ran a guest */
	uint64_t instr_per_second; /* measured; 0 unless failure.code is 0 */
};

/* Costs one to two milliseconds: a VM of one page that counts down. */
void kvm_host_measure(struct kvm_host *h);

/* A measured host whose /dev/kvm only emulates. */
bool kvm_host_emulates(const struct kvm_host *h);

/* Shall "auto" take KVM? `why` receives the sentence that says so, and why. */
bool kvm_host_advice(const struct kvm_host *h, char *why, size_t len);

#endif
