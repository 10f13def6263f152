/* SPDX-License-Identifier: Apache-2.0 */
/* Re-encoded vector instructions: making them, and keeping them where they can be executed. */
#include "vmm/engine/bt/vector.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STUB_SIZE  16 /* longest copy is 10 bytes, and RET */
#define STUB_COUNT 1024
#define ARENA_SIZE (STUB_SIZE * STUB_COUNT)

/*
 * One memfd mapped twice: `rw` is written, `rx` is executed. The cache is direct-mapped: a stub's
 * place follows from its bytes.
 */
struct bt_vector {
	uint8_t *rw;
	const uint8_t *rx;
	uint8_t len[STUB_COUNT]; /* 0: empty */
	uint8_t *image;
	uint8_t *fence;         /* three pages of which only the middle one is there */
	uint64_t fault_address; /* of the last host fault in a stub */
	bool on_tcg;            /* the host's processor is QEMU's translator */
};

static int arena_map(struct bt_vector *c, struct err *e)
{
	int fd = memfd_create("baton-vector", MFD_CLOEXEC);
	int rc = 0;

	if (fd < 0 || ftruncate(fd, ARENA_SIZE)) {
		rc = err_set(e, -errno, "vector code buffer: %s", strerror(errno));
		goto close_fd;
	}
	c->rw = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	c->rx = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (c->rw == MAP_FAILED || c->rx == MAP_FAILED)
		rc = err_set(e, -errno, "vector code buffer: cannot map it executable: %s",
			     strerror(errno));
close_fd:
	if (fd >= 0)
		close(fd);
	return rc;
}

static bool host_is_tcg(void)
{
	uint32_t eax, name[3];

	if (!__get_cpuid(1, &eax, &name[0], &name[1], &name[2]) || !(name[1] >> 31))
		return false;
	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

int bt_vector_create(struct bt_vcpu *v, struct err *e)
{
	struct bt_vector *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "vCPU %u: no memory for vector code", v->index);
	c->on_tcg = host_is_tcg();
	c->rw = MAP_FAILED;
	c->rx = MAP_FAILED;
	v->fpu->vec = c;
	c->image = aligned_alloc(64, X86_XSAVE_SIZE);
	c->fence = mmap(NULL, 3 * BT_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->image && c->fence != MAP_FAILED &&
	    !mprotect(c->fence + BT_PAGE, BT_PAGE, PROT_READ | PROT_WRITE))
		rc = arena_map(c, e);
	else
		rc = err_set(e, -ENOMEM, "vCPU %u: no memory for vector code", v->index);
	if (rc)
		bt_vector_destroy(v);
	return rc;
}

void bt_vector_destroy(struct bt_vcpu *v)
{
	struct bt_vector *c = v->fpu->vec;

	if (c->rw != MAP_FAILED)
		munmap(c->rw, ARENA_SIZE);
	if (c->rx != MAP_FAILED)
		munmap((void *)c->rx, ARENA_SIZE);
	if (c->fence != MAP_FAILED)
		munmap(c->fence, 3 * BT_PAGE);
	free(c->image);
	free(c);
	v->fpu->vec = NULL;
}

uint8_t *vector_fence(struct bt_vcpu *v)
{
	return v->fpu->vec->fence + BT_PAGE;
}

uint64_t vector_fault_address(struct bt_vcpu *v)
{
	return v->fpu->vec->fault_address;
}

uint8_t *vector_image(struct bt_vcpu *v)
{
	return v->fpu->vec->image;
}

bool bt_vector_fpe(struct bt_vcpu *v, siginfo_t *si, ucontext_t *uc)
{
	struct bt_vector *c = v->fpu->vec;
	greg_t *reg = uc->uc_mcontext.gregs;

	if ((uint64_t)reg[REG_RIP] - (uint64_t)c->rx >= ARENA_SIZE)
		return false;
	c->fault_address = (uint64_t)(uintptr_t)si->si_addr;
	reg[REG_RAX] = reg[REG_TRAPNO];
	reg[REG_RIP] = (greg_t)(uintptr_t)bt_vector_trapped;
	return true;
}

/*
 * Code written through another linear address is only certain to be executed after a serializing
 * instruction (Intel SDM volume 3A section 9.1.3). IRET is the one that no hypervisor intercepts.
 */
static void serialize_by_iret(void)
{
	uint64_t t, sel;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "lea 128(%%rsp), %0\n\t"
			 "mov %%ss, %1\n\t"
			 "push %1\n\t"
			 "push %0\n\t"
			 "pushfq\n\t"
			 "mov %%cs, %1\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %0\n\t"
			 "push %0\n\t"
			 "iretq\n"
			 "1:"
			 : "=&r"(t), "=&r"(sel)
			 :
			 : "memory", "cc");
}

/*
 * QEMU's translator (7.2) lets IRET read a program's stack with the kernel's rights, which SMAP
 * forbids: it would fault for ever. There nobody intercepts CPUID.
 */
static void serialize(const struct bt_vector *c)
{
	uint32_t leaf = 0, sub = 0;

	if (c->on_tcg)
		__asm__ volatile("cpuid" : "+a"(leaf), "+c"(sub) : : "rbx", "rdx", "memory");
	else
		serialize_by_iret();
}

static unsigned stub_place(const uint8_t *code, unsigned len)
{
	uint32_t h = len;

	for (unsigned i = 0; i < len; i++)
		h = h * 0x01000193 ^ code[i];
	return (h ^ h >> 15) % STUB_COUNT;
}

const void *vector_stub(struct bt_vcpu *v, const uint8_t *code, unsigned len)
{
	struct bt_vector *c = v->fpu->vec;
	unsigned n = stub_place(code, len);
	uint8_t *p = c->rw + n * STUB_SIZE;

	if (c->len[n] != len || memcmp(p, code, len)) {
		memcpy(p, code, len);
		p[len] = 0xc3;
		c->len[n] = len;
		serialize(c);
	}
	return c->rx + n * STUB_SIZE;
}

/* ---- re-encoding ---------------------------------------------------------------------------- */

enum gpr_field {
	GPR_NONE,
	GPR_IN_REG,
	GPR_IN_RM
};

/* Destinations in ModRM.rm: MOVD, PEXTRx. */
static bool gpr_dest_in_rm(const struct x86_insn *in)
{
	return (in->map == X86_MAP_0F && in->opcode == 0x7e) ||
	       (in->map == X86_MAP_0F3A && in->opcode >= 0x14 && in->opcode <= 0x17);
}

/* In which ModRM field the instruction has a general register, if it has one. */
static enum gpr_field gpr_field(const struct x86_insn *in)
{
	unsigned i = 0;

	while (i < in->nops && in->opnd[i].kind != X86_OPK_GPR)
		i++;
	if (i == in->nops || in->map == X86_MAP_1) /* FNSTSW AX: in no field */
		return GPR_NONE;
	if (in->map == X86_MAP_0F && in->opcode == 0xc3) /* MOVNTI */
		return GPR_IN_REG;
	return i == 0 && !gpr_dest_in_rm(in) ? GPR_IN_REG : GPR_IN_RM;
}

/* REX.W, VEX.W and EVEX.W choose 64-bit general registers, or integers in their place. */
static bool chooses_integer(const struct x86_insn *in)
{
	if (in->is_evex && gpr_field(in) != GPR_NONE)
		return true;
	if (in->map == X86_MAP_0F3A)
		return in->opcode == 0x16 || in->opcode == 0x22 || in->opcode == 0x60 ||
		       in->opcode == 0x61;
	if (in->map != X86_MAP_0F)
		return false;
	switch (in->opcode) {
	case 0x2a:
	case 0x2c:
	case 0x2d:
	case 0x6e:
		return true;
	case 0x7b: /* VCVTUSI2xx */
		return in->is_evex && in->vex_pp >= 2;
	case 0x7e: /* with F3: VMOVQ */
		return !in->is_evex || in->vex_pp == 1;
	}
	return false;
}

/* Outside 64-bit mode W is ignored there. */
static bool wide(const struct x86_insn *in, bool w)
{
	return w && (in->mode == X86_MODE_64 || !chooses_integer(in));
}

static uint8_t *put_vex(const struct x86_insn *in, uint8_t *p, bool r, bool b)
{
	uint8_t map = in->map == X86_MAP_0F ? 1 : in->map == X86_MAP_0F38 ? 2 : 3;
	uint8_t vvvv = in->mode == X86_MODE_64 ? in->vex_vvvv : in->vex_vvvv | 8;

	*p++ = 0xc4;
	*p++ = (r ? 0 : 0x80) | 0x40 | (b ? 0 : 0x20) | map;
	*p++ = (wide(in, in->ext & 8) ? 0x80 : 0) | vvvv << 3 | in->vex_l << 2 | in->vex_pp;
	return p;
}

static uint8_t *put_evex(const struct x86_insn *in, uint8_t *p, bool r, bool x, bool b)
{
	uint8_t vvvv = in->mode == X86_MODE_64 ? in->vex_vvvv : in->vex_vvvv | 8;
	bool r2 = in->evex_r2 && gpr_field(in) != GPR_IN_REG;

	*p++ = 0x62;
	*p++ = (r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | (r2 ? 0 : 0x10) | in->map;
	*p++ = (wide(in, in->ext & 8) ? 0x80 : 0) | vvvv << 3 | 4 | in->vex_pp;
	*p++ = in->evex_p2;
	return p;
}

static uint8_t *put_legacy(const struct x86_insn *in, uint8_t *p, bool r, bool b)
{
	uint8_t rex = (wide(in, in->ext & 8) ? 8 : 0) | (r ? 4 : 0) | (b ? 1 : 0);

	/* Of several mandatory prefixes F2/F3 win over 66 (and 66 is kept: CRC32 alone minds it).
	 */
	if (in->prefixes & X86_PFX_OPSZ)
		*p++ = 0x66;
	if (in->prefixes & X86_PFX_REP)
		*p++ = 0xf3;
	else if (in->prefixes & X86_PFX_REPN)
		*p++ = 0xf2;
	if (rex)
		*p++ = 0x40 | rex;
	if (in->map != X86_MAP_1)
		*p++ = 0x0f;
	if (in->map == X86_MAP_0F38)
		*p++ = 0x38;
	else if (in->map == X86_MAP_0F3A)
		*p++ = 0x3a;
	return p;
}

static uint8_t *put_imm(const struct x86_insn *in, uint8_t *p)
{
	uint64_t imm = in->imm;

	if (in->imm_len == 2) /* EXTRQ, INSERTQ: two immediate bytes */
		imm = (in->imm & 0xff) | in->imm2 << 8;
	for (unsigned i = 0; i < in->imm_len; i++)
		*p++ = imm >> 8 * i;
	/* A register in bits 7:4: bit 7 is ignored outside 64-bit mode. */
	if (in->prefixes & X86_PFX_VEX && in->mode != X86_MODE_64 && in->imm_len == 1 &&
	    in->map == X86_MAP_0F3A && in->opcode >= 0x4a && in->opcode <= 0x4c)
		p[-1] &= 0x7f;
	return p;
}

unsigned vector_reencode(const struct x86_insn *in, uint8_t code[VECTOR_MAX_CODE])
{
	enum gpr_field gpr = gpr_field(in);
	bool memory = in->has_modrm && in->modrm < 0xc0;
	bool r = in->ext & 4 && gpr != GPR_IN_REG;
	bool b = in->ext & 1 && gpr != GPR_IN_RM && !memory;
	uint8_t modrm = in->modrm;
	uint8_t *p = code;

	if (in->is_evex) /* EVEX.X is bit 4 of a vector register in ModRM.rm */
		p = put_evex(in, p, r, in->ext & 2 && gpr != GPR_IN_RM && !memory, b);
	else if (in->prefixes & X86_PFX_VEX)
		p = put_vex(in, p, r, b);
	else
		p = put_legacy(in, p, r, b);
	*p++ = in->opcode;
	if (in->has_modrm) {
		if (memory)
			modrm = (modrm & 0x38) | 3;
		else if (gpr == GPR_IN_RM)
			modrm &= 0xf8;
		if (gpr == GPR_IN_REG)
			modrm &= 0xc7;
		*p++ = modrm;
	}
	p = put_imm(in, p);
	return p - code;
}

/* ---- whole registers ------------------------------------------------------------------------ */

static void move(struct bt_vcpu *v, const uint8_t *code, unsigned len, const void *buf)
{
	struct vector_regs r = {.rbx = (uintptr_t)buf, .rflags = FL_ONE};

	bt_vector_call(&r, vector_stub(v, code, len));
}

static void move_ymm(struct bt_vcpu *v, uint8_t opcode, unsigned reg, const void *buf)
{
	uint8_t modrm = (reg & 7) << 3 | 3;
	/* VMOVDQU ymm / MOVDQU xmm, with [RBX] */
	const uint8_t vex[] = {0xc4, (reg & 8 ? 0 : 0x80) | 0x61, 0x7e, opcode, modrm};
	const uint8_t legacy[] = {0xf3, reg & 8 ? 0x44 : 0x40, 0x0f, opcode, modrm};

	move(v, v->fpu->mask & XC_AVX ? vex : legacy, sizeof(vex), buf);
}

/* VMOVDQU64 zmm, with [RBX]; what there is of it. */
static void move_whole(struct bt_vcpu *v, uint8_t opcode, unsigned reg, const void *buf)
{
	uint8_t p0 = (reg & 8 ? 0 : 0x80) | (reg & 16 ? 0 : 0x10) | 0x61;
	const uint8_t evex[] = {0x62, p0, 0xfe, 0x48, opcode, (reg & 7) << 3 | 3};

	if (v->fpu->mask & XC_AVX512)
		move(v, evex, sizeof(evex), buf);
	else
		move_ymm(v, opcode, reg, buf);
}

void vector_get(struct bt_vcpu *v, unsigned reg, void *buf)
{
	move_whole(v, 0x7f, reg, buf);
}

void vector_put(struct bt_vcpu *v, unsigned reg, const void *buf)
{
	move_whole(v, 0x6f, reg, buf);
}

/* KMOVQ, or KMOVW, with [RBX]. */
static void move_mask(struct bt_vcpu *v, uint8_t opcode, unsigned reg, uint64_t *bits)
{
	bool wide = v->vm->cfg.cpu->has[X86_FEAT_AVX512BW];
	const uint8_t kmov[] = {0xc4, 0xe1, wide ? 0xf8 : 0x78, opcode, (reg & 7) << 3 | 3};

	move(v, kmov, sizeof(kmov), bits);
}

uint64_t vector_get_mask(struct bt_vcpu *v, unsigned reg)
{
	uint64_t bits = 0;

	move_mask(v, 0x91, reg, &bits);
	return bits;
}

void vector_put_mask(struct bt_vcpu *v, unsigned reg, uint64_t bits)
{
	move_mask(v, 0x90, reg, &bits);
}

void vector_get_mmx(struct bt_vcpu *v, unsigned reg, void *buf)
{
	const uint8_t movq[] = {0x0f, 0x7f, (reg & 7) << 3 | 3};

	move(v, movq, sizeof(movq), buf);
}
