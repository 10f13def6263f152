/* SPDX-License-Identifier: Apache-2.0 */
/* Does the twin agree with the vCPU? */
#include <string.h>

#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/lockstep/internal.h"
#include "vmm/engine/bt/translate/translate.h"

/* Of the vector image: where x87 keeps its last instruction, which translated code does not. */
#define IMG_LAST     6
#define IMG_LAST_END 24

void compare_differs(struct lockstep *l, const char *what, uint64_t addr, uint64_t main,
		     uint64_t twin)
{
	if (l->wrong)
		return;
	l->wrong = what;
	l->wrong_addr = addr;
	l->wrong_main = main;
	l->wrong_twin = twin;
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* Flags that the instructions of the block, in a row from its start, have left undefined. */
static unsigned undefined_flags(struct lockstep *l)
{
	unsigned off = l->start & (BT_PAGE - 1);
	const uint8_t *page;
	unsigned size = code_pages(l, l->start, l->main->rip, &page);

	if (!size)
		return 0;
	return bt_translate_flags_undefined(l->main, page + off, size - off,
					    (int64_t)(l->main->rip - l->start));
}

/* Flags that nobody reads any more: the translator does not keep them. */
static unsigned dead_flags(struct lockstep *l)
{
	unsigned off = l->main->rip & (BT_PAGE - 1);
	const uint8_t *page;
	unsigned size = code_pages(l, l->main->rip, l->main->rip + X86_MAX_INSN_LEN, &page);

	if (!size || (size == BT_PAGE && off > BT_PAGE - X86_MAX_INSN_LEN))
		return 0;
	return X86_F_STATUS & ~bt_translate_flags_live(l->main, page, off, size);
}

/* The twin takes over what need not agree, so that it spreads no further. */
static bool compare_flags(struct lockstep *l)
{
	uint64_t main = l->main->rflags, twin = l->twin->rflags, differ = main ^ twin;
	unsigned may;

	if (!differ)
		return true;
	if (differ & ~(uint64_t)(X86_F_STATUS | FL_RF)) /* translated code leaves RF alone */
		return compare_differs(l, "RFLAGS", 0, main, twin), false;
	may = dead_flags(l) | FL_RF;
	if (differ & ~may)
		may |= undefined_flags(l);
	if (differ & ~may)
		return compare_differs(l, "RFLAGS", 0, main, twin), false;
	l->twin->rflags = main;
	return true;
}

/* ---- registers ------------------------------------------------------------------------------- */

static const char *const gpr_names[X86_NGPR] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
						"RSI", "RDI", "R8",  "R9",  "R10", "R11",
						"R12", "R13", "R14", "R15"};

static bool compare_gprs(struct lockstep *l)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (l->main->gpr[i] != l->twin->gpr[i])
			return compare_differs(l, gpr_names[i], 0, l->main->gpr[i],
					       l->twin->gpr[i]),
			       false;
	return true;
}

/* Whole registers of 8 bytes that only rare instructions change. */
static const struct {
	const char *name;
	uint16_t offset;
} system_regs[] = {
#define R(name)                                       \
	{                                             \
#name, offsetof(struct bt_vcpu, name) \
	}
	R(segbase[X86_ES]),
	R(segbase[X86_CS]),
	R(segbase[X86_SS]),
	R(segbase[X86_DS]),
	R(segbase[X86_FS]),
	R(segbase[X86_GS]),
	R(ldt.base),
	R(tr.base),
	R(gdt.base),
	R(idt.base),
	R(cr0),
	R(cr2),
	R(cr3),
	R(cr4),
	R(xcr0),
	R(dr[0]),
	R(dr[1]),
	R(dr[2]),
	R(dr[3]),
	R(dr[6]),
	R(dr[7]),
	R(efer),
	R(pat),
	R(star),
	R(lstar),
	R(cstar),
	R(sfmask),
	R(kernel_gs_base),
	R(sysenter_cs),
	R(sysenter_esp),
	R(sysenter_eip),
	R(tsc_aux),
#undef R
};

static uint64_t register_at(const struct bt_vcpu *v, unsigned offset)
{
	return *(const uint64_t *)((const uint8_t *)v + offset);
}

static bool compare_system(struct lockstep *l)
{
	for (unsigned i = 0; i < sizeof(system_regs) / sizeof(system_regs[0]); i++) {
		uint64_t main = register_at(l->main, system_regs[i].offset);
		uint64_t twin = register_at(l->twin, system_regs[i].offset);

		if (main != twin)
			return compare_differs(l, system_regs[i].name, 0, main, twin), false;
	}
	for (unsigned i = 0; i < X86_NSEG; i++) {
		const struct x86_segment *a = &l->main->seg[i], *b = &l->twin->seg[i];

		if (a->selector != b->selector || a->limit != b->limit || a->attr != b->attr)
			return compare_differs(l, "segment", i, a->selector, b->selector), false;
	}
	if (l->main->activity != l->twin->activity)
		return compare_differs(l, "activity", 0, l->main->activity, l->twin->activity),
		       false;
	return true;
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Only when the twin has used them. */
static bool compare_vectors(struct lockstep *l)
{
	uint8_t *a = l->image[0], *b = l->image[1];

	if (!l->vectors || l->faulting == EXC_XM || l->faulting == EXC_MF)
		return true;
	twin_vectors_out(l);
	bt_fpu_get(l->main, a);
	bt_fpu_get(l->twin, b);
	memset(a + IMG_LAST, 0, IMG_LAST_END - IMG_LAST);
	memset(b + IMG_LAST, 0, IMG_LAST_END - IMG_LAST);
	for (unsigned i = 0; i < X86_XSAVE_SIZE; i += 8)
		if (memcmp(a + i, b + i, 8) && (i < 512 || i >= 576)) {
			compare_differs(l, "vector image at byte", i, *(uint64_t *)(a + i),
					*(uint64_t *)(b + i));
			bt_lockstep_vectors(l->twin);
			return false;
		}
	l->twin->x87 = l->main->x87;
	return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* A table entry that was both written and used in this block: the twin has yet to use it. */
static bool is_table_bits(struct lockstep *l, gpa_t gpa, const uint8_t *main, uint8_t *twin)
{
	for (unsigned i = 0; i < l->ntables; i++) {
		if (l->table[i].gpa != gpa || (*main ^ *twin) & ~l->table[i].bits)
			continue;
		*twin = *main;
		return true;
	}
	return false;
}

static bool compare_range(struct lockstep *l, gpa_t gpa, uint64_t len)
{
	const struct bt_slot *s = bt_slot_find(l->main->vm, gpa);
	const uint8_t *a;
	uint8_t *b = twin_byte(l, gpa);

	if (!s || !b)
		return true;
	a = s->host + (gpa - s->gpa);
	if (!memcmp(a, b, len))
		return true;
	for (uint64_t i = 0; i < len; i++)
		if (a[i] != b[i] && !is_table_bits(l, gpa + i, &a[i], &b[i]))
			return compare_differs(l, "memory at", gpa + i, a[i], b[i]), false;
	return true;
}

static bool compare_writes(struct lockstep *l)
{
	for (unsigned i = 0; i < l->nwrites; i++)
		if (!compare_range(l, l->write[i].gpa, l->write[i].len))
			return false;
	return true;
}

bool compare_memory(struct lockstep *l)
{
	for (unsigned i = 0; i < l->main->vm->nslots; i++)
		if (!compare_range(l, l->main->vm->slot[i].gpa, l->main->vm->slot[i].size))
			return false;
	return true;
}

bool compare_all(struct lockstep *l)
{
	if (!compare_gprs(l) || !compare_system(l) || !compare_writes(l) || !compare_vectors(l) ||
	    !compare_flags(l))
		return false;
	l->twin->interrupt_shadow = l->main->interrupt_shadow;
	l->twin->lapic.hw.base = l->main->lapic.hw.base; /* CPUID tells it */
	return true;
}
