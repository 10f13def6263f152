/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the architecture that several files here need (Intel SDM vol. 3, AMD APM vol. 2). */
#ifndef KERNEL_HV_BITS_H
#define KERNEL_HV_BITS_H

#define CR0_PE   1UL
#define CR0_ET   0x10UL
#define CR0_NE   0x20UL
#define CR0_WPB  (1UL << 16)
#define CR0_NW   (1UL << 29)
#define CR0_CD   (1UL << 30)
#define CR0_PG   (1UL << 31)
#define CR4_DE   (1UL << 3)
#define CR4_PSE  (1UL << 4)
#define CR4_PAE  (1UL << 5)
#define CR4_VMXE (1UL << 13)
#define CR4_SMXE (1UL << 14)

#define EFER_LME  (1UL << 8)
#define EFER_LMA  (1UL << 10)
#define EFER_SVME (1UL << 12)

#define DR6_FIXED  0xffff0ff0UL /* reads as ones */
#define DR6_EVENTS 0xe00fUL
#define DR6_BS     0x4000UL
#define DR7_FIXED  0x400UL
#define DR7_ACTIVE 0x20ffUL /* breakpoints, or accesses trap */

#define VECTOR_DB 1
#define VECTOR_BP 3
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTOR_MC 18

#define MSR_TSC             0x10
#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_LOCKED      1UL
#define FEATURE_VMX         4UL
#define MSR_TSC_ADJUST      0x3b
#define MSR_MTRR_CAP        0xfe
#define MSR_MTRR_PHYS       0x200
#define MSR_MTRR_FIX_4K     0x268
#define MSR_PAT             0x277
#define MSR_WALL_CLOCK_NEW  0x4b564d00
#define MSR_SYSTEM_TIME_NEW 0x4b564d01
#define MSR_TSC_AUX         0xc0000103
#define MSR_VM_CR           0xc0010114
#define VM_CR_SVMDIS        (1u << 4)
#define MSR_VM_HSAVE_PA     0xc0010117

/*
 * An event on its way into the guest, as both manufacturers write it (SDM 25.8.3, APM 15.20):
 * vector, type, whether there is an error code. 0: none.
 */
#define EVENT_VECTOR(e)     ((e)&0xff)
#define EVENT_TYPE(e)       ((e) >> 8 & 7)
#define EVENT_EXTERNAL      0u
#define EVENT_NMI           2u
#define EVENT_EXCEPTION     3u
#define EVENT_ERROR         (1u << 11)
#define EVENT_VALID         (1u << 31)
#define EVENT(type, vector) (EVENT_VALID | (type) << 8 | (vector))

#endif
