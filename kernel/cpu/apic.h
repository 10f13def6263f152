/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC, xAPIC or x2APIC (Intel SDM vol. 3, chapter 11), and the I/O APICs. */
#ifndef KERNEL_CPU_APIC_H
#define KERNEL_CPU_APIC_H

#include <stdint.h>

void apic_setup(void); /* on each CPU */
uint32_t apic_id(void);
void apic_eoi(void);
void apic_send(uint32_t apic_id, unsigned command); /* a vector, or bits of ICR */
void apic_nmi_all_others(void);
void apic_send_self(unsigned vector); /* also where an NMI has interrupted another one's sending */
void apic_start_cpu(uint32_t apic_id, uint32_t address); /* INIT, SIPI, SIPI */
/* One interrupt VECTOR_TIMER at this TSC value. */
void apic_timer(uint64_t tsc);
/* Finds out the timer's speed; needs the TSC's. */
void apic_timer_init(void);

/* ACPI's MADT tells of them. `gsi` is the chip's first interrupt. */
void ioapic_add(uint64_t phys, uint32_t gsi);
/* An ISA interrupt that is joined to another GSI or is active low or level triggered. */
void ioapic_override(unsigned isa, uint32_t gsi, unsigned flags);
/* Routes an ISA interrupt, or a PCI line that firmware joined to one, to `vector` on the first CPU.
 */
void ioapic_route_isa(unsigned isa, unsigned vector);
void ioapic_route_pci(unsigned line, unsigned vector); /* below 16 */

#endif
