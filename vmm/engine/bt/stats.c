/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's counters, over all vCPUs; approximate, they are read while the vCPUs run. */
#include <stdio.h>

#include "vmm/engine/bt/translate/translate.h"
#include "vmm/engine/bt/vm.h"
#include "x86/ops.h"

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
#define S(name) {#name, offsetof(struct bt_vcpu, stat.name)},
	BT_STATS(S)
#undef S
};

static uint64_t sum(const struct bt_vm *vm, size_t offset)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->cfg.nvcpus; i++)
		if (vm->vcpu[i])
			n += *(const uint64_t *)((const uint8_t *)vm->vcpu[i] + offset);
	return n;
}

/* Which instructions translated code leaves to the interpreter. */
static void fallbacks(const struct bt_vm *vm, stat_fn *fn, void *opaque)
{
	for (unsigned op = 0; op < X86_NOPS; op++) {
		uint64_t n = 0;
		char name[48];

		for (unsigned i = 0; i < vm->cfg.nvcpus; i++)
			if (vm->vcpu[i])
				n += bt_translate_fallbacks(vm->vcpu[i], op);
		if (!n)
			continue;
		snprintf(name, sizeof(name), "fallback.%s", x86_op_name(op));
		fn(opaque, name, n);
	}
}

void bt_stats(struct engine_vm *p, stat_fn *fn, void *opaque)
{
	const struct bt_vm *vm = (const struct bt_vm *)p;

	for (unsigned c = 0; c < sizeof(counters) / sizeof(counters[0]); c++)
		fn(opaque, counters[c].name, sum(vm, counters[c].offset));
	fn(opaque, "unknown_msrs", vm->bad_msr);
	fallbacks(vm, fn, opaque);
}
