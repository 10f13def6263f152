/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How guest code runs: the one interface that the KVM and the binary-translation engine implement.
 *
 * Unlike a bare KVM exit loop, an engine calls the machine for port and memory-mapped I/O while the
 * instruction is in flight (`struct engine_machine`), finishes the instruction itself and returns
 * from vcpu_run() only when the vCPU must do something else. The machine therefore never touches
 * RIP, and there is no half-executed instruction to save.
 *
 * Both engines contain the local APICs and wait inside vcpu_run() when a vCPU is halted. KVM also
 * contains PIC, I/O APIC and PIT (`irqchip` is true); otherwise the machine provides them and feeds
 * the engine through msi() and extint().
 *
 * Threads: vm_* before the vCPUs run; mem_moved with all vCPUs out of vcpu_run; vcpu_run on the
 * vCPU's own thread; state get/set with the vCPU out of vcpu_run; irq_line, msi, extint, vcpu_kick
 * from any thread.
 */
#ifndef VMM_ENGINE_ENGINE_H
#define VMM_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/clock.h"
#include "vmm/device/chips.h"
#include "vmm/engine/debug.h"
#include "vmm/engine/profile.h"
#include "vmm/memory.h"
#include "vmm/stats.h"
#include "x86/cpuid.h"
#include "x86/state.h"

struct engine_vm;
struct engine_vcpu;

/* What an engine calls. The functions take the machine lock themselves. `size` is 1, 2, 4 (8 for
 * MMIO). */
struct engine_machine {
	uint32_t (*pio_read)(void *opaque, uint16_t port, unsigned size);
	void (*pio_write)(void *opaque, uint16_t port, unsigned size, uint32_t val);
	uint64_t (*mmio_read)(void *opaque, gpa_t gpa, unsigned size);
	void (*mmio_write)(void *opaque, gpa_t gpa, unsigned size, uint64_t val);
	int (*pic_ack)(void *opaque); /* INTA cycle: vector, or -1 if spurious */
	void (*ioapic_eoi)(void *opaque, uint8_t vector); /* broadcast EOI of a level interrupt */
	void *opaque;
	/* The machine lock, for an engine that wants devices to stand still; NULL: there is none.
	 */
	void (*lock)(void *opaque);
	void (*unlock)(void *opaque);
	/* An x87 error while CR0.NE is 0, from engines without chips; NULL: it is #MF all the same.
	 */
	void (*fpu_error)(void *opaque);
};

struct engine_config {
	const struct engine_machine *machine;
	struct guest_memory *mem; /* all slots are there; the engine may set mem->written */
	struct vm_clock *clock;
	const struct cpu_model *cpu;
	unsigned nvcpus;
	const char *options; /* text after the comma in "bt,tier=interp"; "" if none */
	const char *trace;   /* comma-separated trace kinds ("exits,code"), "" if none */
};

enum run_result {
	RUN_KICKED,   /* vcpu_kick() was called: look at the requests, then run again */
	RUN_SHUTDOWN, /* triple fault */
	RUN_DEBUG,    /* a debugger's point or step: see vcpu_stop() */
	RUN_ERROR,    /* the engine cannot go on; `struct err` says why */
};

struct engine_ops {
	const char *name;
	bool irqchip; /* PIC, I/O APIC and PIT are inside */
	bool slow;    /* guest code takes longer than the same on the host */

	/* Can this host run it? 0, or a negative errno and the reason with its remedy. */
	int (*probe)(struct err *e);
	/*
	 * The features that a guest can have under this engine on this host. `has` arrives with
	 * what the host's CPUID tells; the engine corrects it.
	 */
	int (*cpu_features)(bool has[X86_NFEATURES], struct err *e);

	int (*vm_create)(const struct engine_config *cfg, struct engine_vm **out, struct err *e);
	void (*vm_destroy)(struct engine_vm *vm);

	void (*irq_line)(struct engine_vm *vm, unsigned gsi, bool level); /* irqchip only */
	void (*chips_reset)(
		struct engine_vm *vm); /* irqchip only; the vCPUs are out of guest code */
	/* irqchip only; the vCPUs are out of guest code and the clock stands. */
	int (*chips_get)(struct engine_vm *vm, struct engine_chips *c, struct err *e);
	int (*chips_set)(struct engine_vm *vm, const struct engine_chips *c, struct err *e);
	void (*extint)(struct engine_vm *vm, bool level); /* PIC output; without irqchip only */
	void (*msi)(struct engine_vm *vm, uint64_t addr, uint32_t data);

	/*
	 * A write of `size` bytes (1, 2, 4; 0: any) at `addr` in MMIO space signals eventfd `fd`
	 * instead of calling the machine. -ENOTSUP: the caller's mmio_write handler does the work.
	 */
	int (*ioeventfd)(struct engine_vm *vm, int fd, gpa_t addr, unsigned size, bool add);

	/* The address of a device's memory changed from `old` (struct mem_slot.device). */
	int (*mem_moved)(struct engine_vm *vm, unsigned slot, gpa_t old);

	/* Guest time stands still between stop and start (the clock is paused by the caller). */
	void (*vm_stopped)(struct engine_vm *vm);
	void (*vm_started)(struct engine_vm *vm);

	int (*vcpu_create)(struct engine_vm *vm, unsigned index, struct engine_vcpu **out,
			   struct err *e);
	void (*vcpu_destroy)(struct engine_vcpu *c);
	int (*vcpu_get)(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e);
	int (*vcpu_set)(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e);
	enum run_result (*vcpu_run)(struct engine_vcpu *c, struct err *e);
	void (*vcpu_kick)(struct engine_vcpu *c);
	void (*vcpu_nmi)(struct engine_vcpu *c);

	/*
	 * What a debugger wants from the next vcpu_run() on; NULL: nothing any more. Out of
	 * vcpu_run(). -ENOSPC: more points than `max_points` (POINT_INT3 not counted).
	 */
	int (*vcpu_debug)(struct engine_vcpu *c, const struct engine_debug *d, struct err *e);
	void (*vcpu_stop)(struct engine_vcpu *c, struct engine_stop *out);
	unsigned max_points;

	/*
	 * Profiles a vCPU into `p` from its next run on; NULL ends that and completes the counts.
	 * Out of vcpu_run(). vcpu_sample() takes one sample, from any thread, while it runs.
	 */
	void (*vcpu_profile)(struct engine_vcpu *c, struct profile *p);
	void (*vcpu_sample)(struct engine_vcpu *c);

	/* Calls `fn` for each counter: exits by kind, blocks translated, ... Any time, approximate.
	 */
	void (*stats)(struct engine_vm *vm, stat_fn *fn, void *opaque);
};

extern const struct engine_ops engine_kvm, engine_bt;

/*
 * Chooses by name: "auto", "kvm", "bt", optionally with ",options". "auto" measures (see
 * docs/engines.md). `why` receives one sentence that says what was taken and the reason.
 * NULL and *e when nothing fits.
 */
const struct engine_ops *engine_select(const char *text, const char **options, char *why,
				       size_t whylen, struct err *e);

#endif
