/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The architectural state of one x86-64 logical processor, as no engine stores it and every engine
 * can give and take it. Snapshots, migration, the debugger and processor start-up use this form.
 * Names and bit layouts follow Intel SDM volume 3A and AMD APM volume 2.
 */
#ifndef X86_STATE_H
#define X86_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum x86_reg {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_NGPR
};

enum x86_segreg {
	X86_ES,
	X86_CS,
	X86_SS,
	X86_DS,
	X86_FS,
	X86_GS,
	X86_NSEG
};

/*
 * A segment register with its hidden part. `attr` has the layout of the second word of a descriptor
 * shifted right by 8 with the limit nibble taken out, i.e. VMX access rights:
 * type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16. `limit` is in bytes
 * (scaled).
 */
struct x86_segment {
	uint64_t base;
	uint32_t limit;
	uint32_t attr;
	uint16_t selector;
};

#define X86_ATTR_TYPE(a)  ((a)&0xf)
#define X86_ATTR_S        (1u << 4)
#define X86_ATTR_DPL(a)   (((a) >> 5) & 3)
#define X86_ATTR_P        (1u << 7)
#define X86_ATTR_L        (1u << 13)
#define X86_ATTR_DB       (1u << 14)
#define X86_ATTR_G        (1u << 15)
#define X86_ATTR_UNUSABLE (1u << 16)

struct x86_table {
	uint64_t base;
	uint16_t limit;
};

/* What a logical processor is doing besides executing. */
enum x86_activity {
	X86_ACTIVE,
	X86_HALTED,    /* HLT: waits for an interrupt */
	X86_WAIT_SIPI, /* an application processor before its start-up IPI */
};

/* What the last instruction holds back for the length of the next one. */
#define X86_SHADOW_STI 1 /* interrupts */
#define X86_SHADOW_SS  2 /* MOV SS, POP SS: also traps of debug registers and single step */

/* Size of the XSAVE image: legacy 512 + header 64 + AVX 256 + room for AVX-512 (standard format).
 */
#define X86_XSAVE_SIZE 4096

struct x86_cpu_state {
	uint64_t gpr[X86_NGPR];
	uint64_t rip, rflags;
	struct x86_segment seg[X86_NSEG], ldt, tr;
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
	uint64_t dr[8]; /* 4 and 5 are unused */
	uint64_t efer, apic_base, pat;
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc, tsc_aux, tsc_adjust, tsc_deadline;
	uint64_t misc_enable;
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
	uint64_t kvmclock_system_time, kvmclock_wall_clock; /* MSR 4b564d01h, 4b564d00h */
	uint8_t activity;                                   /* enum x86_activity */
	uint8_t interrupt_shadow;                           /* X86_SHADOW_* */
	uint8_t nmi_masked, nmi_pending;
	uint8_t exception_pending, exception_vector, exception_has_error;
	uint32_t exception_error;
	uint32_t lapic[256];                        /* local APIC register n at byte offset n*16 */
	_Alignas(64) uint8_t xsave[X86_XSAVE_SIZE]; /* standard (not compacted) format */
};

#endif
