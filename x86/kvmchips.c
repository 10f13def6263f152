/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt controllers and timer to and from KVM's structures. */
#include "x86/kvmchips.h"

/* ---- PIC ------------------------------------------------------------------------------------ */

void pic_from_kvm(const struct kvm_pic_state *k, struct pic_chip *c)
{
	*c = (struct pic_chip){
		.irr = k->irr,
		.isr = k->isr,
		.imr = k->imr,
		.lines = k->last_irr,
		.elcr = k->elcr,
		.base = k->irq_base,
		.icw1 = k->init4,
		.next_icw = k->init_state ? k->init_state + 1 : 0,
		.icw4 = (uint8_t)((k->auto_eoi ? ICW4_AEOI : 0) |
				  (k->special_fully_nested_mode ? ICW4_SFNM : 0)),
		.lowest = (k->priority_add + 7) & 7,
		.ocw3 = (uint8_t)((k->read_reg_select ? OCW3_READ_ISR : 0) |
				  (k->poll ? OCW3_POLL : 0) | (k->special_mask ? OCW3_SMM : 0)),
		.rotate_aeoi = k->rotate_on_auto_eoi,
	};
}

void pic_to_kvm(const struct pic_chip *c, unsigned n, struct kvm_pic_state *k)
{
	*k = (struct kvm_pic_state){
		.irr = c->irr,
		.isr = c->isr,
		.imr = c->imr,
		.last_irr = c->lines,
		.elcr = c->elcr,
		.elcr_mask = pic_elcr_mask[n],
		.irq_base = c->base,
		.init4 = c->icw1 & 1,
		.init_state = c->next_icw ? c->next_icw - 1 : 0,
		.auto_eoi = !!(c->icw4 & ICW4_AEOI),
		.special_fully_nested_mode = !!(c->icw4 & ICW4_SFNM),
		.priority_add = (c->lowest + 1) & 7,
		.read_reg_select = !!(c->ocw3 & OCW3_READ_ISR),
		.poll = !!(c->ocw3 & OCW3_POLL),
		.special_mask = !!(c->ocw3 & OCW3_SMM),
		.rotate_on_auto_eoi = c->rotate_aeoi,
	};
}

/* ---- I/O APIC ------------------------------------------------------------------------------- */

/* KVM keeps of the inputs those that are, or were, to be delivered: a level is one of them. */
void ioapic_from_kvm(const struct kvm_ioapic_state *k, struct ioapic_hw *a)
{
	*a = (struct ioapic_hw){
		.lines = k->irr, .id = (k->id & 15) << 24, .index = (uint8_t)k->ioregsel};
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		a->rte[i] = k->redirtbl[i].bits;
}

/* An edge that is past must not come again: only levels are told. */
void ioapic_to_kvm(const struct ioapic_hw *a, struct kvm_ioapic_state *k)
{
	*k = (struct kvm_ioapic_state){
		.base_address = IOAPIC_BASE, .ioregsel = a->index, .id = a->id >> 24 & 15};
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		k->redirtbl[i].bits = a->rte[i];
		if (a->rte[i] & IOAPIC_RTE_LEVEL)
			k->irr |= a->lines & 1u << i;
	}
}

/* ---- PIT ------------------------------------------------------------------------------------ */

/* In a two-byte access KVM's state says 3 before the first byte and 4 before the second. */
#define KVM_PIT_SECOND 4

static void channel_from_kvm(const struct kvm_pit_channel_state *k, struct pit_channel *c)
{
	*c = (struct pit_channel){
		.count = k->count && k->count <= 65536 ? k->count : 65536,
		.latch = k->latched_count,
		.control = (uint8_t)((k->rw_mode & 3) << 4 | (k->mode & 7) << 1 | (k->bcd & 1)),
		.is_loaded = k->mode < KVM_PIT_NO_MODE,
		.gate = k->gate,
		.write_low = k->write_latch,
		.write_second = k->write_state == KVM_PIT_SECOND,
		.read_second =
			k->read_state == KVM_PIT_SECOND || k->count_latched == KVM_PIT_SECOND,
		.latched = k->count_latched == 3 ? 2 : k->count_latched != 0,
		.status = k->status,
		.status_latched = k->status_latched,
	};
}

static void channel_to_kvm(const struct pit_channel *c, struct kvm_pit_channel_state *k)
{
	uint8_t access = c->control >> 4 & 3;

	*k = (struct kvm_pit_channel_state){
		.count = c->count,
		.latched_count = c->latch,
		.count_latched = !c->latched      ? 0
				 : c->read_second ? KVM_PIT_SECOND
						  : access,
		.status_latched = c->status_latched,
		.status = c->status,
		.read_state = access == 3 && c->read_second ? KVM_PIT_SECOND : access,
		.write_state = access == 3 && c->write_second ? KVM_PIT_SECOND : access,
		.write_latch = c->write_low,
		.rw_mode = access,
		.mode = c->control >> 1 & 7,
		.bcd = c->control & 1,
		.gate = c->gate,
	};
}

void pit_from_kvm(const struct kvm_pit_state2 *k, struct pit_hw *p)
{
	for (unsigned i = 0; i < 3; i++)
		channel_from_kvm(&k->channels[i], &p->ch[i]);
	p->port61 = (uint8_t)(p->ch[2].gate | (k->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON));
}

void pit_to_kvm(const struct pit_hw *p, struct kvm_pit_state2 *k)
{
	*k = (struct kvm_pit_state2){.flags = p->port61 & KVM_PIT_FLAGS_SPEAKER_DATA_ON};
	for (unsigned i = 0; i < 3; i++)
		channel_to_kvm(&p->ch[i], &k->channels[i]);
}
