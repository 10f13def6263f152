/* SPDX-License-Identifier: Apache-2.0 */
/* The two 8259A (Intel 8259A data sheet). State is KVM's struct, so that the ioctls copy it. */
#include "kernel/hv/hv.h"

static struct kvm_pic_state *chip(struct hv_vm *vm, unsigned i)
{
	return &vm->chips.pic[i];
}

void pic_init(struct hv_vm *vm)
{
	memset(vm->chips.pic, 0, sizeof(vm->chips.pic));
	chip(vm, 0)->elcr_mask = 0xf8;
	chip(vm, 1)->elcr_mask = 0xde;
}

/* Position of the highest priority bit, seen from priority_add; 8 for none. */
static unsigned priority(const struct kvm_pic_state *p, uint8_t mask)
{
	unsigned n = 0;

	if (!mask)
		return 8;
	while (!(mask & 1u << ((n + p->priority_add) & 7)))
		n++;
	return n;
}

/* The request to serve, or -1. */
static int pending(const struct kvm_pic_state *p, bool master)
{
	unsigned want = priority(p, p->irr & (uint8_t)~p->imr), serving;
	uint8_t isr = p->isr;

	if (want == 8)
		return -1;
	if (p->special_mask)
		isr &= (uint8_t)~p->imr;
	if (p->special_fully_nested_mode && master)
		isr &= (uint8_t)~4;
	serving = priority(p, isr);
	return want < serving ? (int)((want + p->priority_add) & 7) : -1;
}

static void set_line(struct kvm_pic_state *p, unsigned irq, bool level)
{
	uint8_t bit = (uint8_t)(1u << irq);

	if (p->elcr & bit) {
		p->irr = level ? p->irr | bit : p->irr & (uint8_t)~bit;
		p->last_irr = level ? p->last_irr | bit : p->last_irr & (uint8_t)~bit;
	} else if (level) {
		if (!(p->last_irr & bit))
			p->irr |= bit;
		p->last_irr |= bit;
	} else {
		p->last_irr &= (uint8_t)~bit;
	}
}

/* The slave's output is the master's input 2; the master's is INTR. */
static void update(struct hv_vm *vm)
{
	set_line(chip(vm, 0), 2, pending(chip(vm, 1), false) >= 0);
	if (pic_output(vm) && vm->vcpu[0])
		vcpu_kick(vm->vcpu[0]);
}

bool pic_output(struct hv_vm *vm)
{
	return pending(chip(vm, 0), true) >= 0;
}

void pic_set_irq(struct hv_vm *vm, unsigned irq, bool level)
{
	set_line(chip(vm, irq >> 3 & 1), irq & 7, level);
	update(vm);
}

static void acknowledge(struct kvm_pic_state *p, unsigned irq)
{
	uint8_t bit = (uint8_t)(1u << irq);

	if (p->auto_eoi) {
		if (p->rotate_on_auto_eoi)
			p->priority_add = (irq + 1) & 7;
	} else {
		p->isr |= bit;
	}
	if (!(p->elcr & bit))
		p->irr &= (uint8_t)~bit;
}

uint8_t pic_acknowledge(struct hv_vm *vm)
{
	int irq = pending(chip(vm, 0), true), slave;
	uint8_t vector;

	if (irq < 0) { /* spurious */
		vector = (uint8_t)(chip(vm, 0)->irq_base + 7);
	} else if (irq == 2) {
		slave = pending(chip(vm, 1), false);
		if (slave >= 0)
			acknowledge(chip(vm, 1), (unsigned)slave);
		vector = (uint8_t)(chip(vm, 1)->irq_base + (slave < 0 ? 7 : slave));
		acknowledge(chip(vm, 0), 2);
	} else {
		vector = (uint8_t)(chip(vm, 0)->irq_base + irq);
		acknowledge(chip(vm, 0), (unsigned)irq);
	}
	update(vm);
	return vector;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void end_of_interrupt(struct kvm_pic_state *p, uint8_t command)
{
	unsigned n = priority(p, p->isr);

	if (command & 0x40) /* specific */
		p->isr &= (uint8_t) ~(1u << (command & 7));
	else if (n != 8)
		p->isr &= (uint8_t) ~(1u << ((n + p->priority_add) & 7));
	if (command & 0x80)
		p->priority_add = command & 0x40 ? (command + 1) & 7
				  : n != 8       ? (n + p->priority_add + 1) & 7
						 : p->priority_add;
}

static void write_command(struct kvm_pic_state *p, uint8_t v)
{
	if (v & 0x10) { /* ICW1 */
		uint8_t elcr = p->elcr, mask = p->elcr_mask;

		memset(p, 0, sizeof(*p));
		p->elcr = elcr;
		p->elcr_mask = mask;
		p->init4 = v & 1;
		p->init_state = 1;
	} else if (v & 8) { /* OCW3 */
		if (v & 4)
			p->poll = 1;
		if (v & 2)
			p->read_reg_select = v & 1;
		if (v & 0x40)
			p->special_mask = v >> 5 & 1;
	} else if (v & 0x20) {
		end_of_interrupt(p, v);
	} else { /* rotate in auto-EOI mode, or set priority */
		if ((v & 0xe0) == 0xc0)
			p->priority_add = (v + 1) & 7;
		else
			p->rotate_on_auto_eoi = v >> 7;
	}
}

static void write_data(struct kvm_pic_state *p, uint8_t v)
{
	switch (p->init_state) {
	case 0:
		p->imr = v;
		break;
	case 1:
		p->irq_base = v & 0xf8;
		p->init_state = 2;
		break;
	case 2:
		p->init_state = p->init4 ? 3 : 0;
		break;
	case 3:
		p->special_fully_nested_mode = v >> 4 & 1;
		p->auto_eoi = v >> 1 & 1;
		p->init_state = 0;
		break;
	}
}

static uint8_t read_register(struct hv_vm *vm, unsigned i, unsigned addr)
{
	struct kvm_pic_state *p = chip(vm, i);

	if (p->poll) {
		int irq = pending(p, i == 0);

		p->poll = 0;
		if (irq >= 0)
			acknowledge(p, (unsigned)irq);
		return irq < 0 ? 0 : (uint8_t)(0x80 | irq);
	}
	if (addr)
		return p->imr;
	return p->read_reg_select ? p->isr : p->irr;
}

bool pic_access(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val)
{
	unsigned i = port == 0xa0 || port == 0xa1 || port == 0x4d1;
	struct kvm_pic_state *p = chip(vm, i);

	if ((port & ~1) != 0x20 && (port & ~1) != 0xa0 && (port & ~1) != 0x4d0)
		return false;
	if (port >= 0x4d0) {
		if (write)
			p->elcr = (uint8_t)*val & p->elcr_mask;
		else
			*val = p->elcr;
	} else if (!write) {
		*val = read_register(vm, i, port & 1);
	} else if (port & 1) {
		write_data(p, (uint8_t)*val);
	} else {
		write_command(p, (uint8_t)*val);
	}
	update(vm);
	return true;
}
