/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what a save holds, and the order in which it comes to life again. */
#include "vmm/snapshot/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/device/irqchip.h"
#include "vmm/state/cpu.h"

static const struct state_field clock_fields[] = {
	ST(1, struct clock_state, now),
	ST(2, struct clock_state, kvmclock_offset),
	ST_END,
};
const struct state_desc clock_state_desc = {"clock", 1, sizeof(struct clock_state), clock_fields};

const struct state_desc *state_desc_find(const char *name)
{
	static const struct state_desc *const others[] = {&clock_state_desc, &cpu_state_desc,
							  &pic_state, &ioapic_state, &pit_state};
	const struct device_ops *ops = device_find(name);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(others[i]->name, name))
			return others[i];
	return ops ? ops->state : NULL;
}

/* ---- the list ------------------------------------------------------------------------------- */

static void add(struct objects *o, const struct state_desc *desc, uint32_t instance, void *hw)
{
	o->list[o->n++] = (struct object){desc, instance, hw, false};
}

static unsigned count_devices(const struct machine *m)
{
	unsigned n = 0;

	for (const struct device *d = m->devices; d; d = d->next)
		n++;
	return n;
}

/* What a device finishes here may raise interrupts: it comes before anything is read. */
static void add_devices(struct machine *m, struct objects *o)
{
	for (struct device *d = m->devices; d; d = d->next)
		if (d->ops->state)
			add(o, d->ops->state, d->instance, d->ops->hw(d));
}

int objects_list(struct machine *m, struct objects *o, struct err *e)
{
	size_t cpu_size = sizeof(struct x86_cpu_state);

	memset(o, 0, sizeof(*o));
	o->list = calloc(count_devices(m) + m->nvcpus + 4, sizeof(*o->list));
	o->cpu = aligned_alloc(_Alignof(struct x86_cpu_state), m->nvcpus * cpu_size);
	if (!o->list || !o->cpu) {
		objects_free(o);
		return err_set(e, -ENOMEM, "state: out of memory");
	}
	memset(o->cpu, 0, m->nvcpus * cpu_size);
	add_devices(m, o);
	add(o, &clock_state_desc, 0, &o->clock);
	add(o, &pic_state, 0, &o->chips.pic);
	add(o, &ioapic_state, 0, &o->chips.ioapic);
	if (m->engine->irqchip)
		add(o, &pit_state, 0, &o->chips.pit);
	for (unsigned i = 0; i < m->nvcpus; i++)
		add(o, &cpu_state_desc, i, &o->cpu[i]);
	return 0;
}

void objects_free(struct objects *o)
{
	free(o->list);
	free(o->cpu);
	o->list = NULL;
	o->cpu = NULL;
}

/* ---- from and to the machine ---------------------------------------------------------------- */

static void *hw_of(struct device *d)
{
	return d->ops->hw(d);
}

int objects_gather(struct machine *m, struct objects *o, struct err *e)
{
	o->clock = (struct clock_state){clock_now(&m->clock), m->clock.kvmclock_offset};
	if (m->engine->irqchip) {
		if (m->engine->chips_get(m->vm, &o->chips, e))
			return e->code;
	} else {
		memcpy(&o->chips.pic, hw_of(irqchip_pic(m->irqchip)), sizeof(o->chips.pic));
		memcpy(&o->chips.ioapic, hw_of(irqchip_ioapic(m->irqchip)),
		       sizeof(o->chips.ioapic));
	}
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->engine->vcpu_get(m->vcpu[i].engine, &o->cpu[i], e))
			return e->code;
	return 0;
}

static int device_loaded(struct device *d, struct err *e)
{
	return d->ops->loaded ? d->ops->loaded(d, e) : 0;
}

static int apply_chips(struct machine *m, const struct objects *o, struct err *e)
{
	struct device *pic, *ioapic;

	if (m->engine->irqchip)
		return m->engine->chips_set(m->vm, &o->chips, e);
	pic = irqchip_pic(m->irqchip);
	ioapic = irqchip_ioapic(m->irqchip);
	memcpy(hw_of(pic), &o->chips.pic, sizeof(o->chips.pic));
	memcpy(hw_of(ioapic), &o->chips.ioapic, sizeof(o->chips.ioapic));
	return device_loaded(pic, e) || device_loaded(ioapic, e) ? e->code : 0;
}

/*
 * Time first, because devices arm timers. The chips after the devices, which raise their lines
 * anew: what these lines did to the chips before is in the chips' own state. Processors last,
 * for the interrupts that the chips sent them.
 */
int objects_apply(struct machine *m, const struct objects *o, struct err *e)
{
	m->engine->vm_stopped(m->vm);
	clock_set(&m->clock, o->clock.now);
	m->clock.kvmclock_offset = o->clock.kvmclock_offset;
	for (struct device *d = m->devices; d; d = d->next)
		if (d->ops->state && device_loaded(d, e))
			return e->code;
	if (apply_chips(m, o, e))
		return e->code;
	for (unsigned i = 0; i < m->nvcpus; i++)
		if (m->engine->vcpu_set(m->vcpu[i].engine, &o->cpu[i], e))
			return err_prefix(e, "cpu %u", i);
	return 0;
}
