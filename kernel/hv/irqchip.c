/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to and from vCPUs' local APICs, and doorbells: events that accesses signal. */
#include "kernel/hv/hv.h"

#include "kernel/sys/eventfds.h"

/* Of an APIC's interrupt command (Intel SDM vol. 3, 11.6.1); an MSI's data has the same vector,
 * mode and level. */
#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT  (1u << 14)
#define ICR_LEVEL   (1u << 15)
#define MSI_AS_ICR  (ICR_LEVEL | 0x7ff)

/* ---- to vCPUs -------------------------------------------------------------------------------- */

static void deliver(struct hv_vcpu *v, uint32_t icr)
{
	switch (icr >> 8 & 7) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		lapic_post(&v->lapic, (uint8_t)icr, icr & ICR_LEVEL);
		break;
	case LAPIC_NMI:
		v->nmi_pending = true;
		break;
	case LAPIC_INIT:
		v->init_pending = true;
		break;
	case LAPIC_STARTUP:
		v->sipi_vector = (uint8_t)icr;
		__atomic_store_n(&v->sipi_pending, true, __ATOMIC_RELEASE);
		break;
	default:
		return;
	}
	vcpu_kick(v);
}

/* A message in the form that local APICs send. */
static void send(struct hv_vm *vm, const struct hv_vcpu *sender, uint32_t icr, uint32_t dest,
		 bool x2apic)
{
	VCPUS(v, vm) {
		if (!lapic_icr_match(&v->lapic, v == sender, icr, dest, x2apic))
			continue;
		deliver(v, icr);
		if ((icr >> 8 & 7) == LAPIC_LOWEST)
			return;
	}
}

/* Intel SDM vol. 3, 11.11: the message's address names the APICs, its data the interrupt. */
void deliver_msi(struct hv_vm *vm, uint64_t addr, uint32_t data)
{
	uint32_t dest = (addr >> 12 & 0xff) | (uint32_t)(addr >> 32 & 0xffffff00);

	send(vm, NULL, (data & MSI_AS_ICR) | (addr & 4 ? ICR_LOGICAL : 0), dest, false);
}

/* ---- what a local APIC asks for -------------------------------------------------------------- */

/* INIT de-assert does nothing today; between APICs there are no levels. */
static void lapic_send(void *opaque, uint32_t icr, uint32_t dest, bool x2apic)
{
	struct hv_vcpu *me = opaque;

	if ((icr >> 8 & 7) != LAPIC_INIT || icr & ICR_ASSERT)
		send(me->vm, me, icr & ~ICR_LEVEL, dest, x2apic);
}

static void lapic_eoi(void *opaque, uint8_t vector)
{
	struct hv_vm *vm = ((struct hv_vcpu *)opaque)->vm;
	SPIN_GUARD(&vm->lock);

	ioapic_hw_eoi(&vm->chips.ioapic, vector, &vm->chips.ioapic_out);
}

static void timer_fire(struct ktimer *t)
{
	struct hv_vcpu *v = CONTAINER(t, struct hv_vcpu, timer);

	v->timer_fired = true;
	vcpu_kick(v);
}

static void lapic_arm(void *opaque, uint64_t when, bool is_tsc)
{
	struct hv_vcpu *v = opaque;
	timer_cancel(&v->timer);
	if (!when)
		return;
	if (is_tsc) {
		uint64_t now = guest_tsc(v);

		when = now_ns() + (when > now ? tsc_to_ns(when - now) : 0);
	}
	timer_start(&v->timer, when);
}

static uint64_t lapic_now(void *opaque)
{
	return now_ns();
}

static const struct lapic_ops ops = {
	.send = lapic_send,
	.eoi = lapic_eoi,
	.arm_timer = lapic_arm,
	.now_ns = lapic_now,
};

void vcpu_lapic_init(struct hv_vcpu *v)
{
	v->timer.fn = timer_fire;
	lapic_init(&v->lapic, v->index, v->index == 0, &ops, v);
}

/* ---- doorbells ------------------------------------------------------------------------------- */

bool ioevent_signal(struct hv_vm *vm, bool port, uint64_t addr, unsigned len, uint64_t value)
{
	const struct hv_ioevent *found;
	struct file *f = NULL;

	LOCKED(&vm->lock) {
		found = ARRAY_FIND(const struct hv_ioevent, e, vm->ioevent, vm->nioevents,
				   e->file && e->port == port && e->addr == addr &&
					   (!e->len || e->len == len) &&
					   (!e->match || e->datamatch == value));
		f = found ? file_get(found->file) : NULL;
	}
	if (f)
		eventfd_signal(f);
	file_put(f);
	return f != NULL;
}

static bool same(const struct hv_ioevent *a, const struct hv_ioevent *b)
{
	return a->file == b->file && a->addr == b->addr && a->len == b->len && a->port == b->port &&
	       a->match == b->match && a->datamatch == b->datamatch;
}

int64_t vm_ioeventfd(struct hv_vm *vm, void *data, uint64_t arg)
{
	const struct kvm_ioeventfd *k = data;
	struct hv_ioevent e = {.file = fd_get(k->fd),
			       .addr = k->addr,
			       .len = k->len,
			       .port = k->flags & KVM_IOEVENTFD_FLAG_PIO,
			       .match = k->flags & KVM_IOEVENTFD_FLAG_DATAMATCH,
			       .datamatch = k->datamatch};
	bool add = !(k->flags & KVM_IOEVENTFD_FLAG_DEASSIGN);
	struct file *drop = e.file;
	int64_t rc = add ? -ENOSPC : -ENOENT;

	if (!e.file || !file_is_eventfd(e.file) || (k->len & (k->len - 1)) || k->len > 8) {
		file_put(e.file);
		return -EINVAL;
	}
	LOCKED(&vm->lock) {
		for (unsigned i = 0; i < HV_MAX_IOEVENTS && rc; i++) {
			struct hv_ioevent *slot = &vm->ioevent[i];

			if (add && !slot->file) {
				*slot = e;
				vm->nioevents = MAX(vm->nioevents, i + 1);
				drop = NULL;
				rc = 0;
			} else if (!add && slot->file && same(slot, &e)) {
				slot->file = NULL;
				rc = 0;
			}
		}
	}
	file_put(drop);
	if (!add && !rc)
		file_put(e.file); /* the table's reference */
	return rc;
}

void ioevent_free(struct hv_vm *vm)
{
	for (unsigned i = 0; i < HV_MAX_IOEVENTS; i++)
		file_put(vm->ioevent[i].file);
}
