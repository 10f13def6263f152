/* SPDX-License-Identifier: Apache-2.0 */
/* The states in which processors start: power-on, flat 32-bit and 64-bit for kernels. */
#include <errno.h>
#include <string.h>

#include "vmm/boot/layout.h"
#include "vmm/boot/loader.h"

#define CR0_PE          0x1u
#define CR0_ET          0x10u
#define CR0_NE          0x20u
#define CR0_PG          0x80000000u
#define CR4_PAE         0x20u
#define EFER_LME        0x100u
#define EFER_LMA        0x400u
#define MTRR_ENABLE     0x800u
#define MTRR_WRITE_BACK 6u

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

/* Attribute bytes with D/B, L and G as in struct x86_segment. */
#define ATTR_CODE16 0x009b
#define ATTR_DATA16 0x0093
#define ATTR_CODE32 0xc09b
#define ATTR_CODE64 0xa09b
#define ATTR_DATA32 0xc093
#define ATTR_LDT    0x0082
#define ATTR_TSS    0x008b

static void reset_lapic(struct x86_cpu_state *s, unsigned index)
{
	s->apic_base = 0xfee00000ull | 0x800 | (index ? 0 : 0x100);
	s->lapic[0x2] = index << 24;
	s->lapic[0x3] = 0x50014; /* version: 6 local vectors */
	s->lapic[0xe] = 0xffffffff;
	s->lapic[0xf] = 0xff;
	for (unsigned lvt = 0x32; lvt <= 0x37; lvt++)
		s->lapic[lvt] = 0x10000;
	/* Firmware leaves LINT0 of the boot processor open for the PIC; kernels rely on it. */
	if (!index)
		s->lapic[0x35] = 0x700;
}

/* Intel SDM volume 3A, table 10-1. */
void boot_state_reset(struct x86_cpu_state *s, unsigned index)
{
	static const uint16_t fcw = 0x37f;
	static const uint32_t mxcsr = 0x1f80;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = (struct x86_segment){.limit = 0xffff, .attr = ATTR_DATA16};
	s->seg[X86_CS] = (struct x86_segment){0xffff0000, 0xffff, ATTR_CODE16, 0xf000};
	s->ldt = (struct x86_segment){.limit = 0xffff, .attr = ATTR_LDT};
	s->tr = (struct x86_segment){.limit = 0xffff, .attr = ATTR_TSS};
	s->gdt.limit = s->idt.limit = 0xffff;
	s->rip = 0xfff0;
	s->rflags = 2;
	s->cr0 = 0x60000010;
	s->xcr0 = 1;
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	s->pat = 0x0007040600070406;
	s->misc_enable = 0x1801; /* fast strings; no branch trace store, no PEBS */
	s->activity = index ? X86_WAIT_SIPI : X86_ACTIVE;
	memcpy(s->xsave, &fcw, sizeof(fcw));
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
	s->xsave[512] = 3; /* x87 and SSE parts are present */
	reset_lapic(s, index);
}

void boot_ap_state(struct x86_cpu_state *s, unsigned index)
{
	uint64_t mtrr_def_type = s->mtrr_def_type;

	boot_state_reset(s, index);
	s->mtrr_def_type = mtrr_def_type;
}

static void set_flat(struct x86_cpu_state *s, uint32_t code_attr)
{
	for (unsigned i = 0; i < X86_NSEG; i++)
		s->seg[i] = (struct x86_segment){0, 0xffffffff, ATTR_DATA32, SELECTOR_DATA};
	s->seg[X86_CS] = (struct x86_segment){0, 0xffffffff, code_attr, SELECTOR_CODE};
	s->gdt = (struct x86_table){BOOT_GDT, 4 * 8 - 1};
	s->idt = (struct x86_table){0, 0};
	/* All memory write-back, as firmware would have set it up. */
	s->mtrr_def_type = MTRR_ENABLE | MTRR_WRITE_BACK;
}

void boot_state_protected(struct x86_cpu_state *s, gpa_t entry)
{
	boot_state_reset(s, 0);
	set_flat(s, ATTR_CODE32);
	s->cr0 = CR0_PE | CR0_ET;
	s->rip = entry;
}

void boot_state_long(struct x86_cpu_state *s, gpa_t entry)
{
	boot_state_reset(s, 0);
	set_flat(s, ATTR_CODE64);
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = BOOT_PAGE_TABLES;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	s->rip = entry;
}

#define PAGE_PRESENT_WRITE 3
#define PAGE_LARGE         0x80

/* One PML4 entry, four directories of 512 pages of 2 MiB each. */
static void fill_page_tables(uint64_t *table)
{
	uint64_t *pdpt = table + 512, *pd = table + 1024;

	memset(table, 0, 6 * MEM_PAGE_SIZE);
	table[0] = (BOOT_PAGE_TABLES + MEM_PAGE_SIZE) | PAGE_PRESENT_WRITE;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + (2 + i) * MEM_PAGE_SIZE) | PAGE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PAGE_PRESENT_WRITE | PAGE_LARGE;
}

int boot_put_tables(struct guest_memory *m, bool long_mode, struct err *e)
{
	uint64_t code = long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff;
	uint64_t gdt[4] = {0, 0, code, 0x00cf93000000ffff};
	uint64_t *tables = mem_ptr(m, BOOT_PAGE_TABLES, 6 * MEM_PAGE_SIZE, true);

	if (!tables || !mem_write(m, BOOT_GDT, gdt, sizeof(gdt)))
		return err_set(e, -ENOSPC, "boot: no RAM for descriptor and page tables");
	fill_page_tables(tables);
	mem_written(m, BOOT_PAGE_TABLES, 6 * MEM_PAGE_SIZE);
	return 0;
}
