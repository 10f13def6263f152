/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses by guest-physical address: RAM, ROM, the local APIC's page, devices;
 * breakpoints on data and ports. */
#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/mmu.h"

#include <string.h>

#include "base/log.h"

#define LAPIC_ENABLE (1u << 11)
#define LAPIC_X2APIC (1u << 10)

static bool is_lapic(const struct bt_vcpu *v, gpa_t gpa)
{
	uint64_t base = v->lapic.hw.base;

	return (base & (LAPIC_ENABLE | LAPIC_X2APIC)) == LAPIC_ENABLE &&
	       (gpa & BT_PAGE_MASK) == (base & BT_PAGE_MASK);
}

/* The APIC answers 32-bit accesses to its 16-byte aligned registers; parts of them read as they
 * lie. */
static uint64_t lapic_part(struct bt_vcpu *v, gpa_t gpa)
{
	unsigned byte = gpa & 15;
	uint32_t val = byte < 4 ? lapic_read(&v->lapic, gpa & 0xff0) : 0;

	return val >> (byte & 3) * 8;
}

static void count(struct bt_vcpu *v, gpa_t gpa)
{
	if (is_lapic(v, gpa))
		v->stat.lapic++;
	else
		v->stat.mmio++;
}

static void trace(const struct bt_vcpu *v, const char *what, gpa_t gpa, unsigned size, uint64_t val)
{
	if (v->vm->trace_exits)
		log_info("vCPU %u: %s %#llx size %u value %#llx", v->index, what,
			 (unsigned long long)gpa, size, (unsigned long long)val);
}

static uint64_t device_read(struct bt_vcpu *v, gpa_t gpa, unsigned size)
{
	const struct engine_machine *m = &v->vm->machine;
	uint64_t val;

	if (bt_is_twin(v))
		return bt_logged(v, LOG_LOAD, gpa, 0);
	count(v, gpa);
	bt_fpu_leave(v);
	val = is_lapic(v, gpa) ? lapic_part(v, gpa) : m->mmio_read(m->opaque, gpa, size);
	trace(v, "load", gpa, size, val);
	bt_fpu_enter(v);
	return bt_logged(v, LOG_LOAD, gpa, val);
}

static void device_write(struct bt_vcpu *v, gpa_t gpa, unsigned size, uint64_t val)
{
	const struct engine_machine *m = &v->vm->machine;

	bt_logged(v, LOG_STORE, gpa, val);
	if (bt_is_twin(v))
		return;
	count(v, gpa);
	bt_fpu_leave(v);
	trace(v, "store", gpa, size, val);
	if (!is_lapic(v, gpa)) {
		m->mmio_write(m->opaque, gpa, size, val);
	} else if (size >= 4 && !(gpa & 15)) {
		lapic_write(&v->lapic, gpa & 0xff0, (uint32_t)val);
		bt_post(v, BT_REQ_IRQ); /* TPR or EOI may have let one through */
	}
	bt_fpu_enter(v);
}

/* The widest access that starts at `gpa`, is aligned, and stays within `size`. */
static unsigned device_width(gpa_t gpa, unsigned size)
{
	unsigned width = 8;

	while (width > size || (gpa & (width - 1)))
		width /= 2;
	return width;
}

void bt_phys_read(struct bt_vcpu *v, gpa_t gpa, void *buf, unsigned size)
{
	struct bt_slot *slot = bt_slot_find(v->vm, gpa);
	uint8_t *p = buf;

	if (slot && size <= slot->size - (gpa - slot->gpa)) {
		bt_copy_atomic(buf, slot->host + (gpa - slot->gpa), size);
		return;
	}
	for (unsigned n; size; size -= n, gpa += n, p += n) {
		uint64_t val;

		n = size == 4 || size == 2 ? size : device_width(gpa, size);
		val = device_read(v, gpa, n);
		memcpy(p, &val, n);
	}
}

void bt_phys_write(struct bt_vcpu *v, gpa_t gpa, const void *buf, unsigned size)
{
	struct bt_slot *slot = bt_slot_find(v->vm, gpa);
	const uint8_t *p = buf;

	/* What is written to a ROM is a device's: a flash chip takes it for a command. */
	if (slot && !slot->readonly && size <= slot->size - (gpa - slot->gpa)) {
		bt_copy_atomic(slot->host + (gpa - slot->gpa), buf, size);
		if (v->vm->lockstep)
			bt_lockstep_written(v, gpa, size);
		bt_code_written(v, gpa, size);
		return;
	}
	for (unsigned n; size; size -= n, gpa += n, p += n) {
		uint64_t val = 0;

		n = size == 4 || size == 2 ? size : device_width(gpa, size);
		memcpy(&val, p, n);
		device_write(v, gpa, n, val);
	}
}

/* ---- breakpoints on data and ports (DR0..3, Intel SDM volume 3B section 18.2) -----------------
 */

static unsigned breakpoint_length(uint64_t dr7, unsigned i)
{
	static const uint8_t length[4] = {1, 2, 8, 4};

	return length[dr7 >> (18 + 4 * i) & 3];
}

/* The RW field of DR7, as bits of a set. */
#define RW_CODE   (1u << 0)
#define RW_WRITE  (1u << 1)
#define RW_IO     (1u << 2)
#define RW_ACCESS (1u << 3) /* reads and writes */

static bool is_breakpoint(uint64_t dr7, unsigned i, unsigned kinds)
{
	return (dr7 >> (2 * i) & 3) && (kinds >> (dr7 >> (16 + 4 * i) & 3) & 1);
}

unsigned bt_code_points(const struct bt_vcpu *v)
{
	unsigned points = 0;

	for (unsigned i = 0; i < 4; i++)
		points |= is_breakpoint(v->dr[7], i, RW_CODE) ? 1u << i : 0;
	return points;
}

unsigned bt_code_points_at(const struct bt_vcpu *v, gva_t gva)
{
	unsigned points = bt_code_points(v);

	for (unsigned i = 0; i < 4; i++)
		if (v->dr[i] != gva)
			points &= ~(1u << i);
	return points;
}

void bt_flush_watched(struct bt_vcpu *v)
{
	for (unsigned i = 0; i < 4; i++)
		if (is_breakpoint(v->dr[7], i, RW_WRITE | RW_ACCESS) && bt_canonical(v->dr[i]))
			bt_flush_page(v, v->dr[i]);
}

bool bt_is_watched(const struct bt_vcpu *v, gva_t page)
{
	if (v->debug && bt_debug_watches(v, page))
		return true;
	if (!(v->dr[7] & 0xff))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (is_breakpoint(v->dr[7], i, RW_WRITE | RW_ACCESS) &&
		    (v->dr[i] & BT_PAGE_MASK) == page)
			return true;
	return false;
}

static void watch(struct bt_vcpu *v, uint64_t at, unsigned size, unsigned kinds)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned len = breakpoint_length(v->dr[7], i);
		uint64_t from = v->dr[i] & ~(uint64_t)(len - 1);

		if (is_breakpoint(v->dr[7], i, kinds) && (at - from < len || from - at < size))
			v->db_pending |= (uint8_t)(1u << i);
	}
}

void bt_watch_data(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a)
{
	if (v->debug)
		bt_debug_access(v, gva, size, a);
	if (v->dr[7] & 0xff)
		watch(v, gva, size, a == BT_READ ? RW_ACCESS : RW_WRITE | RW_ACCESS);
}

void bt_watch_port(struct bt_vcpu *v, uint16_t port, unsigned size)
{
	if ((v->dr[7] & 0xff) && (v->cr4 & CR4_DE))
		watch(v, port, size, RW_IO);
}
