/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's interrupt chips and timer: creation, routing, lines, messages, reset. */
#include <string.h>

#include "vmm/engine/kvm/kvm.h"

/*
 * Intel processors without "unrestricted guest" run real mode with the help of a page table and a
 * TSS in guest memory: four pages just below the largest firmware image (16 MiB).
 */
#define IDENTITY_MAP_ADDR 0xfeffc000ull
#define TSS_ADDR          0xfeffd000ul

#define NGSI 24 /* inputs of the I/O APIC */

static int fail(struct err *e, int rc, const char *what)
{
	return err_set(e, rc, "KVM: %s: %s", what, strerror(-rc));
}

/*
 * GSI 0..15 reach PIC and I/O APIC, the rest the I/O APIC alone. The timer's GSI 0 is input 2 of
 * the I/O APIC, as on every PC (and as the MADT says).
 */
static int route_interrupts(struct engine_vm *vm, struct err *e)
{
	struct {
		uint32_t nr, flags; /* laid out as struct kvm_irq_routing */
		struct kvm_irq_routing_entry entry[16 + NGSI];
	} t = {0};
	int rc;

	for (unsigned gsi = 0; gsi < NGSI; gsi++) {
		unsigned chip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;

		if (gsi == 2)
			continue; /* the PIC's cascade */
		if (gsi < 16)
			t.entry[t.nr++] = (struct kvm_irq_routing_entry){
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = {.irqchip = chip, .pin = gsi & 7},
			};
		t.entry[t.nr++] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi ? gsi : 2},
		};
	}
	rc = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t);
	return rc < 0 ? fail(e, rc, "interrupt routing") : 0;
}

static const uint32_t chip_ids[KVM_NR_IRQCHIPS] = {
	KVM_IRQCHIP_PIC_MASTER,
	KVM_IRQCHIP_PIC_SLAVE,
	KVM_IRQCHIP_IOAPIC,
};

/* KVM has no call that resets the chips: their first state is kept and given back. */
static int remember_power_on(struct engine_vm *vm, struct err *e)
{
	int rc;

	for (unsigned i = 0; i < KVM_NR_IRQCHIPS; i++) {
		vm->power_on.chip[i].chip_id = chip_ids[i];
		rc = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &vm->power_on.chip[i]);
		if (rc < 0)
			return fail(e, rc, "state of the interrupt controllers");
	}
	rc = kvm_ioctl(vm->fd, KVM_GET_PIT2, &vm->power_on.pit);
	return rc < 0 ? fail(e, rc, "state of the timer chip") : 0;
}

void kvm_chips_reset(struct engine_vm *vm)
{
	for (unsigned i = 0; i < KVM_NR_IRQCHIPS; i++)
		kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &vm->power_on.chip[i]);
	kvm_ioctl(vm->fd, KVM_SET_PIT2, &vm->power_on.pit);
}

int kvm_chips_create(struct engine_vm *vm, struct err *e)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	__u64 identity = IDENTITY_MAP_ADDR;
	int rc;

	rc = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (rc < 0)
		return fail(e, rc, "identity map address");
	rc = kvm_ioctl_val(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (rc < 0)
		return fail(e, rc, "TSS address");
	rc = kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL);
	if (rc < 0)
		return fail(e, rc, "interrupt controllers");
	rc = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	if (rc < 0)
		return fail(e, rc, "timer chip");
	rc = route_interrupts(vm, e);
	return rc ? rc : remember_power_on(vm, e);
}

void kvm_irq_line(struct engine_vm *vm, unsigned gsi, bool level)
{
	struct kvm_irq_level l = {.irq = gsi, .level = level};

	kvm_ioctl(vm->fd, KVM_IRQ_LINE, &l);
}

/* Only engines without chips of their own have a PIC output to be told. */
void kvm_extint(struct engine_vm *vm, bool level)
{
	(void)vm;
	(void)level;
}

void kvm_msi(struct engine_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi m = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &m);
}
