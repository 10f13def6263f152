/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's vector state outside the host's registers, and the handler of host SIGFPE. */
#include "vmm/engine/bt/fpu.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/engine/bt/lockstep/lockstep.h"

#define SIGSTACK_SIZE (32 * 1024) /* the kernel's frame with AVX-512 takes 3.5 KiB */

#ifndef SS_AUTODISARM /* linux/signal.h: the stack is free again while a handler runs on it */
#define SS_AUTODISARM (1u << 31)
#endif

/* Offsets in the legacy region and header (Intel SDM volume 1, tables 10-2 and section 13.4). */
#define IMG_FCW    0
#define IMG_FSW    2
#define IMG_FTW    4
#define IMG_FOP    6
#define IMG_FIP    8
#define IMG_FDP    16
#define IMG_MXCSR  24
#define IMG_ST     32
#define IMG_XMM    160
#define IMG_BV     512
#define IMG_XCOMP  520
#define IMG_LEGACY 512
#define IMG_EXT    576

/* The kernel gives a signal handler no argument of ours: this is how it finds the thread's vCPU. */
static _Thread_local struct bt_vcpu *thread_vcpu;

static uint16_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put16(uint8_t *p, uint16_t val)
{
	p[0] = val;
	p[1] = val >> 8;
}

static void put64(uint8_t *p, uint64_t val)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = val >> 8 * i;
}

/* ---- saving and restoring ------------------------------------------------------------------- */

static void area_save(const struct bt_fpu *f)
{
	uint32_t lo = f->mask, hi = 0;

	switch (f->method) {
	case BT_XSAVEOPT:
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(f->area), "a"(lo), "d"(hi) : "memory");
		break;
	case BT_XSAVE:
		__asm__ volatile("xsave64 (%0)" : : "r"(f->area), "a"(lo), "d"(hi) : "memory");
		break;
	case BT_FXSAVE:
		__asm__ volatile("fxsave64 (%0)" : : "r"(f->area) : "memory");
		break;
	}
}

static void area_load(const struct bt_fpu *f)
{
	uint32_t lo = f->mask, hi = 0;

	if (f->method == BT_FXSAVE)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(f->area) : "memory");
	else
		__asm__ volatile("xrstor64 (%0)" : : "r"(f->area), "a"(lo), "d"(hi) : "memory");
}

/*
 * What the C ABI expects at a call: empty x87 stack, its control words, upper halves clean. The
 * saved image tells what is so already: FNINIT alone takes a hundred cycles.
 */
static void state_sane(const struct bt_fpu *f)
{
	static const uint32_t mxcsr = MXCSR_RESET;

	if (f->method == BT_FXSAVE || f->area[IMG_BV] & XC_X87)
		__asm__ volatile("fninit");
	if (get32(f->area + IMG_MXCSR) != mxcsr)
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	if (f->mask & XC_AVX)
		__asm__ volatile("vzeroupper");
}

void bt_fpu_leave(struct bt_vcpu *v)
{
	struct bt_fpu *f = v->fpu;

	if (f->depth++)
		return;
	area_save(f);
	state_sane(f);
	if (v->vm->lockstep)
		bt_lockstep_unlock(v);
}

void bt_fpu_enter(struct bt_vcpu *v)
{
	struct bt_fpu *f = v->fpu;

	if (--f->depth)
		return;
	if (v->vm->lockstep)
		bt_lockstep_lock(v);
	area_load(f);
}

void bt_fpu_swap(struct bt_vcpu *out, struct bt_vcpu *in)
{
	area_save(out->fpu);
	out->fpu->depth = 1;
	area_load(in->fpu);
	in->fpu->depth = 0;
	thread_vcpu = in;
}

uint64_t bt_fpu_inuse(struct bt_vcpu *v)
{
	struct bt_fpu *f = v->fpu;

	if (f->method == BT_FXSAVE)
		return v->xcr0;
	/* The area is free while the state is in the registers. */
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(f->area), "a"((uint32_t)f->mask), "d"(0)
			 : "memory");
	return get64(f->area + IMG_BV) & v->xcr0;
}

/* ---- the engine-neutral image --------------------------------------------------------------- */

static uint64_t area_components(const struct bt_fpu *f)
{
	return f->method == BT_FXSAVE ? XC_X87 | XC_SSE : get64(f->area + IMG_BV) & f->mask;
}

void bt_fpu_reset(struct bt_vcpu *v)
{
	struct bt_fpu *f = v->fpu;

	memset(f->area, 0, f->area_size);
	/* Power-on values: Intel SDM volume 3A table 9-1. Tags 5555h: every register holds +0.0. */
	put16(f->area + IMG_FCW, 0x40);
	f->area[IMG_FTW] = 0xff;
	put16(f->area + IMG_MXCSR, MXCSR_RESET);
	if (f->method != BT_FXSAVE)
		f->area[IMG_BV] = XC_X87 | XC_SSE;
	v->x87 = (struct bt_x87_last){0};
}

void bt_fpu_get(const struct bt_vcpu *v, uint8_t image[X86_XSAVE_SIZE])
{
	const struct bt_fpu *f = v->fpu;
	uint64_t have = area_components(f);

	memset(image, 0, X86_XSAVE_SIZE);
	put16(image + IMG_FCW, FCW_RESET);
	if (have & XC_X87) {
		memcpy(image, f->area, IMG_FIP);
		memcpy(image + IMG_ST, f->area + IMG_ST, IMG_XMM - IMG_ST);
	}
	put16(image + IMG_FOP, v->x87.op);
	put64(image + IMG_FIP, v->x87.ip);
	put64(image + IMG_FDP, v->x87.dp);
	memcpy(image + IMG_MXCSR, f->area + IMG_MXCSR, 4);
	put16(image + IMG_MXCSR + 4, MXCSR_VALID);
	if (have & XC_SSE)
		memcpy(image + IMG_XMM, f->area + IMG_XMM, 256);
	for (unsigned i = 2; i < XC_COUNT; i++)
		if (have >> i & 1)
			memcpy(image + f->comp[i].guest_off, f->area + f->comp[i].host_off,
			       f->comp[i].size);
	put64(image + IMG_BV, have | XC_X87 | XC_SSE);
}

static int image_check(const struct bt_fpu *f, const uint8_t *image, struct err *e)
{
	uint64_t bv = get64(image + IMG_BV);

	if (bv & ~f->mask)
		return err_set(
			e, -EINVAL,
			"vector state: components %#llx are saved, but this host and CPU model "
			"have only %#llx; choose a CPU model that both hosts have",
			(unsigned long long)bv, (unsigned long long)f->mask);
	for (unsigned i = IMG_XCOMP; i < IMG_EXT; i++)
		if (image[i])
			return err_set(
				e, -EINVAL,
				"vector state: reserved header byte %u is not zero; the image "
				"must be in the standard format",
				i - IMG_BV);
	if (get32(image + IMG_MXCSR) & ~MXCSR_VALID)
		return err_set(e, -EINVAL, "vector state: MXCSR %#x has reserved bits",
			       get32(image + IMG_MXCSR));
	return 0;
}

/* ES and B follow from the other bits; an inconsistent image would trap without a cause. */
static uint16_t fsw_consistent(uint16_t fsw, uint16_t fcw)
{
	fsw &= 0x7f7f;
	return fsw & ~fcw & 0x3f ? fsw | 0x8080 : fsw;
}

int bt_fpu_set(struct bt_vcpu *v, const uint8_t image[X86_XSAVE_SIZE], struct err *e)
{
	struct bt_fpu *f = v->fpu;
	uint64_t bv = get64(image + IMG_BV);
	uint8_t *a = f->area;
	int rc = image_check(f, image, e);

	if (rc)
		return rc;
	memset(a, 0, f->area_size);
	put16(a + IMG_FCW, FCW_RESET);
	if (bv & XC_X87) {
		memcpy(a, image, IMG_FIP);
		memcpy(a + IMG_ST, image + IMG_ST, IMG_XMM - IMG_ST);
		put16(a + IMG_FSW, fsw_consistent(get16(a + IMG_FSW), get16(a + IMG_FCW)));
	}
	memcpy(a + IMG_MXCSR, image + IMG_MXCSR, 4);
	if (!bv && !get32(image + IMG_MXCSR)) /* all zero: nobody has filled it in */
		put16(a + IMG_MXCSR, MXCSR_RESET);
	if (bv & XC_SSE)
		memcpy(a + IMG_XMM, image + IMG_XMM, 256);
	for (unsigned i = 2; i < XC_COUNT; i++)
		if (bv >> i & 1)
			memcpy(a + f->comp[i].host_off, image + f->comp[i].guest_off,
			       f->comp[i].size);
	if (f->method != BT_FXSAVE)
		put64(a + IMG_BV, bv);
	v->x87 = (struct bt_x87_last){
		.ip = get64(image + IMG_FIP),
		.dp = get64(image + IMG_FDP),
		.op = get16(image + IMG_FOP) & 0x7ff,
	};
	return 0;
}

/* ---- what the host has ---------------------------------------------------------------------- */

static uint64_t host_xcr0(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (uint64_t)hi << 32;
}

static void layout_component(struct bt_fpu *f, unsigned i, const struct cpu_model *model)
{
	struct cpuid_context ctx = {.nvcpus = 1, .xcr0 = model->xcr0_allowed};
	struct cpuid_regs guest;
	uint32_t a, b, c, d;

	__cpuid_count(0xd, i, a, b, c, d);
	f->comp[i] = (struct bt_xcomp){.size = a, .host_off = b, .guest_off = b, .aligned = c & 2};
	/* Vendors place AVX-512 differently; the guest sees its CPU model's offsets. */
	cpuid_answer(model, &ctx, 0xd, i, &guest);
	if (guest.eax == a && guest.ebx >= IMG_EXT && guest.ebx + a <= X86_XSAVE_SIZE) {
		f->comp[i].guest_off = guest.ebx;
		f->comp[i].aligned = guest.ecx & 2;
	}
}

static void layout_host(struct bt_fpu *f, const struct cpu_model *model)
{
	uint32_t a, b, c, d;

	f->mask = XC_X87 | XC_SSE;
	f->method = BT_FXSAVE;
	f->area_size = IMG_LEGACY;
	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return;
	f->mask |= host_xcr0() & model->xcr0_allowed & XC_SUPPORTED;
	f->area_size = IMG_EXT;
	for (unsigned i = 2; i < XC_COUNT; i++) {
		if (!(f->mask >> i & 1))
			continue;
		layout_component(f, i, model);
		if (f->area_size < f->comp[i].host_off + f->comp[i].size)
			f->area_size = f->comp[i].host_off + f->comp[i].size;
	}
	__cpuid_count(0xd, 1, a, b, c, d);
	f->method = a & bit_XSAVEOPT ? BT_XSAVEOPT : BT_XSAVE;
}

int bt_fpu_create(struct bt_vcpu *v, const struct cpu_model *model, struct err *e)
{
	struct bt_fpu *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, -ENOMEM, "vCPU %u: no memory for its vector state", v->index);
	layout_host(f, model);
	f->depth = 1;
	f->area_size = (f->area_size + 63) & ~63u;
	f->area = aligned_alloc(64, f->area_size);
	if (!f->area) {
		rc = err_set(e, -ENOMEM, "vCPU %u: no memory for its vector state", v->index);
		goto free_fpu;
	}
	f->sigstack = mmap(NULL, SIGSTACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (f->sigstack == MAP_FAILED) {
		rc = err_set(e, -errno, "vCPU %u: signal stack: %s", v->index, strerror(errno));
		goto free_area;
	}
	v->fpu = f;
	rc = bt_vector_create(v, e);
	if (rc)
		goto unmap_stack;
	bt_fpu_reset(v);
	return 0;
unmap_stack:
	munmap(f->sigstack, SIGSTACK_SIZE);
free_area:
	free(f->area);
free_fpu:
	free(f);
	v->fpu = NULL;
	return rc;
}

void bt_fpu_destroy(struct bt_vcpu *v)
{
	if (!v->fpu)
		return;
	bt_vector_destroy(v);
	munmap(v->fpu->sigstack, SIGSTACK_SIZE);
	free(v->fpu->area);
	free(v->fpu);
	v->fpu = NULL;
}

/* ---- host exceptions
 * -----------------------------------------------------------------------------------
 */

static void on_exception(int sig, siginfo_t *si, void *context)
{
	struct bt_vcpu *v = thread_vcpu;

	if (v && bt_vector_fpe(v, si, context))
		return;
	if (v && v->fpu->fpe && v->fpu->fpe(v, si, context))
		return;
	signal(sig, SIG_DFL); /* ours to die of: the instruction runs again */
}

static void on_sample(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;

	(void)sig, (void)si;
	if (thread_vcpu)
		bt_take_sample(thread_vcpu, (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
}

static void install_handler(void)
{
	struct sigaction prof = {.sa_sigaction = on_sample,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	struct sigaction sa = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	sigemptyset(&prof.sa_mask);
	sigaction(SIGPROF, &prof, NULL);
	sigaction(SIGFPE, &sa, NULL);
	/* SIGILL: a CPU model that claims more than this host has. The guest gets its #UD. */
	sigaction(SIGILL, &sa, NULL);
	/* A vector operand that is not aligned: #GP, and #SS off the stack pointer. */
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	/* #GP: a vector operand of translated code that is not aligned. */
	sigaction(SIGSEGV, &sa, NULL);
}

int bt_fpu_thread_start(struct bt_vcpu *v, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	/* Translated code has the guest's stack pointer in RSP: handlers need a stack of their own.
	 */
	stack_t ss = {.ss_sp = v->fpu->sigstack,
		      .ss_size = SIGSTACK_SIZE,
		      .ss_flags = (int)SS_AUTODISARM};

	if (sigaltstack(&ss, NULL))
		return err_set(e, -errno, "vCPU %u: signal stack: %s", v->index, strerror(errno));
	pthread_once(&once, install_handler);
	thread_vcpu = v;
	return 0;
}

void bt_fpu_thread_stop(struct bt_vcpu *v)
{
	stack_t off = {.ss_flags = SS_DISABLE};

	(void)v;
	thread_vcpu = NULL;
	sigaltstack(&off, NULL);
}
