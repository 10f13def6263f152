/* SPDX-License-Identifier: Apache-2.0 */
/* The target that only remembers. */
#include "tests/unit/gdb/target.h"

#include <stdlib.h>
#include <string.h>

static int get(void *opaque, unsigned cpu, struct x86_cpu_state *s)
{
	*s = ((struct fake_target *)opaque)->cpu[cpu];
	return 0;
}

static int set(void *opaque, unsigned cpu, const struct x86_cpu_state *s)
{
	((struct fake_target *)opaque)->cpu[cpu] = *s;
	return 0;
}

static int resume(void *opaque, const enum gdb_action *action, const struct engine_point *point,
		  unsigned npoints, int passed)
{
	struct fake_target *t = opaque;

	memcpy(t->action, action, sizeof(t->action));
	if (npoints)
		memcpy(t->point, point, npoints * sizeof(*point));
	t->npoints = npoints;
	t->passed = passed;
	t->resumes++;
	return 0;
}

static void interrupt(void *opaque)
{
	((struct fake_target *)opaque)->interrupts++;
}

static void kill_target(void *opaque)
{
	((struct fake_target *)opaque)->kills++;
}

static char *monitor(void *opaque, const char *line)
{
	(void)opaque;
	return strdup(line);
}

void fake_target_send(void *opaque, const char *bytes, size_t len)
{
	struct fake_target *t = opaque;

	if (len > sizeof(t->out) - 1 - t->out_len)
		len = sizeof(t->out) - 1 - t->out_len;
	memcpy(t->out + t->out_len, bytes, len);
	t->out_len += len;
	t->out[t->out_len] = '\0';
}

static void put(struct fake_target *t, gpa_t gpa, uint64_t entry)
{
	mem_write(&t->mem, gpa, &entry, sizeof(entry));
}

static void map(struct fake_target *t)
{
	put(t, TARGET_PML4, 0x2003);
	put(t, TARGET_PML4 + 511 * 8, 0x3003);
	put(t, 0x2000, 0x4003);
	put(t, 0x3000 + 510 * 8, 0x5003);
	put(t, 0x4000, 0x83);
	put(t, 0x5000, 0x200083);
}

void fake_target_init(struct fake_target *t, unsigned max_points)
{
	struct err e;

	memset(t, 0, sizeof(*t));
	if (mem_init(&t->mem, TARGET_RAM, &e))
		abort();
	t->target = (struct gdb_target){
		.mem = &t->mem,
		.ncpus = TARGET_CPUS,
		.max_points = max_points,
		.vectors = {.avx = true, .opmask = 832, .zmm_high = 896, .zmm16 = 1408},
		.get = get,
		.set = set,
		.resume = resume,
		.interrupt = interrupt,
		.kill = kill_target,
		.monitor = monitor,
		.opaque = t,
	};
	map(t);
	for (unsigned i = 0; i < TARGET_CPUS; i++) {
		t->cpu[i].cr0 = 0x80000011;
		t->cpu[i].cr3 = TARGET_PML4;
		t->cpu[i].cr4 = 0x20;
		t->cpu[i].efer = 0xd00;
		t->cpu[i].rip = 0x1000 * (i + 1);
	}
}

void fake_target_fini(struct fake_target *t)
{
	mem_fini(&t->mem);
}
