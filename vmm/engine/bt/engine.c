/* SPDX-License-Identifier: Apache-2.0 */
/* The translation engine as the machine sees it: engine_bt. */
#include "vmm/engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/fpu.h"
#include "vmm/engine/bt/lockstep/lockstep.h"
#include "vmm/engine/bt/state.h"
#include "vmm/engine/bt/translate/translate.h"
#include "vmm/engine/bt/vm.h"

/* A context block and the room for its translated code. */
#define VCPU_SIZE (BT_CTX_SIZE + BT_CODE_ROOM)

static struct bt_vm *vm_of(struct engine_vm *vm)
{
	return (struct bt_vm *)vm;
}

static struct bt_vcpu *vcpu_of(struct engine_vcpu *c)
{
	return (struct bt_vcpu *)c;
}

static int probe(struct err *e)
{
	(void)e;
	return 0; /* any x86-64 */
}

/* ---- options --------------------------------------------------------------------------------- */

static int parse_tier(struct bt_vm *vm, const char *text, size_t len, struct err *e)
{
	static const char *const names[] = {"interp", "translate", "lockstep"};

	for (unsigned i = 0; i < 3; i++) {
		if (strlen(names[i]) == len && !memcmp(names[i], text, len)) {
			vm->tier = (enum bt_tier)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL,
		       "engine bt: tier=%.*s is unknown; there are interp, translate, lockstep",
		       (int)len, text);
}

static int parse_option(struct bt_vm *vm, const char *text, size_t len, struct err *e)
{
	static const char exact[] = "flags=exact";

	if (len > 5 && !memcmp(text, "tier=", 5))
		return parse_tier(vm, text + 5, len - 5, e);
	if (len != strlen(exact) || memcmp(text, exact, len))
		return err_set(e, -EINVAL,
			       "engine bt has no option \"%.*s\"; it has tier= and flags=exact",
			       (int)len, text);
	vm->exact_flags = true;
	return 0;
}

static int parse_options(struct bt_vm *vm, const char *text, struct err *e)
{
	vm->tier = BT_TIER_TRANSLATE;
	while (text && *text) {
		size_t len = strcspn(text, ",");
		int rc = parse_option(vm, text, len, e);

		if (rc)
			return rc;
		text += len + (text[len] == ',');
	}
	return 0;
}

static const struct {
	const char *name;
	size_t flag;
} traces[] = {
	{"exits", offsetof(struct bt_vm, trace_exits)},
	{"events", offsetof(struct bt_vm, trace_events)},
	{"code", offsetof(struct bt_vm, trace_code)},
};

static int parse_trace(struct bt_vm *vm, const char *text, struct err *e)
{
	while (text && *text) {
		size_t len = strcspn(text, ","), i = 0, n = sizeof(traces) / sizeof(traces[0]);

		while (i < n &&
		       (strlen(traces[i].name) != len || memcmp(traces[i].name, text, len)))
			i++;
		if (i == n)
			return err_set(
				e, -EINVAL,
				"trace: \"%.*s\" is no kind; engine bt has exits, events, code",
				(int)len, text);
		*((bool *)vm + traces[i].flag) = true;
		text += len + (text[len] == ',');
	}
	return 0;
}

/* ---- the VM ---------------------------------------------------------------------------------- */

static int vm_create(const struct engine_config *cfg, struct engine_vm **out, struct err *e)
{
	struct bt_vm *vm = calloc(1, sizeof(*vm));
	int rc;

	if (!vm)
		return err_set(e, -ENOMEM, "no memory for the translation engine");
	if (cfg->nvcpus > BT_MAX_VCPUS) {
		rc = err_set(e, -EINVAL, "engine bt runs at most %d vCPUs", BT_MAX_VCPUS);
		goto free_vm;
	}
	vm->cfg = *cfg;
	vm->machine = *cfg->machine;
	rc = parse_options(vm, cfg->options, e);
	if (!rc)
		rc = parse_trace(vm, cfg->trace, e);
	if (rc)
		goto free_vm;
	rc = bt_code_init(vm, e);
	if (rc)
		goto fini_code;
	atomic_store(&vm->ticker.next, UINT64_MAX);
	/* Guest time stands until vm_started(). */
	vm->stopped = true;
	vm->stopped_tsc = bt_rdtsc();
	cfg->mem->written = bt_code_dma;
	cfg->mem->written_opaque = vm;
	*out = (struct engine_vm *)vm;
	return 0;
fini_code:
	bt_code_fini(vm);
free_vm:
	free(vm);
	return rc;
}

static void vm_destroy(struct engine_vm *p)
{
	struct bt_vm *vm = vm_of(p);

	vm->cfg.mem->written = NULL;
	bt_ticker_stop(vm);
	bt_code_fini(vm);
	free(vm);
}

static void irq_line(struct engine_vm *vm, unsigned gsi, bool level)
{
	(void)vm, (void)gsi, (void)level; /* the machine has the interrupt chips */
}

static int mem_moved(struct engine_vm *p, unsigned slot, gpa_t old)
{
	(void)old;
	bt_code_moved(vm_of(p), slot);
	return 0;
}

static void extint(struct engine_vm *p, bool level)
{
	struct bt_vm *vm = vm_of(p);

	atomic_store(&vm->extint, level);
	for (unsigned i = 0; level && i < vm->cfg.nvcpus; i++)
		if (vm->vcpu[i])
			bt_request(vm->vcpu[i], BT_REQ_IRQ);
}

static void msi(struct engine_vm *vm, uint64_t addr, uint32_t data)
{
	bt_deliver_message(vm_of(vm), addr, data);
}

static int ioeventfd(struct engine_vm *vm, int fd, gpa_t addr, unsigned size, bool add)
{
	(void)vm, (void)fd, (void)addr, (void)size, (void)add;
	return -ENOTSUP; /* the access itself is no dearer than a write to the descriptor */
}

static void vm_stopped(struct engine_vm *p)
{
	struct bt_vm *vm = vm_of(p);

	if (!vm->stopped)
		vm->stopped_tsc = bt_rdtsc();
	vm->stopped = true;
}

static void vm_started(struct engine_vm *p)
{
	struct bt_vm *vm = vm_of(p);
	uint64_t pause = bt_rdtsc() - vm->stopped_tsc;

	if (!vm->stopped)
		return;
	for (unsigned i = 0; i < vm->cfg.nvcpus; i++)
		if (vm->vcpu[i])
			vm->vcpu[i]->tsc_offset -= pause;
	vm->stopped = false;
}

/* ---- vCPUs ----------------------------------------------------------------------------------- */

/* The parts in the order in which they are made; a vCPU whose making failed has some of them. */
static void vcpu_destroy(struct engine_vcpu *c)
{
	struct bt_vcpu *v = vcpu_of(c);

	if (!v)
		return;
	if (v->vm->tier == BT_TIER_LOCKSTEP)
		bt_lockstep_destroy(v->vm);
	if (v->private_translate)
		bt_translate_fini(v);
	bt_icache_fini(v);
	bt_places_fini(v);
	bt_debug_fini(v);
	if (v->fpu)
		bt_fpu_destroy(v);
	bt_views_fini(v);
	v->vm->vcpu[v->index] = NULL;
	munmap(v, VCPU_SIZE);
}

static struct bt_vcpu *context_create(struct bt_vm *vm, unsigned index, struct err *e)
{
	struct bt_vcpu *v = mmap(NULL, VCPU_SIZE, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (v == MAP_FAILED || mprotect(v, BT_CTX_SIZE, PROT_READ | PROT_WRITE)) {
		err_set(e, -errno, "no memory for vCPU %u: %s", index, strerror(errno));
		goto unmap;
	}
	v->self = v;
	v->vm = vm;
	v->index = index;
	if (!bt_views_init(v, e))
		return v;
	bt_views_fini(v);
unmap:
	if (v != MAP_FAILED)
		munmap(v, VCPU_SIZE);
	return NULL;
}

static int vcpu_create(struct engine_vm *p, unsigned index, struct engine_vcpu **out, struct err *e)
{
	struct bt_vm *vm = vm_of(p);
	struct bt_vcpu *v = context_create(vm, index, e);
	int rc;

	if (!v)
		return e ? e->code : -ENOMEM;
	lapic_init(&v->lapic, index, index == 0, &bt_lapic_ops, v);
	rc = bt_fpu_create(v, vm->cfg.cpu, e);
	if (!rc)
		rc = bt_icache_init(v, e);
	if (!rc)
		rc = bt_places_init(v, e);
	if (!rc && vm->tier != BT_TIER_INTERP)
		rc = bt_translate_init(v, e);
	if (rc) {
		vcpu_destroy((struct engine_vcpu *)v);
		return rc;
	}
	v->tsc_offset = -(vm->stopped ? vm->stopped_tsc : bt_rdtsc());
	v->pauses = BT_PAUSES;
	bt_reset_vcpu(v, false);
	vm->vcpu[index] = v;
	if (vm->tier == BT_TIER_LOCKSTEP)
		rc = bt_lockstep_create(vm, e);
	if (rc) {
		vcpu_destroy((struct engine_vcpu *)v);
		return rc;
	}
	*out = (struct engine_vcpu *)v;
	return 0;
}

static int vcpu_get(struct engine_vcpu *c, struct x86_cpu_state *s, struct err *e)
{
	(void)e;
	bt_state_get(vcpu_of(c), s);
	return 0;
}

static int vcpu_set(struct engine_vcpu *c, const struct x86_cpu_state *s, struct err *e)
{
	struct bt_vcpu *v = vcpu_of(c);

	if (v->vm->lockstep)
		bt_lockstep_stale(v->vm);
	return bt_state_set(v, s, e);
}

/* The signal stack belongs to the thread: made when the thread runs this vCPU for the first time.
 */
static enum run_result vcpu_run(struct engine_vcpu *c, struct err *e)
{
	struct bt_vcpu *v = vcpu_of(c);
	enum run_result result;

	if (bt_ticker_start(v->vm, e) || bt_fpu_thread_start(v, e))
		return RUN_ERROR;
	result = bt_run(v);
	if (result == RUN_ERROR)
		bt_lockstep_error(v, e);
	bt_fpu_thread_stop(v);
	return result;
}

static void vcpu_kick(struct engine_vcpu *c)
{
	bt_request(vcpu_of(c), BT_REQ_KICK);
}

static void vcpu_nmi(struct engine_vcpu *c)
{
	bt_request(vcpu_of(c), BT_REQ_NMI);
}

static int vcpu_debug(struct engine_vcpu *c, const struct engine_debug *d, struct err *e)
{
	return bt_debug_set(vcpu_of(c), d, e);
}

static void vcpu_stop(struct engine_vcpu *c, struct engine_stop *out)
{
	bt_debug_get(vcpu_of(c), out);
}

static void vcpu_profile(struct engine_vcpu *c, struct profile *p)
{
	bt_profile(vcpu_of(c), p);
}

static void vcpu_sample(struct engine_vcpu *c)
{
	bt_sample(vcpu_of(c));
}

const struct engine_ops engine_bt = {
	.name = "bt",
	.slow = true,
	.probe = probe,
	.cpu_features = bt_cpu_features,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.irq_line = irq_line,
	.extint = extint,
	.msi = msi,
	.ioeventfd = ioeventfd,
	.mem_moved = mem_moved,
	.vm_stopped = vm_stopped,
	.vm_started = vm_started,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_get = vcpu_get,
	.vcpu_set = vcpu_set,
	.vcpu_run = vcpu_run,
	.vcpu_kick = vcpu_kick,
	.vcpu_nmi = vcpu_nmi,
	.vcpu_debug = vcpu_debug,
	.vcpu_stop = vcpu_stop,
	.max_points = ENGINE_MAX_POINTS,
	.vcpu_profile = vcpu_profile,
	.vcpu_sample = vcpu_sample,
	.stats = bt_stats,
};
