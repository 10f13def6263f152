/* SPDX-License-Identifier: Apache-2.0 */
/* Runs guest code under KVM and serves its exits until the vCPU must do something else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "vmm/engine/kvm/kvm.h"

static void count(struct engine_vcpu *c, enum kvm_stat s)
{
	atomic_fetch_add_explicit(&c->stat[s], 1, memory_order_relaxed);
}

/* ---- port and memory-mapped I/O ---------------------------------------------------------------
 */

static void one_port_access(struct engine_vcpu *c, uint8_t *data)
{
	const struct engine_machine *m = c->vm->machine;
	uint16_t port = c->run->io.port;
	unsigned size = c->run->io.size;
	uint32_t val = 0;

	if (c->run->io.direction == KVM_EXIT_IO_OUT) {
		memcpy(&val, data, size);
		m->pio_write(m->opaque, port, size, val);
	} else {
		val = m->pio_read(m->opaque, port, size);
		memcpy(data, &val, size);
	}
	if (c->vm->trace_exits)
		log_info("vCPU %u: %s port %#x size %u value %#x", c->index,
			 c->run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in", port, size, val);
}

/* A string instruction with REP may bring many accesses at once, one behind the other. */
static void serve_pio(struct engine_vcpu *c)
{
	uint8_t *data = (uint8_t *)c->run + c->run->io.data_offset;

	count(c, c->run->io.direction == KVM_EXIT_IO_OUT ? STAT_PIO_WRITE : STAT_PIO_READ);
	for (uint32_t i = 0; i < c->run->io.count; i++)
		one_port_access(c, data + i * c->run->io.size);
}

/* The largest access of 1, 2, 4 or 8 bytes that begins a run of `len` bytes at `gpa`. */
static unsigned piece(gpa_t gpa, unsigned len)
{
	unsigned size = 8;

	if (len == 1 || len == 2 || len == 4 || len == 8)
		return len;
	while (size > len || gpa % size)
		size /= 2;
	return size;
}

static void mmio_piece(struct engine_vcpu *c, gpa_t gpa, uint8_t *data, unsigned size)
{
	const struct engine_machine *m = c->vm->machine;
	uint64_t val = 0;

	if (c->run->mmio.is_write) {
		memcpy(&val, data, size);
		m->mmio_write(m->opaque, gpa, size, val);
	} else {
		val = m->mmio_read(m->opaque, gpa, size);
		memcpy(data, &val, size);
	}
	if (c->vm->trace_exits)
		log_info("vCPU %u: %s %#llx size %u value %#llx", c->index,
			 c->run->mmio.is_write ? "store" : "load", (unsigned long long)gpa, size,
			 (unsigned long long)val);
}

/* An access across a page boundary arrives in parts of odd sizes. */
static void serve_mmio(struct engine_vcpu *c)
{
	gpa_t gpa = c->run->mmio.phys_addr;
	uint8_t *data = c->run->mmio.data;
	unsigned left = c->run->mmio.len;

	if (c->run->mmio.is_write && mem_ptr(c->vm->mem, gpa, left, false)) {
		count(c, STAT_ROM_WRITE); /* read-only memory ignores it */
		return;
	}
	count(c, c->run->mmio.is_write ? STAT_MMIO_WRITE : STAT_MMIO_READ);
	while (left) {
		unsigned size = piece(gpa, left);

		mmio_piece(c, gpa, data, size);
		gpa += size;
		data += size;
		left -= size;
	}
}

/* ---- what the engine cannot go on from ---------------------------------------------------------
 */

static void describe_place(struct engine_vcpu *c, char *text, size_t len)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	text[0] = '\0';
	if (kvm_ioctl(c->fd, KVM_GET_REGS, &regs) || kvm_ioctl(c->fd, KVM_GET_SREGS, &sregs))
		return;
	snprintf(text, len, " at cs:rip %04x:%#llx, cr0 %#llx, cr3 %#llx", sregs.cs.selector,
		 (unsigned long long)regs.rip, (unsigned long long)sregs.cr0,
		 (unsigned long long)sregs.cr3);
}

static enum run_result internal_error(struct engine_vcpu *c, struct err *e)
{
	const struct kvm_run *r = c->run;
	char place[128], insn[3 * 15 + 1] = "";

	describe_place(c, place, sizeof(place));
	if (r->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		err_set(e, -EIO, "KVM internal error %u%s", r->internal.suberror, place);
		return RUN_ERROR;
	}
	if (r->emulation_failure.ndata > 1 &&
	    (r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		for (unsigned i = 0; i < r->emulation_failure.insn_size && i < 15; i++)
			snprintf(insn + 3 * i, sizeof(insn) - 3 * i, " %02x",
				 r->emulation_failure.insn_bytes[i]);
	err_set(e, -EIO, "KVM cannot emulate an instruction%s%s%s; --engine bt can", place,
		*insn ? ", bytes" : "", insn);
	return RUN_ERROR;
}

static enum run_result entry_failed(struct engine_vcpu *c, struct err *e)
{
	char place[128];

	describe_place(c, place, sizeof(place));
	err_set(e, -EIO, "KVM: the processor refused to enter the guest, hardware reason %#llx%s",
		(unsigned long long)c->run->fail_entry.hardware_entry_failure_reason, place);
	return RUN_ERROR;
}

static enum run_result unknown_exit(struct engine_vcpu *c, struct err *e)
{
	char place[128];

	describe_place(c, place, sizeof(place));
	err_set(e, -EIO, "KVM: unexpected exit reason %u%s", c->run->exit_reason, place);
	return RUN_ERROR;
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Returns true when vcpu_run() is to return *result. */
static bool serve_exit(struct engine_vcpu *c, enum run_result *result, struct err *e)
{
	switch (c->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_pio(c);
		return false;
	case KVM_EXIT_MMIO:
		serve_mmio(c);
		return false;
	case KVM_EXIT_INTR:
		count(c, STAT_SIGNAL);
		return false;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
		count(c, STAT_OTHER);
		return false;
	case KVM_EXIT_DEBUG:
		count(c, STAT_DEBUG);
		*result = RUN_DEBUG;
		return kvm_debug_exit(c);
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_SYSTEM_EVENT:
		*result = RUN_SHUTDOWN;
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		*result = entry_failed(c, e);
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		*result = internal_error(c, e);
		return true;
	default:
		*result = unknown_exit(c, e);
		return true;
	}
}

/*
 * KVM_RUN has failed with errno `code`. After a kick it first completes an access in flight, so
 * the state is whole when vcpu_run() returns. EAGAIN: an application processor was woken by INIT.
 */
static bool serve_failure(struct engine_vcpu *c, int code, enum run_result *result, struct err *e)
{
	if (code == EAGAIN)
		return false;
	if (code != EINTR) {
		char place[128];

		describe_place(c, place, sizeof(place));
		err_set(e, -code, "KVM_RUN: %s%s%s", strerror(code), place,
			code == EFAULT ? "; has the host no memory left?" : "");
		*result = RUN_ERROR;
		return true;
	}
	if (!__atomic_exchange_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST)) {
		count(c, STAT_SIGNAL);
		kvm_take_sample(c);
		return false;
	}
	count(c, STAT_KICK);
	*result = RUN_KICKED;
	return true;
}

enum run_result kvm_vcpu_run(struct engine_vcpu *c, struct err *e)
{
	enum run_result result;
	bool done;

	c->thread = pthread_self();
	atomic_store(&c->has_thread, true);
	do {
		if (ioctl(c->fd, KVM_RUN, 0) < 0)
			done = serve_failure(c, errno, &result, e);
		else
			done = serve_exit(c, &result, e);
	} while (!done);
	atomic_store(&c->has_thread, false);
	return result;
}

void kvm_stats(struct engine_vm *vm, stat_fn *fn, void *opaque)
{
	static const char *const names[NSTATS] = {
		[STAT_PIO_READ] = "exits_pio_read",   [STAT_PIO_WRITE] = "exits_pio_write",
		[STAT_MMIO_READ] = "exits_mmio_read", [STAT_MMIO_WRITE] = "exits_mmio_write",
		[STAT_ROM_WRITE] = "exits_rom_write", [STAT_KICK] = "exits_kick",
		[STAT_SIGNAL] = "exits_signal",       [STAT_DEBUG] = "exits_debug",
		[STAT_OTHER] = "exits_other",
	};

	for (unsigned s = 0; s < NSTATS; s++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < vm->nvcpus; i++)
			if (vm->vcpu[i])
				sum += atomic_load_explicit(&vm->vcpu[i]->stat[s],
							    memory_order_relaxed);
		fn(opaque, names[s], sum);
	}
}
