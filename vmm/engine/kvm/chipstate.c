/* SPDX-License-Identifier: Apache-2.0 */
/* KVM's interrupt controllers and timer: got for a save, set from one. */
#include <string.h>

#include "vmm/engine/kvm/kvm.h"
#include "x86/kvmchips.h"

static int fail(struct err *e, int rc, const char *what)
{
	return err_set(e, rc, "KVM: state of %s: %s", what, strerror(-rc));
}

/* VM time, in ticks, of an instant of the host's clock; what lies before the VM's start is 0. */
static uint64_t ticks_of_host(const struct vm_clock *c, int64_t host)
{
	uint64_t age = loop_now() - (uint64_t)host, now = clock_now(c);

	if (age > now)
		return 0;
	return pit_ticks_at(now - age);
}

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
	pit_from_kvm(&pit, &c->pit);
	for (unsigned i = 0; i < 3; i++)
		c->pit.ch[i].start = ticks_of_host(vm->clock, pit.channels[i].count_load_time);
	return 0;
}

int kvm_chips_set(struct engine_vm *vm, const struct engine_chips *c, struct err *e)
{
	struct kvm_pit_state2 pit;
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
	pit_to_kvm(&c->pit, &pit);
	rc = kvm_ioctl(vm->fd, KVM_SET_PIT2, &pit);
	return rc < 0 ? fail(e, rc, "the timer chip") : 0;
}
