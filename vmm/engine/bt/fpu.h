/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's x87/MMX/SSE/AVX state: where it is when it is not in the host's registers, and what
 * happens when the host traps on a floating-point exception that the guest has unmasked.
 *
 * While the engine runs, the state is in the registers (depth 0). Everywhere else (depth > 0; also
 * after bt_fpu_create()) it is in `area`, and the registers hold what the C ABI expects. So
 * vcpu_run() begins with bt_fpu_enter() and ends with bt_fpu_leave().
 */
#ifndef VMM_ENGINE_BT_FPU_H
#define VMM_ENGINE_BT_FPU_H

#include <signal.h>
#include <ucontext.h>

#include "base/err.h"
#include "vmm/engine/bt/vcpu.h"
#include "x86/cpuid.h"

/* State components, as bits of XCR0 (Intel SDM volume 1 section 13.1). */
#define XC_X87       0x01
#define XC_SSE       0x02
#define XC_AVX       0x04
#define XC_AVX512    0xe0 /* opmask, upper ZMM0-15, ZMM16-31: enabled together */
#define XC_ZMM       0x40
#define XC_ZMM16     0x80
#define XC_SUPPORTED (XC_X87 | XC_SSE | XC_AVX | XC_AVX512)
#define XC_COUNT     8 /* component numbers are below this */

#define MXCSR_RESET 0x1f80u
#define MXCSR_VALID 0xffffu /* bit 17 (AMD's misaligned SSE mode) is not offered to guests */
#define FCW_RESET   0x037fu /* FNINIT's; FCW after a processor reset is 0040h */

/* Where one component lies in an XSAVE image. */
struct bt_xcomp {
	uint16_t size, host_off, guest_off; /* offsets: standard format */
	bool aligned;                       /* to 64 bytes in the compacted format */
};

struct bt_vector; /* vector.c: the cache of re-encoded instructions */

/* A host exception in guest code: turns it into a guest one by changing `uc`; false if not its own.
 */
typedef bool bt_fpe_fn(struct bt_vcpu *v, siginfo_t *si, ucontext_t *uc);

struct bt_fpu {
	uint8_t *area; /* XSAVE (standard format) or FXSAVE image, 64-byte aligned */
	uint32_t area_size;
	unsigned depth;
	uint64_t mask; /* components saved: what the VM may enable and the host has */
	enum {
		BT_FXSAVE,
		BT_XSAVE,
		BT_XSAVEOPT
	} method;
	struct bt_xcomp comp[XC_COUNT];
	struct bt_vector *vec;
	bt_fpe_fn *fpe; /* the translator's, for faults inside its code cache; may be NULL */
	void *sigstack;
};

/* Power-on state, depth 1. Needs v->index and v->vm only; sets v->fpu. */
int bt_fpu_create(struct bt_vcpu *v, const struct cpu_model *model, struct err *e);
void bt_fpu_destroy(struct bt_vcpu *v);

/*
 * Once on the vCPU's own thread before it runs guest code, and at its end: the alternate signal
 * stack and the thread's vCPU for the SIGFPE handler.
 */
int bt_fpu_thread_start(struct bt_vcpu *v, struct err *e);
void bt_fpu_thread_stop(struct bt_vcpu *v);

/* One vCPU's state leaves the registers of this thread, the other's comes in (lockstep/). */
void bt_fpu_swap(struct bt_vcpu *out, struct bt_vcpu *in);

/* Power-on state. Not for INIT, which leaves x87, SSE and AVX alone. Outside the engine only. */
void bt_fpu_reset(struct bt_vcpu *v);

/* To and from the engine-neutral image (standard format, offsets of the guest's CPUID leaf 0Dh).
 * Outside the engine only. set: -EINVAL and *e for an image that XRSTOR would refuse. */
void bt_fpu_get(const struct bt_vcpu *v, uint8_t image[X86_XSAVE_SIZE]);
int bt_fpu_set(struct bt_vcpu *v, const uint8_t image[X86_XSAVE_SIZE], struct err *e);

/* Components not in their initial state, of those in v->xcr0: XGETBV with ECX = 1. In the engine.
 */
uint64_t bt_fpu_inuse(struct bt_vcpu *v);

/*
 * Does `si`/`uc` come from vector.c's re-encoded instructions? Then resumes at the fault exit.
 * (Called by the handler; the translator's own goes through v->fpu->fpe.)
 */
bool bt_vector_fpe(struct bt_vcpu *v, siginfo_t *si, ucontext_t *uc);

int bt_vector_create(struct bt_vcpu *v, struct err *e);
void bt_vector_destroy(struct bt_vcpu *v);

#endif
