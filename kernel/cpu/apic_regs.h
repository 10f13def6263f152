/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of the local APIC (Intel SDM vol. 3, table 11-1), by their place in its page; an
 * x2APIC's are MSRs 800h + place / 16. */
#ifndef KERNEL_CPU_APIC_REGS_H
#define KERNEL_CPU_APIC_REGS_H

enum {
	REG_ID = 0x20,
	REG_EOI = 0xb0,
	REG_SPURIOUS = 0xf0,
	REG_ICR = 0x300,
	REG_ICR_HIGH = 0x310,
	REG_LVT_TIMER = 0x320,
	REG_LVT_LINT0 = 0x350,
	REG_LVT_LINT1 = 0x360,
	REG_LVT_ERROR = 0x370,
	REG_TIMER_INITIAL = 0x380,
	REG_TIMER_CURRENT = 0x390,
	REG_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED       0x10000u
#define LVT_NMI          0x400u
#define LVT_TSC_DEADLINE 0x40000u
#define ICR_INIT         0x4500u
#define ICR_NMI          0x4400u
#define ICR_STARTUP      0x4600u
#define ICR_PENDING      0x1000u
#define ICR_SELF         0x40000u
#define ICR_ALL_OTHERS   0xc0000u

#endif
