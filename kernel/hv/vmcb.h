/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual machine control block (AMD APM vol. 2, appendix B). */
#ifndef KERNEL_HV_VMCB_H
#define KERNEL_HV_VMCB_H

#include <stddef.h>
#include <stdint.h>

struct vmcb_seg {
	uint16_t selector, attr; /* type 3:0, S, DPL, P in 7:0; AVL, L, D/B, G in 11:8 */
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	uint16_t cr_read, cr_write, dr_read, dr_write;
	uint32_t exceptions, intercept1, intercept2, intercept3;
	uint8_t reserved0[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, reserved1[3];
	uint8_t v_tpr, v_irq, v_prio, v_masking, v_vector, reserved2[3];
	uint64_t shadow;
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t nested;
	uint8_t reserved3[0xa8 - 0x98];
	uint64_t inject, ncr3, lbr;
	uint32_t clean, reserved4;
	uint64_t next_rip;
	uint8_t insn_len, insn[15];
	uint8_t reserved5[0x400 - 0xe0];

	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved6[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved7;
	uint64_t efer;
	uint8_t reserved8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved9[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved10[0x5f8 - 0x5e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved11[0x668 - 0x648];
	uint64_t pat;
	uint8_t reserved12[0x1000 - 0x670];
};

_Static_assert(offsetof(struct vmcb, iopm) == 0x40, "VMCB");
_Static_assert(offsetof(struct vmcb, v_tpr) == 0x60, "VMCB");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB");
_Static_assert(offsetof(struct vmcb, nested) == 0x90, "VMCB");
_Static_assert(offsetof(struct vmcb, inject) == 0xa8, "VMCB");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB");

#define INTERCEPT1_INTR     (1u << 0)
#define INTERCEPT1_NMI      (1u << 1)
#define INTERCEPT1_SMI      (1u << 2)
#define INTERCEPT1_INIT     (1u << 3)
#define INTERCEPT1_VINTR    (1u << 4)
#define INTERCEPT1_RDPMC    (1u << 15)
#define INTERCEPT1_CPUID    (1u << 18)
#define INTERCEPT1_IRET     (1u << 20)
#define INTERCEPT1_INVD     (1u << 22)
#define INTERCEPT1_HLT      (1u << 24)
#define INTERCEPT1_INVLPGA  (1u << 26)
#define INTERCEPT1_IO       (1u << 27)
#define INTERCEPT1_MSR      (1u << 28)
#define INTERCEPT1_TASK     (1u << 29)
#define INTERCEPT1_FERR     (1u << 30)
#define INTERCEPT1_SHUTDOWN (1u << 31)

#define INTERCEPT2_VMRUN   (1u << 0)
#define INTERCEPT2_VMMCALL (1u << 1)
#define INTERCEPT2_VMLOAD  (1u << 2)
#define INTERCEPT2_VMSAVE  (1u << 3)
#define INTERCEPT2_STGI    (1u << 4)
#define INTERCEPT2_CLGI    (1u << 5)
#define INTERCEPT2_SKINIT  (1u << 6)
#define INTERCEPT2_WBINVD  (1u << 9)
#define INTERCEPT2_MONITOR (1u << 10)
#define INTERCEPT2_MWAIT   (1u << 11)
#define INTERCEPT2_XSETBV  (1u << 13)

enum {
	SVM_EXIT_CR8_WRITE = 0x18,
	SVM_EXIT_DR = 0x20, /* reads, then writes, of each register */
	SVM_EXIT_DB = 0x41,
	SVM_EXIT_BP = 0x43,
	SVM_EXIT_MC = 0x52,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_SMI = 0x62,
	SVM_EXIT_INIT = 0x63,
	SVM_EXIT_VINTR = 0x64,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_TASK = 0x7d,
	SVM_EXIT_FERR = 0x7e,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83,
	SVM_EXIT_STGI = 0x84,
	SVM_EXIT_CLGI = 0x85,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT = 0x8b,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_NPF = 0x400,
};

#define SVM_EXIT_INVALID UINT64_MAX
#define NPF_FINAL        (1UL << 32) /* exit_info1 of a nested page fault */
#define TLB_FLUSH_ALL    1
#define TLB_FLUSH_GUEST  3 /* by ASID, where CPUID tells of it (APM vol. 2, 15.16.2) */
#define V_IGN_TPR        0x10

#endif
