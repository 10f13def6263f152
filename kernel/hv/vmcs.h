/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCS: its fields (Intel SDM vol. 3, appendix B) and controls (chapter 25), and the
 * instructions. */
#ifndef KERNEL_HV_VMCS_H
#define KERNEL_HV_VMCS_H

#include <stdbool.h>
#include <stdint.h>

/* Segments lie in the order of enum x86_segreg, then LDTR and TR: field + 2 * n. */
enum vmcs_field {
	VMCS_VPID = 0x0000,
	GUEST_SELECTOR = 0x0800,
	HOST_ES = 0x0c00,
	HOST_CS = 0x0c02,
	HOST_SS = 0x0c04,
	HOST_DS = 0x0c06,
	HOST_FS = 0x0c08,
	HOST_GS = 0x0c0a,
	HOST_TR = 0x0c0c,
	MSR_BITMAP = 0x2004,
	TSC_OFFSET = 0x2010,
	EPT_POINTER = 0x201a,
	GUEST_PHYSICAL = 0x2400,
	VMCS_LINK = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PDPTE = 0x280a,
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,
	PIN_CONTROLS = 0x4000,
	CPU_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	CR3_TARGETS = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORES = 0x400e,
	EXIT_MSR_LOADS = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOADS = 0x4014,
	ENTRY_EVENT = 0x4016,
	ENTRY_ERROR = 0x4018,
	CPU_CONTROLS2 = 0x401e,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_EVENT = 0x4404,
	VECTORING_EVENT = 0x4408,
	VECTORING_ERROR = 0x440a,
	INSTRUCTION_LENGTH = 0x440c,
	GUEST_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_RIGHTS = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	GUEST_SYSENTER_CS = 0x482a,
	PREEMPTION_TIMER = 0x482e,
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	QUALIFICATION = 0x6400,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_BASE = 0x6806,
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_RIP = 0x6c16,
};

#define PIN_EXTERNAL    (1u << 0)
#define PIN_NMI         (1u << 3)
#define PIN_VIRTUAL_NMI (1u << 5)
#define PIN_TIMER       (1u << 6)

#define CPU_INTERRUPT_WINDOW (1u << 2)
#define CPU_TSC_OFFSET       (1u << 3)
#define CPU_HLT              (1u << 7)
#define CPU_MWAIT            (1u << 10)
#define CPU_RDPMC            (1u << 11)
#define CPU_CR8_LOAD         (1u << 19)
#define CPU_CR8_STORE        (1u << 20)
#define CPU_NMI_WINDOW       (1u << 22)
#define CPU_DR               (1u << 23)
#define CPU_IO               (1u << 24)
#define CPU_MSR_BITMAP       (1u << 28)
#define CPU_MONITOR          (1u << 29)
#define CPU_SECONDARY        (1u << 31)

#define CPU2_EPT          (1u << 1)
#define CPU2_RDTSCP       (1u << 3)
#define CPU2_VPID         (1u << 5)
#define CPU2_WBINVD       (1u << 6)
#define CPU2_UNRESTRICTED (1u << 7)
#define CPU2_INVPCID      (1u << 12)

#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64    (1u << 9)
#define EXIT_SAVE_PAT   (1u << 18)
#define EXIT_LOAD_PAT   (1u << 19)
#define EXIT_SAVE_EFER  (1u << 20)
#define EXIT_LOAD_EFER  (1u << 21)

#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_GUEST_64   (1u << 9)
#define ENTRY_LOAD_PAT   (1u << 14)
#define ENTRY_LOAD_EFER  (1u << 15)

#define RIGHTS_MASK   0x1f0ffu
#define PENDING_BS    (1UL << 14)
#define ENTRY_FAILED  (1u << 31)
#define EPT_WRITEBACK 6UL
#define EPT_LEVELS    (3UL << 3)
#define EPT_LEAF_WB   (6UL << 3)

/* Qualification of an EPT violation (28.2.1). */
#define VIOLATION_WRITE   2UL
#define VIOLATION_FETCH   4UL
#define VIOLATION_PRESENT 0x38UL
#define VIOLATION_FINAL   0x180UL /* a linear address is known, and this is its page */
#define VIOLATION_IRET    (1UL << 12)

/* What the processor can (appendix A). */
#define MSR_VMX_BASIC       0x480
#define BASIC_TRUE_CONTROLS (1UL << 55)
#define MSR_VMX_MISC        0x485
#define MSR_VMX_CR0_FIXED0  0x486
#define MSR_VMX_CONTROLS2   0x48b
#define MSR_VMX_EPT         0x48c
#define EPT_NEEDED          (1UL << 6 | 1UL << 14 | 1UL << 16 | 1UL << 20 | 1UL << 25)
#define EPT_VPID            (1UL << 32 | 1UL << 41 | 1UL << 42)
#define MSR_VMX_TRUE_PIN    0x48d
#define MSR_VMX_TRUE_CPU    0x48e
#define MSR_VMX_TRUE_EXIT   0x48f
#define MSR_VMX_TRUE_ENTRY  0x490

#define BLOCKED_STI   1u
#define BLOCKED_MOVSS 2u
#define BLOCKED_NMI   8u

/* Basic exit reasons (appendix C). */
enum {
	VMX_EXIT_EXCEPTION = 0,
	VMX_EXIT_EXTERNAL = 1,
	VMX_EXIT_TRIPLE_FAULT = 2,
	VMX_EXIT_INIT = 3,
	VMX_EXIT_SIPI = 4,
	VMX_EXIT_INTERRUPT_WINDOW = 7,
	VMX_EXIT_NMI_WINDOW = 8,
	VMX_EXIT_CPUID = 10,
	VMX_EXIT_GETSEC = 11,
	VMX_EXIT_HLT = 12,
	VMX_EXIT_INVD = 13,
	VMX_EXIT_RDPMC = 15,
	VMX_EXIT_RSM = 17,
	VMX_EXIT_VMCALL = 18,
	VMX_EXIT_VMCLEAR = 19,
	VMX_EXIT_VMXON = 27,
	VMX_EXIT_CR = 28,
	VMX_EXIT_DR = 29,
	VMX_EXIT_IO = 30,
	VMX_EXIT_RDMSR = 31,
	VMX_EXIT_WRMSR = 32,
	VMX_EXIT_MWAIT = 36,
	VMX_EXIT_MONITOR = 39,
	VMX_EXIT_MACHINE_CHECK = 41,
	VMX_EXIT_EPT_VIOLATION = 48,
	VMX_EXIT_INVEPT = 50,
	VMX_EXIT_PREEMPTION_TIMER = 52,
	VMX_EXIT_INVVPID = 53,
	VMX_EXIT_WBINVD = 54,
	VMX_EXIT_XSETBV = 55,
	VMX_EXIT_KINDS = 64,
};

static inline uint64_t vmread(unsigned field)
{
	uint64_t v;

	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)field) : "cc");
	return v;
}

static inline void vmwrite(unsigned field, uint64_t v)
{
	__asm__ volatile("vmwrite %0, %1" ::"r"(v), "r"((uint64_t)field) : "cc", "memory");
}

static inline void vmclear(uint64_t phys)
{
	__asm__ volatile("vmclear %0" ::"m"(phys) : "cc", "memory");
}

static inline void vmptrld(uint64_t phys)
{
	__asm__ volatile("vmptrld %0" ::"m"(phys) : "cc", "memory");
}

/* True: VMX operation is on. */
static inline bool vmxon(uint64_t phys)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(phys) : "memory");
	return !failed;
}

#define INVALIDATE_SINGLE 1UL
#define INVALIDATE_ALL    2UL

static inline void invept(uint64_t type, uint64_t eptp)
{
	struct {
		uint64_t eptp, zero;
	} d = {eptp, 0};

	__asm__ volatile("invept %0, %1" ::"m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint64_t vpid)
{
	struct {
		uint64_t vpid, linear;
	} d = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" ::"m"(d), "r"(type) : "cc", "memory");
}

#endif
