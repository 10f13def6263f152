/* SPDX-License-Identifier: Apache-2.0 */
/* The 8259A pair, the I/O APIC and the 8254 (x86/pic.c, ioapic.c, pit.c) in a VM: routes, ports,
 * the timer, KVM's calls. */
#include "kernel/hv/hv.h"
#include "x86/kvmchips.h"

/* ---- lines ----------------------------------------------------------------------------------- */

static void pic_changed(struct hv_vm *vm)
{
	if (pic_hw_output(&vm->chips.pic) && vm->vcpu[0])
		vcpu_kick(vm->vcpu[0]);
}

static void set_pin(struct hv_vm *vm, unsigned chip, unsigned pin, bool level)
{
	if (chip == KVM_IRQCHIP_IOAPIC) {
		ioapic_hw_set(&vm->chips.ioapic, pin, level, &vm->chips.ioapic_out);
		return;
	}
	pic_hw_set(&vm->chips.pic, (chip == KVM_IRQCHIP_PIC_SLAVE ? 8 : 0) + (pin & 7), level);
	pic_changed(vm);
}

void chips_set_gsi(struct hv_vm *vm, unsigned gsi, bool level)
{
	for (unsigned i = 0; i < vm->chips.nroutes; i++) {
		const struct kvm_irq_routing_entry *r = &vm->chips.route[i];

		if (r->gsi != gsi)
			continue;
		if (r->type == KVM_IRQ_ROUTING_IRQCHIP)
			set_pin(vm, r->u.irqchip.irqchip, r->u.irqchip.pin, level);
		else if (r->type == KVM_IRQ_ROUTING_MSI && level)
			deliver_msi(vm, r->u.msi.address_lo | (uint64_t)r->u.msi.address_hi << 32,
				    r->u.msi.data);
	}
}

static void add_route(struct hv_chips *c, unsigned gsi, unsigned chip, unsigned pin)
{
	c->route[c->nroutes++] = (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {chip, pin}};
}

static void ioapic_send(void *opaque, uint64_t addr, uint32_t data)
{
	deliver_msi(opaque, addr, data);
}

void chips_init(struct hv_vm *vm)
{
	struct hv_chips *c = &vm->chips;

	pic_hw_reset(&c->pic);
	ioapic_hw_reset(&c->ioapic);
	c->ioapic_out = (struct ioapic_out){ioapic_send, vm};
	for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		if (gsi < 16)
			add_route(c, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				  gsi & 7);
		add_route(c, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2);
	}
	vm->has_chips = true;
}

/* ---- the timer ------------------------------------------------------------------------------- */

static uint64_t ticks(void)
{
	return pit_ticks_at(now_ns());
}

static void pit_arm(struct hv_chips *c)
{
	uint64_t ns = pit_hw_next_edge(&c->pit, ticks(), c->pit_edge_ns);

	if (ns)
		timer_start(&c->pit_timer, ns);
	else
		timer_cancel(&c->pit_timer);
}

static void pit_changed(struct hv_vm *vm)
{
	chips_set_gsi(vm, 0, pit_hw_line(&vm->chips.pit, ticks()));
	pit_arm(&vm->chips);
}

static void pit_edge(struct ktimer *timer)
{
	struct hv_vm *vm = CONTAINER(timer, struct hv_vm, chips.pit_timer);
	SPIN_GUARD(&vm->lock);

	vm->chips.pit_edge_ns = now_ns();
	chips_set_gsi(vm, 0, false);
	chips_set_gsi(vm, 0, true);
	pit_arm(&vm->chips);
}

void chips_add_pit(struct hv_vm *vm)
{
	pit_hw_reset(&vm->chips.pit);
	vm->chips.pit_timer.fn = pit_edge;
}

void chips_fini(struct hv_vm *vm)
{
	timer_end(&vm->chips.pit_timer);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static uint32_t pic_port(struct hv_vm *vm, uint16_t port, bool write, uint8_t val)
{
	struct pic_hw *p = &vm->chips.pic;
	unsigned n = port >> 7 & 1;

	if (write)
		pic_hw_write(p, n, port & 1, val);
	else
		val = pic_hw_read(p, n, port & 1);
	pic_changed(vm);
	return val;
}

static uint32_t elcr_port(struct hv_vm *vm, uint16_t port, bool write, uint8_t val)
{
	if (write)
		pic_hw_write_elcr(&vm->chips.pic, port & 1, val);
	return vm->chips.pic.chip[port & 1].elcr;
}

static uint32_t pit_port(struct hv_vm *vm, uint16_t port, bool write, uint8_t val)
{
	if (!write)
		return pit_hw_read(&vm->chips.pit, port & 3, ticks());
	if (pit_hw_write(&vm->chips.pit, port & 3, val, ticks()))
		pit_changed(vm);
	return val;
}

static uint32_t port61(struct hv_vm *vm, uint16_t port, bool write, uint8_t val)
{
	if (write)
		pit_hw_write61(&vm->chips.pit, val, ticks());
	return pit_hw_read61(&vm->chips.pit, ticks());
}

static const struct {
	uint16_t first, last;
	bool is_pit;
	uint32_t (*access)(struct hv_vm *vm, uint16_t port, bool write, uint8_t val);
} ports[] = {
	{0x20, 0x21, false, pic_port},    {0xa0, 0xa1, false, pic_port},
	{0x4d0, 0x4d1, false, elcr_port}, {0x40, 0x43, true, pit_port},
	{0x61, 0x61, true, port61},
};

bool chips_port(struct hv_vm *vm, uint16_t port, bool write, uint32_t *val)
{
	if (!vm->has_chips)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		if (port < ports[i].first || port > ports[i].last ||
		    (ports[i].is_pit && !vm->chips.pit_timer.fn))
			continue;
		LOCKED(&vm->lock)
			*val = ports[i].access(vm, port, write, (uint8_t)*val);
		return true;
	}
	return false;
}

/* ---- KVM's calls ----------------------------------------------------------------------------- */

int64_t chips_get(struct hv_vm *vm, void *data, uint64_t arg)
{
	struct kvm_irqchip *c = data;

	if (!vm->has_chips || c->chip_id > KVM_IRQCHIP_IOAPIC)
		return -ENXIO;
	SPIN_GUARD(&vm->lock);
	if (c->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_to_kvm(&vm->chips.ioapic, &c->chip.ioapic);
	else
		pic_to_kvm(&vm->chips.pic.chip[c->chip_id], c->chip_id, &c->chip.pic);
	return 0;
}

int64_t chips_set(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_irqchip *c = data;

	if (!vm->has_chips || c->chip_id > KVM_IRQCHIP_IOAPIC)
		return -ENXIO;
	SPIN_GUARD(&vm->lock);
	if (c->chip_id == KVM_IRQCHIP_IOAPIC)
		ioapic_from_kvm(&c->chip.ioapic, &vm->chips.ioapic);
	else
		pic_from_kvm(&c->chip.pic, &vm->chips.pic.chip[c->chip_id]);
	pic_hw_sanitize(&vm->chips.pic);
	return 0;
}

int64_t chips_get_pit(struct hv_vm *vm, void *data, uint64_t arg)
{
	struct kvm_pit_state2 *k = data;

	if (!vm->chips.pit_timer.fn)
		return -ENXIO;
	SPIN_GUARD(&vm->lock);
	pit_to_kvm(&vm->chips.pit, k);
	for (unsigned i = 0; i < 3; i++) {
		const struct pit_channel *c = &vm->chips.pit.ch[i];

		k->channels[i].count_load_time = (int64_t)pit_ns_of(c->start);
		if (!c->is_loaded)
			k->channels[i].mode |= KVM_PIT_NO_MODE;
	}
	return 0;
}

int64_t chips_set_pit(struct hv_vm *vm, void *data, uint64_t arg)
{
	struct pit_hw new = {0};

	if (!vm->chips.pit_timer.fn)
		return -ENXIO;
	pit_from_kvm(data, &new);
	for (unsigned i = 0; i < 3; i++)
		new.ch[i].start = ticks();
	if (pit_hw_bad_channel(&new) >= 0)
		return -EINVAL;
	SPIN_GUARD(&vm->lock);
	vm->chips.pit = new;
	pit_changed(vm);
	return 0;
}
