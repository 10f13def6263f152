/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM engine's own objects. Everything it asks of /dev/kvm is in these files, and it is little,
 * because Baton's bare-metal kernel answers the same ioctls: see docs/engines.md for the list.
 */
#ifndef VMM_ENGINE_KVM_KVM_H
#define VMM_ENGINE_KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "vmm/engine/engine.h"

#define KVM_MAX_POINTS 4   /* breakpoint registers of a processor */
#define KVM_MAX_VCPUS  254 /* APIC ids that an I/O APIC can address */

/* Reasons for leaving guest code, as statistics name them. */
enum kvm_stat {
	STAT_PIO_READ,
	STAT_PIO_WRITE,
	STAT_MMIO_READ,
	STAT_MMIO_WRITE,
	STAT_ROM_WRITE,
	STAT_KICK,
	STAT_SIGNAL,
	STAT_DEBUG,
	STAT_OTHER,
	NSTATS
};

struct engine_vcpu {
	struct engine_vm *vm;
	int fd;
	unsigned index;
	struct kvm_run *run; /* shared with the kernel, vm->run_size bytes */
	pthread_t thread;    /* the one in vcpu_run(), valid when has_thread */
	atomic_bool has_thread;
	unsigned long guest_errors;
	_Atomic uint64_t stat[NSTATS];
	uint64_t tsc_deadline;   /* while the VM is stopped */
	struct profile *profile; /* profile.c */
	atomic_bool sample_wanted;
	struct { /* debug.c: what a debugger wants */
		struct kvm_guest_debug kvm;
		struct engine_point hard[KVM_MAX_POINTS];
		uint64_t int3[ENGINE_MAX_POINTS];
		unsigned nhard, nint3;
		bool step;
		struct engine_stop stop;
	} debug;
};

struct engine_vm {
	const struct engine_machine *machine;
	struct guest_memory *mem;
	struct vm_clock *clock;
	struct cpu_model cpu;
	unsigned nvcpus;
	int kvm_fd, fd;
	size_t run_size;
	bool trace_exits;
	bool has_clock, has_xcrs, has_tsc_offset, has_any_length_ioeventfd;
	bool stopped;
	struct { /* the chips as they came into being */
		struct kvm_irqchip chip[KVM_NR_IRQCHIPS];
		struct kvm_pit_state2 pit;
	} power_on;
	uint64_t stopped_tsc; /* the first vCPU's */
	struct engine_vcpu *vcpu[KVM_MAX_VCPUS];
};

/* device.c: opens /dev/kvm and checks its version; the descriptor, or a negative errno. */
int kvm_open(struct err *e);
int kvm_probe(struct err *e);
int kvm_cpu_features(bool has[X86_NFEATURES], struct err *e);

/* ioctl() that a signal does not interrupt. -errno on failure. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_val(int fd, unsigned long request, unsigned long arg);

/* chips.c */
int kvm_chips_create(struct engine_vm *vm, struct err *e);
void kvm_chips_reset(struct engine_vm *vm);
/* chipstate.c */
int kvm_chips_get(struct engine_vm *vm, struct engine_chips *c, struct err *e);
int kvm_chips_set(struct engine_vm *vm, const struct engine_chips *c, struct err *e);
void kvm_irq_line(struct engine_vm *vm, unsigned gsi, bool level);
void kvm_extint(struct engine_vm *vm, bool level);
void kvm_msi(struct engine_vm *vm, uint64_t addr, uint32_t data);

/* vcpu.c */
int kvm_vcpu_create(struct engine_vm *vm, unsigned index, struct engine_vcpu **out, struct err *e);
void kvm_vcpu_destroy(struct engine_vcpu *c);
void kvm_vcpu_kick(struct engine_vcpu *c);
void kvm_vcpu_disturb(struct engine_vcpu *c); /* leaves guest code, and goes on */
void kvm_vcpu_nmi(struct engine_vcpu *c);
int kvm_install_kick_signal(struct err *e);

/* run.c */
enum run_result kvm_vcpu_run(struct engine_vcpu *c, struct err *e);
void kvm_stats(struct engine_vm *vm, stat_fn *fn, void *opaque);

/* debug.c */
int kvm_vcpu_debug(struct engine_vcpu *c, const struct engine_debug *d, struct err *e);
void kvm_vcpu_stop(struct engine_vcpu *c, struct engine_stop *out);
bool kvm_debug_exit(struct engine_vcpu *c); /* true: the debugger's, vcpu_stop() knows why */

/* profile.c */
void kvm_vcpu_profile(struct engine_vcpu *c, struct profile *p);
void kvm_vcpu_sample(struct engine_vcpu *c);
void kvm_take_sample(struct engine_vcpu *c); /* if one is wanted; between two runs */

/* state.c */
int kvm_vcpu_get(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e);
int kvm_vcpu_set(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e);

/* time.c */
void kvm_vm_stopped(struct engine_vm *vm);
void kvm_vm_started(struct engine_vm *vm);
/* By how many ticks the vCPUs' TSC is ahead of the guest's time, which stands; 0 while it runs. */
uint64_t kvm_ticks_since_stop(const struct engine_vm *vm);

#endif
