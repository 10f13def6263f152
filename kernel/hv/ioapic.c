/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O APIC (Intel 82093AA data sheet). */
#include "kernel/hv/hv.h"

#define RED_VECTOR(r)  ((uint8_t)(r))
#define RED_MODE(r)    ((r) >> 8 & 7)
#define RED_LOGICAL    (1ull << 11)
#define RED_REMOTE_IRR (1ull << 14)
#define RED_LEVEL      (1ull << 15)
#define RED_MASKED     (1ull << 16)
#define RED_DEST(r)    ((uint8_t)((r) >> 56))
#define RED_READONLY   (RED_REMOTE_IRR | 1ull << 12)
#define ID_VERSION     0x170011u /* 24 inputs, version 11h */

static uint64_t *entry(struct hv_vm *vm, unsigned pin)
{
	return (uint64_t *)&vm->chips.ioapic.redirtbl[pin];
}

void hv_ioapic_init(struct hv_vm *vm)
{
	memset(&vm->chips.ioapic, 0, sizeof(vm->chips.ioapic));
	vm->chips.ioapic.base_address = 0xfec00000;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		*entry(vm, i) = RED_MASKED;
}

static void service(struct hv_vm *vm, unsigned pin)
{
	uint64_t r = *entry(vm, pin);
	bool level = r & RED_LEVEL;

	if (r & RED_MASKED || (level && r & RED_REMOTE_IRR))
		return;
	if (level)
		*entry(vm, pin) |= RED_REMOTE_IRR;
	deliver_to_lapics(vm, RED_DEST(r), r & RED_LOGICAL, (unsigned)RED_MODE(r), RED_VECTOR(r),
			  level);
}

void ioapic_set_irq(struct hv_vm *vm, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin, old = vm->chips.ioapic.irr;

	if (pin >= IOAPIC_PINS)
		return;
	if (!level) {
		vm->chips.ioapic.irr &= ~bit;
		return;
	}
	vm->chips.ioapic.irr |= bit;
	if (*entry(vm, pin) & RED_LEVEL || !(old & bit))
		service(vm, pin);
}

void ioapic_eoi(struct hv_vm *vm, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *r = entry(vm, pin);

		if (RED_VECTOR(*r) != vector || !(*r & RED_LEVEL))
			continue;
		*r &= ~RED_REMOTE_IRR;
		if (vm->chips.ioapic.irr & 1u << pin)
			service(vm, pin);
	}
}

uint32_t ioapic_read(struct hv_vm *vm, uint32_t offset)
{
	struct kvm_ioapic_state *a = &vm->chips.ioapic;
	unsigned reg = a->ioregsel;

	if (offset == 0)
		return reg;
	if (offset != 0x10)
		return 0;
	if (reg == 0 || reg == 2)
		return a->id << 24;
	if (reg == 1)
		return ID_VERSION;
	if (reg < 0x10 || reg >= 0x10 + 2 * IOAPIC_PINS)
		return 0;
	return (uint32_t)(*entry(vm, (reg - 0x10) / 2) >> (reg & 1 ? 32 : 0));
}

static void write_entry(struct hv_vm *vm, unsigned reg, uint32_t val)
{
	unsigned pin = (reg - 0x10) / 2;
	uint64_t *r = entry(vm, pin), keep = *r & RED_READONLY;

	if (reg & 1)
		*r = (*r & 0xffffffff) | (uint64_t)val << 32;
	else
		*r = (*r & ~0xffffffffull) | (val & ~RED_READONLY) | keep;
	if (!(*r & RED_LEVEL))
		*r &= ~RED_REMOTE_IRR;
	if (vm->chips.ioapic.irr & 1u << pin && *r & RED_LEVEL)
		service(vm, pin);
}

void hv_ioapic_write(struct hv_vm *vm, uint32_t offset, uint32_t val)
{
	struct kvm_ioapic_state *a = &vm->chips.ioapic;

	if (offset == 0)
		a->ioregsel = val & 0xff;
	else if (offset == 0x40)
		ioapic_eoi(vm, (uint8_t)val);
	else if (offset == 0x10 && a->ioregsel == 0)
		a->id = val >> 24 & 15;
	else if (offset == 0x10 && a->ioregsel >= 0x10 && a->ioregsel < 0x10 + 2 * IOAPIC_PINS)
		write_entry(vm, a->ioregsel, val);
}
