/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FXSAVE, XSAVE and their family (Intel SDM volume 1 chapter 13) for the guest: the host's own
 * instruction moves the registers to or from a buffer, and what the guest's format, its XCR0 and
 * the requested components say goes between that buffer and guest memory.
 */
#include <string.h>

#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/vector.h"

#define OFF_FOP       6
#define OFF_FIP       8
#define OFF_FDP       16
#define OFF_MXCSR     24
#define OFF_ST        32
#define OFF_XMM       160
#define OFF_XMM8      288
#define OFF_XMM_END   416
#define OFF_HEADER    512
#define OFF_EXT       576
#define XCOMP_COMPACT (1ull << 63)

struct xsave_header {
	uint64_t bv, xcomp, reserved[6];
};

static uint64_t requested(const struct bt_vcpu *v)
{
	uint64_t mask = (uint32_t)v->gpr[X86_RAX] | v->gpr[X86_RDX] << 32;

	return mask & v->xcr0 & v->fpu->mask;
}

static uint32_t image_mxcsr(const uint8_t *image)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, image + OFF_MXCSR, 4);
	return mxcsr;
}

/* The guest's x87 pointers and MXCSR_MASK instead of the host's. */
static void put_pointers(struct bt_vcpu *v, const struct x86_insn *in, uint8_t *image)
{
	const struct bt_x87_last *l = &v->x87;
	uint32_t far[4] = {l->ip, l->cs, l->dp, l->ds}, valid = MXCSR_VALID;

	memcpy(image + OFF_FOP, &l->op, 2);
	if (in->ext & 8) {
		memcpy(image + OFF_FIP, &l->ip, 8);
		memcpy(image + OFF_FDP, &l->dp, 8);
	} else {
		memcpy(image + OFF_FIP, far, sizeof(far));
	}
	memcpy(image + OFF_MXCSR + 4, &valid, 4);
}

static void get_pointers(struct bt_vcpu *v, const struct x86_insn *in, const uint8_t *image)
{
	struct bt_x87_last *l = &v->x87;
	uint32_t far[4];

	memcpy(&l->op, image + OFF_FOP, 2);
	l->op &= 0x7ff;
	memcpy(far, image + OFF_FIP, sizeof(far));
	l->ip = far[0];
	l->dp = far[2];
	l->cs = far[1];
	l->ds = far[3];
	if (in->ext & 8) {
		memcpy(&l->ip, image + OFF_FIP, 8);
		memcpy(&l->dp, image + OFF_FDP, 8);
		l->cs = 0;
		l->ds = 0;
	}
}

/* ES and B are what FCW and FSW say: else FWAIT would trap with no exception to report, for ever.
 */
static void mend_status(uint8_t *image)
{
	uint16_t fcw, fsw;

	memcpy(&fcw, image, 2);
	memcpy(&fsw, image + 2, 2);
	fsw &= 0x7f7f;
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	memcpy(image + 2, &fsw, 2);
}

/* XMM8-15 are out of reach, and left alone, outside 64-bit mode. */
static unsigned xmm_end(const struct x86_insn *in)
{
	return in->mode == X86_MODE_64 ? OFF_XMM_END : OFF_XMM8;
}

/* ---- FXSAVE, FXRSTOR, LDMXCSR --------------------------------------------------------------- */

bool vector_ldmxcsr(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint32_t mxcsr;
	gva_t gva;

	if (!vector_address(v, in, 4, 1, BT_READ, &gva) || !bt_read(v, gva, &mxcsr, 4))
		return false;
	if (mxcsr & ~MXCSR_VALID)
		return bt_raise_error(v, EXC_GP, 0);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return true;
}

bool vector_fxsave(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t *image = vector_image(v);
	gva_t gva;

	if (!vector_address(v, in, 512, 16, BT_WRITE, &gva) || !vector_probe_write(v, gva, 512))
		return false;
	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
	put_pointers(v, in, image);
	return vector_write(v, gva, image, xmm_end(in));
}

bool vector_fxrstor(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t *image = vector_image(v), guest[512];
	gva_t gva;

	if (!vector_address(v, in, 512, 16, BT_READ, &gva) || !vector_read(v, gva, guest, 512))
		return false;
	if (image_mxcsr(guest) & ~MXCSR_VALID)
		return bt_raise_error(v, EXC_GP, 0);
	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
	memcpy(image, guest, xmm_end(in));
	mend_status(image);
	get_pointers(v, in, image);
	__asm__ volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
	return true;
}

/* ---- pieces of an XSAVE image --------------------------------------------------------------- */

/* Where component `i` lies in an image that is compacted to `xcomp`, or in the standard format. */
static unsigned component_offset(const struct bt_fpu *f, unsigned i, uint64_t xcomp)
{
	unsigned off = OFF_EXT;

	if (!(xcomp & XCOMP_COMPACT))
		return f->comp[i].guest_off;
	for (unsigned j = 2; j <= i; j++) {
		if (!(xcomp >> j & 1))
			continue;
		if (f->comp[j].aligned)
			off = (off + 63) & ~63u;
		if (j < i)
			off += f->comp[j].size;
	}
	return off;
}

static unsigned image_end(const struct bt_fpu *f, uint64_t components, uint64_t xcomp)
{
	unsigned end = OFF_EXT;

	for (unsigned i = 2; i < XC_COUNT; i++) {
		unsigned last;

		if (!(components >> i & 1))
			continue;
		last = component_offset(f, i, xcomp) + f->comp[i].size;
		if (last > end)
			end = last;
	}
	return end;
}

/* Registers 8 to 31 are out of reach outside 64-bit mode: YMM8-15 and ZMM8-31 stay as they are. */
static unsigned component_bytes(const struct bt_fpu *f, const struct x86_insn *in, unsigned i)
{
	bool narrow = in->mode != X86_MODE_64;

	if (narrow && i == 7)
		return 0;
	return narrow && (i == 2 || i == 6) ? f->comp[i].size / 2 : f->comp[i].size;
}

/* Copies components between guest memory and the host-format buffer. */
typedef bool copy_fn(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size);

static bool copy_out(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size)
{
	return vector_write(v, gva, buf, size);
}

static bool copy_components(struct bt_vcpu *v, const struct x86_insn *in, gva_t gva,
			    uint64_t components, uint64_t xcomp, copy_fn *copy)
{
	const struct bt_fpu *f = v->fpu;
	uint8_t *image = vector_image(v);

	if (components & XC_X87 && (!copy(v, gva, image, OFF_MXCSR) ||
				    !copy(v, gva + OFF_ST, image + OFF_ST, OFF_XMM - OFF_ST)))
		return false;
	if (components & XC_SSE && !copy(v, gva + OFF_XMM, image + OFF_XMM, xmm_end(in) - OFF_XMM))
		return false;
	for (unsigned i = 2; i < XC_COUNT; i++)
		if (components >> i & 1 &&
		    !copy(v, gva + component_offset(f, i, xcomp), image + f->comp[i].host_off,
			  component_bytes(f, in, i)))
			return false;
	return true;
}

/* Registers to the buffer; the header says which components are not in their initial state. */
static uint64_t host_xsave(struct bt_vcpu *v, uint64_t components)
{
	uint8_t *image = vector_image(v);
	uint64_t bv;

	memset(image + OFF_HEADER, 0, OFF_EXT - OFF_HEADER);
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(image), "a"((uint32_t)components), "d"(0)
			 : "memory");
	memcpy(&bv, image + OFF_HEADER, 8);
	return bt_logged(v, LOG_INUSE, 0, bv); /* a component may rest in use for no reason */
}

/* ---- XSAVE, XSAVEOPT, XSAVEC, XSAVES -------------------------------------------------------- */

bool vector_xsave(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool optimized = (in->modrm >> 3 & 7) == 6;
	uint64_t rfbm = requested(v), old_bv, inuse;
	unsigned end = image_end(v->fpu, rfbm, 0);
	uint8_t *image = vector_image(v);
	gva_t gva;

	if (!vector_address(v, in, end, 64, BT_WRITE, &gva) || !vector_probe_write(v, gva, end) ||
	    !bt_read(v, gva + OFF_HEADER, &old_bv, 8))
		return false;
	inuse = host_xsave(v, rfbm);
	put_pointers(v, in, image);
	if (!copy_components(v, in, gva, optimized ? rfbm & inuse : rfbm, 0, copy_out))
		return false;
	if (rfbm & (XC_SSE | XC_AVX) && !bt_write(v, gva + OFF_MXCSR, image + OFF_MXCSR, 8))
		return false;
	old_bv = (old_bv & ~rfbm) | (inuse & rfbm);
	return bt_write(v, gva + OFF_HEADER, &old_bv, 8);
}

/* IA32_XSS is 0 for guests, so XSAVES saves what XSAVEC does. */
bool vector_xsavec(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t rfbm = requested(v), xcomp = rfbm | XCOMP_COMPACT, header[2] = {0, xcomp};
	unsigned end = image_end(v->fpu, rfbm, xcomp);
	uint8_t *image = vector_image(v);
	gva_t gva;

	if (!vector_address(v, in, end, 64, BT_WRITE, &gva) || !vector_probe_write(v, gva, end))
		return false;
	header[0] = host_xsave(v, rfbm) & rfbm;
	put_pointers(v, in, image);
	if (rfbm & XC_SSE && image_mxcsr(image) != MXCSR_RESET)
		header[0] |= XC_SSE;
	if (!copy_components(v, in, gva, header[0], xcomp, copy_out))
		return false;
	if (header[0] & XC_SSE && !bt_write(v, gva + OFF_MXCSR, image + OFF_MXCSR, 8))
		return false;
	return bt_write(v, gva + OFF_HEADER, header, sizeof(header));
}

/* ---- XRSTOR, XRSTORS ------------------------------------------------------------------------ */

static bool header_valid(const struct bt_vcpu *v, const struct xsave_header *h, bool compact_only)
{
	bool compact = h->xcomp & XCOMP_COMPACT;
	uint64_t used = h->bv;

	if (compact ? h->bv & ~h->xcomp : h->xcomp || compact_only)
		return false;
	if (compact && !v->vm->cfg.cpu->has[X86_FEAT_XSAVEC])
		return false;
	if (compact)
		used |= h->xcomp & ~XCOMP_COMPACT;
	if (used & ~v->xcr0)
		return false;
	/* Bytes 23:16 in either format; the rest is checked in the compacted one only. */
	if (h->reserved[0])
		return false;
	for (unsigned i = 1; compact && i < 6; i++)
		if (h->reserved[i])
			return false;
	return true;
}

/* The MXCSR that the instruction leaves: section 13.8.1 and 13.8.2. false: v->fault. */
static bool next_mxcsr(struct bt_vcpu *v, gva_t gva, const struct xsave_header *h, uint64_t rfbm,
		       uint32_t *mxcsr)
{
	bool load = h->xcomp & XCOMP_COMPACT ? rfbm & h->bv & XC_SSE : rfbm & (XC_SSE | XC_AVX);

	__asm__ volatile("stmxcsr %0" : "=m"(*mxcsr));
	if (!load) {
		if (rfbm & XC_SSE)
			*mxcsr = MXCSR_RESET;
		return true;
	}
	if (!bt_read(v, gva + OFF_MXCSR, mxcsr, 4))
		return false;
	return !(*mxcsr & ~MXCSR_VALID) || bt_raise_error(v, EXC_GP, 0);
}

/* Initial values for registers 0 to 7 only, in the image; returns the components to load for that,
 * and those with none of these registers. */
static uint64_t initialize_low(struct bt_vcpu *v, uint64_t components)
{
	const struct bt_fpu *f = v->fpu;
	uint8_t *image = vector_image(v);

	if (components & XC_SSE)
		memset(image + OFF_XMM, 0, OFF_XMM8 - OFF_XMM);
	if (components & XC_AVX)
		memset(image + f->comp[2].host_off, 0, f->comp[2].size / 2);
	if (components & XC_ZMM)
		memset(image + f->comp[6].host_off, 0, f->comp[6].size / 2);
	return components & (XC_SSE | XC_AVX | XC_ZMM | XC_ZMM16);
}

bool vector_xrstor(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool supervisor = in->opcode == 0xc7;
	uint64_t rfbm = requested(v), load;
	uint8_t *image = vector_image(v);
	struct xsave_header h;
	uint32_t mxcsr;
	gva_t gva;

	/* MXCSR first: of two missing pages the first one is reported. */
	if (!vector_address(v, in, OFF_EXT, 64, BT_READ, &gva) ||
	    !bt_read(v, gva + OFF_MXCSR, &mxcsr, 4) ||
	    !vector_read(v, gva + OFF_HEADER, &h, sizeof(h)))
		return false;
	if (!header_valid(v, &h, supervisor))
		return bt_raise_error(v, EXC_GP, 0);
	load = rfbm & h.bv;
	/* XMM8-15 keep their values outside 64-bit mode. */
	host_xsave(v, rfbm);
	if (!next_mxcsr(v, gva, &h, rfbm, &mxcsr) ||
	    !copy_components(v, in, gva, load, h.xcomp, vector_read))
		return false;
	if (in->mode != X86_MODE_64)
		load |= initialize_low(v, rfbm & ~load);
	if (load & XC_X87) {
		mend_status(image);
		get_pointers(v, in, image);
	} else if (rfbm & XC_X87) {
		v->x87 = (struct bt_x87_last){0};
	}
	memcpy(image + OFF_MXCSR, &mxcsr, 4);
	memset(image + OFF_HEADER, 0, OFF_EXT - OFF_HEADER);
	memcpy(image + OFF_HEADER, &load, 8);
	__asm__ volatile("xrstor64 (%0)" : : "r"(image), "a"((uint32_t)rfbm), "d"(0) : "memory");
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return true;
}
