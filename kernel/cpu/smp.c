/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cpu/smp.h"

#include "kernel/boot/protocol.h"
#include "kernel/cpu/acpi.h"
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/pagetable.h"
#include "kernel/mm/space.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"

extern char trampoline[], trampoline_end[], trampoline_args[];

static struct cpu *starting;
static volatile bool flush_wanted[MAX_CPUS];

static void ap_main(void)
{
	struct cpu *c = starting;

	cpu_setup(c);
	apic_setup();
	c->apic_id = apic_id();
	__atomic_store_n(&c->online, true, __ATOMIC_RELEASE);
	sched_run_idle(c);
}

/* Between two symbols of entry.S. */
static size_t distance(const char *from, const char *to)
{
	return (uint64_t)to - (uint64_t)from;
}

static void start_cpu(uint32_t id)
{
	struct cpu *c = &cpus[ncpus];
	uint64_t *args = (uint64_t *)((char *)phys_to_virt(SMP_TRAMPOLINE) +
				      distance(trampoline, trampoline_args));

	c->index = ncpus;
	c->apic_id = id;
	sched_init_cpu(c);
	starting = c;
	args[0] = virt_to_phys(kernel_pml4);
	args[1] = c->kernel_rsp;
	args[2] = (uint64_t)ap_main;
	apic_start_cpu(id, SMP_TRAMPOLINE);
	for (int i = 0; i < 1000 && !__atomic_load_n(&c->online, __ATOMIC_ACQUIRE); i++)
		delay_us(1000);
	if (c->online)
		ncpus++;
	else
		klog("CPU with APIC ID %u does not start", id);
}

void smp_start(void)
{
	memcpy(phys_to_virt(SMP_TRAMPOLINE), phys_to_virt((uint64_t)trampoline),
	       distance(trampoline, trampoline_end));
	for (unsigned i = 0; i < acpi.ncpus && ncpus < MAX_CPUS; i++) {
		if (acpi.apic_ids[i] != cpus[0].apic_id)
			start_cpu(acpi.apic_ids[i]);
	}
	pagetable_drop_identity();
	klog("%u CPU%s", ncpus, ncpus > 1 ? "s" : "");
}

void flush_poll(void)
{
	unsigned me = this_cpu()->index;

	if (!flush_wanted[me])
		return;
	write_cr3(read_cr3());
	__atomic_store_n(&flush_wanted[me], false, __ATOMIC_RELEASE);
}

static bool runs_in(const struct cpu *c, const struct space *s)
{
	return c->online && __atomic_load_n(&c->space, __ATOMIC_ACQUIRE) == s;
}

void flush_space(struct space *s)
{
	uint64_t flags = irq_save();
	struct cpu *me = this_cpu();
	uint64_t asked = 0;

	if (runs_in(me, s))
		write_cr3(read_cr3());
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < ncpus; i++) {
		if (&cpus[i] == me || !runs_in(&cpus[i], s))
			continue;
		while (__atomic_exchange_n(&flush_wanted[i], true, __ATOMIC_ACQ_REL))
			flush_poll(); /* another CPU's request is on its way */
		asked |= 1UL << i;
		apic_send(cpus[i].apic_id, VECTOR_FLUSH);
	}
	for (unsigned i = 0; i < ncpus; i++) {
		while (asked & 1UL << i && __atomic_load_n(&flush_wanted[i], __ATOMIC_ACQUIRE))
			flush_poll();
	}
	irq_restore(flags);
}

void smp_stop_others(void)
{
	if (ncpus == 1)
		return;
	apic_nmi_all_others();
	delay_us(1000);
}
