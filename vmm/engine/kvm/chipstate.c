/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's interrupt controllers and timer to and from the form that saves hold (vmm/device/chips.h).
 */
#include <string.h>

#include "vmm/engine/kvm/kvm.h"

#define NS_PER_S 1000000000ull

static int fail(struct err *e, int rc, const char *what)
{
	return err_set(e, rc, "KVM: state of %s: %s", what, strerror(-rc));
}

/* ---- PIC ------------------------------------------------------------------------------------ */

static void pic_from_kvm(const struct kvm_pic_state *k, struct pic_chip *c)
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

/* The bits of ELCR that a PC lets be written. */
static const uint8_t elcr_mask[2] = {0xf8, 0xde};

static void pic_to_kvm(const struct pic_chip *c, unsigned n, struct kvm_pic_state *k)
{
	*k = (struct kvm_pic_state){
		.irr = c->irr,
		.isr = c->isr,
		.imr = c->imr,
		.last_irr = c->lines,
		.elcr = c->elcr,
		.elcr_mask = elcr_mask[n],
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
static void ioapic_from_kvm(const struct kvm_ioapic_state *k, struct ioapic_hw *a)
{
	*a = (struct ioapic_hw){.lines = k->irr, .id = k->id << 24, .index = (uint8_t)k->ioregsel};
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		a->rte[i] = k->redirtbl[i].bits;
}

#define RTE_LEVEL (1ull << 15)

/* An edge that is past must not come again: only levels are told. */
static void ioapic_to_kvm(const struct ioapic_hw *a, struct kvm_ioapic_state *k)
{
	*k = (struct kvm_ioapic_state){
		.base_address = 0xfec00000, .ioregsel = a->index, .id = a->id >> 24 & 15};
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		k->redirtbl[i].bits = a->rte[i];
		if (a->rte[i] & RTE_LEVEL)
			k->irr |= a->lines & 1u << i;
	}
}

/* ---- PIT ------------------------------------------------------------------------------------ */

/* VM time, in ticks, of an instant of the host's clock; what lies before the VM's start is 0. */
static uint64_t ticks_of_host(const struct vm_clock *c, int64_t host)
{
	uint64_t age = loop_now() - (uint64_t)host, now = clock_now(c);

	if (age > now)
		return 0;
	return (uint64_t)((unsigned __int128)(now - age) * PIT_HZ / NS_PER_S);
}

/* In a two-byte access KVM's state says 3 before the first byte and 4 before the second. */
#define KVM_PIT_SECOND 4

static void pit_from_kvm(const struct kvm_pit_channel_state *k, const struct vm_clock *clock,
			 struct pit_channel *c)
{
	*c = (struct pit_channel){
		.start = ticks_of_host(clock, k->count_load_time),
		.count = k->count && k->count <= 65536 ? k->count : 65536,
		.latch = k->latched_count,
		.control = (uint8_t)((k->rw_mode & 3) << 4 | (k->mode & 7) << 1 | (k->bcd & 1)),
		.is_loaded = 1,
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

/* Setting it makes KVM start the counts anew, so that a phase is lost but never a tick too many. */
static void pit_to_kvm(const struct pit_channel *c, struct kvm_pit_channel_state *k)
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

/* ---- all of them ---------------------------------------------------------------------------- */

static int get_chip(struct engine_vm *vm, uint32_t id, struct kvm_irqchip *k, struct err *e)
{
	int rc;

	k->chip_id = id;
	rc = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, k);
	return rc < 0 ? fail(e, rc, "the interrupt controllers") : 0;
}

int kvm_chips_get(struct engine_vm *vm, struct engine_chips *c, struct err *e)
{
	struct kvm_pit_state2 pit;
	struct kvm_irqchip k = {0};
	int rc;

	for (unsigned n = 0; n < 2; n++) {
		if (get_chip(vm, n ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, &k, e))
			return e->code;
		pic_from_kvm(&k.chip.pic, &c->pic.chip[n]);
	}
	if (get_chip(vm, KVM_IRQCHIP_IOAPIC, &k, e))
		return e->code;
	ioapic_from_kvm(&k.chip.ioapic, &c->ioapic);
	rc = kvm_ioctl(vm->fd, KVM_GET_PIT2, &pit);
	if (rc < 0)
		return fail(e, rc, "the timer chip");
	for (unsigned i = 0; i < 3; i++)
		pit_from_kvm(&pit.channels[i], vm->clock, &c->pit.ch[i]);
	c->pit.port61 = c->pit.ch[2].gate;
	return 0;
}

int kvm_chips_set(struct engine_vm *vm, const struct engine_chips *c, struct err *e)
{
	struct kvm_pit_state2 pit = {0};
	struct kvm_irqchip k[KVM_NR_IRQCHIPS] = {{.chip_id = KVM_IRQCHIP_PIC_MASTER},
						 {.chip_id = KVM_IRQCHIP_PIC_SLAVE},
						 {.chip_id = KVM_IRQCHIP_IOAPIC}};
	int rc = 0;

	pic_to_kvm(&c->pic.chip[0], 0, &k[0].chip.pic);
	pic_to_kvm(&c->pic.chip[1], 1, &k[1].chip.pic);
	ioapic_to_kvm(&c->ioapic, &k[2].chip.ioapic);
	for (unsigned i = 0; i < KVM_NR_IRQCHIPS && rc >= 0; i++)
		rc = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &k[i]);
	if (rc < 0)
		return fail(e, rc, "the interrupt controllers");
	for (unsigned i = 0; i < 3; i++)
		pit_to_kvm(&c->pit.ch[i], &pit.channels[i]);
	rc = kvm_ioctl(vm->fd, KVM_SET_PIT2, &pit);
	return rc < 0 ? fail(e, rc, "the timer chip") : 0;
}
