/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter: fetches through a cache of decoded instructions, executes, delivers what the
 * instruction raised. Cache entries are void when their page's version has moved on (code.c).
 */
#include "vmm/engine/bt/interp/interp.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/engine/bt/debug.h"

#define ICACHE_BITS 12
#define ICACHE_SIZE (1u << ICACHE_BITS)

struct icache_entry {
	const uint8_t *host; /* where the bytes lie; NULL: empty */
	uint32_t version;
	uint32_t mode; /* enum x86_mode */
	bt_handler *handler;
	struct x86_insn in;
};

struct interp {
	struct icache_entry cache[ICACHE_SIZE];
	struct icache_entry odd; /* an instruction that crosses pages or lies in device memory */
	/* The page that code runs in; good while the view's entry is the same. */
	gva_t page;
	uint64_t addend;
	struct bt_page *state;
};

int bt_icache_init(struct bt_vcpu *v, struct err *e)
{
	void *p = mmap(NULL, sizeof(struct interp), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_set(e, -errno, "no memory for the interpreter's cache: %s",
			       strerror(errno));
	v->private_interp = p;
	return 0;
}

void bt_icache_fini(struct bt_vcpu *v)
{
	if (v->private_interp)
		munmap(v->private_interp, sizeof(struct interp));
}

/* ---- choosing the handler -------------------------------------------------------------------- */

static bool undefined(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return bt_raise(v, EXC_UD);
}

static bt_handler *const handlers[X86_NOPS] = {
#define H(op, name) [X86_OP_##op] = bt_op_##name,
	BT_HANDLERS(H)
#undef H
};

static bt_handler *plain_handler(const struct x86_insn *in)
{
	switch (in->desc->cls) {
	case X86_CLS_X87:
	case X86_CLS_MMX:
	case X86_CLS_SSE:
	case X86_CLS_AVX:
		if (!handlers[in->op])
			return bt_interpret_vector;
	}
	switch (in->op) {
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR:
	case X86_OP_XSAVE:
	case X86_OP_XRSTOR:
	case X86_OP_XSAVEOPT:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES:
	case X86_OP_XRSTORS:
		return bt_interpret_vector;
	}
	return handlers[in->op] ? handlers[in->op] : undefined;
}

/* For instructions that are undefined in real mode or need ring 0. */
static bool checked(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned attr = in->desc->attr;

	if ((attr & X86_AT_NOTREAL) && !bt_protected(v))
		return bt_raise(v, EXC_UD);
	if ((attr & X86_AT_PRIV) && v->cpl)
		return in->op == X86_OP_CLAC || in->op == X86_OP_STAC
			       ? bt_raise(v, EXC_UD)
			       : bt_raise_error(v, EXC_GP, 0);
	return plain_handler(in)(v, in);
}

/* What an encoding means to a processor without the feature: TZCNT and LZCNT are the older scans,
 * and VMCALL is a hypervisor's as VMMCALL is.
 */
static bt_handler *without_feature(unsigned op)
{
	switch (op) {
	case X86_OP_TZCNT:
		return bt_op_bsf;
	case X86_OP_LZCNT:
		return bt_op_bsr;
	case X86_OP_VMCALL:
		return bt_op_hypercall;
	default:
		return undefined;
	}
}

bt_handler *bt_handler_of(struct bt_vm *vm, const struct x86_insn *in)
{
	if (in->desc->feature && !vm->cfg.cpu->has[in->desc->feature])
		return without_feature(in->op);
	if (in->desc->attr & (X86_AT_NOTREAL | X86_AT_PRIV))
		return checked;
	return plain_handler(in);
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* Bytes of code at `gva`, at most `len` and not beyond the page's end, from RAM or a device. */
static bool fetch_bytes(struct bt_vcpu *v, gva_t gva, uint8_t *buf, unsigned len)
{
	const uint8_t *host;
	gpa_t gpa;

	if (!bt_code_gpa(v, gva, &gpa, &host))
		return false;
	for (unsigned i = 0; i < len; i++) {
		if (host)
			buf[i] = host[i];
		else
			bt_phys_read(v, gpa + i, &buf[i], 1);
	}
	return true;
}

static bool decode_error(struct bt_vcpu *v, int rc)
{
	return rc == X86_DECODE_TOO_LONG ? bt_raise_error(v, EXC_GP, 0) : bt_raise(v, EXC_UD);
}

/* Slow form: an instruction that crosses into the next page, or lies in device memory. */
static struct icache_entry *fetch_odd(struct bt_vcpu *v, gva_t gva)
{
	struct icache_entry *e = &((struct interp *)v->private_interp)->odd;
	uint8_t buf[X86_MAX_INSN_LEN];
	unsigned room = (unsigned)(BT_PAGE - (gva & (BT_PAGE - 1))), n;
	int rc;

	n = room < sizeof(buf) ? room : sizeof(buf);
	if (!fetch_bytes(v, gva, buf, n))
		return NULL;
	rc = x86_decode(buf, n, bt_decode_mode(v), &e->in);
	if (rc == X86_DECODE_PARTIAL && n < sizeof(buf)) {
		gva_t next = gva + n;

		if (!(v->mode & BT_MODE_CODE64))
			next = (uint32_t)next;
		if (!fetch_bytes(v, next, buf + n, sizeof(buf) - n))
			return NULL;
		rc = x86_decode(buf, sizeof(buf), bt_decode_mode(v), &e->in);
	}
	if (rc < 0)
		return decode_error(v, rc), NULL;
	e->handler = bt_handler_of(v->vm, &e->in);
	return e;
}

/* Decodes into the cache. */
static struct icache_entry *fetch_decode(struct bt_vcpu *v, gva_t gva, struct icache_entry *e)
{
	unsigned room = (unsigned)(BT_PAGE - (gva & (BT_PAGE - 1)));
	const uint8_t *host;
	struct bt_page *page;
	gpa_t gpa;
	int rc;

	if (!bt_code_gpa(v, gva, &gpa, &host))
		return NULL;
	page = host ? bt_code_begin(v, gpa) : NULL;
	if (!page)
		return fetch_odd(v, gva);
	rc = x86_decode(host, room < X86_MAX_INSN_LEN ? room : X86_MAX_INSN_LEN, bt_decode_mode(v),
			&e->in);
	if (rc > 0) {
		bt_code_mark(v->vm, gpa, (unsigned)rc);
		e->host = host;
		e->version = atomic_load(&page->version);
		e->mode = bt_decode_mode(v);
		e->handler = bt_handler_of(v->vm, &e->in);
	} else {
		e->host = NULL;
	}
	bt_code_end(v);
	if (rc == X86_DECODE_PARTIAL)
		return fetch_odd(v, gva);
	return rc > 0 ? e : (decode_error(v, rc), NULL);
}

/* The page of `gva` becomes the one that code runs in. false: v->fault, or *odd. */
static bool enter_page(struct bt_vcpu *v, struct interp *ip, gva_t gva, bool *odd)
{
	const struct bt_tlb *tlb = v->view->tlb;
	unsigned i = bt_tlb_index(v->view, gva);
	const uint8_t *host;
	struct bt_slot *slot;
	gpa_t gpa;

	*odd = false;
	if (tlb->more[i].exec != BT_TLB_TAG(gva) && !bt_tlb_fill(v, gva, BT_EXEC))
		return false;
	*odd = tlb->more[i].exec != BT_TLB_TAG(gva);
	if (*odd)
		return false;
	if (!bt_code_gpa(v, gva, &gpa, &host))
		return false;
	slot = bt_slot_find(v->vm, gpa);
	ip->page = gva & BT_PAGE_MASK;
	ip->addend = tlb->read[i].addend;
	ip->state = bt_slot_page(slot, gpa);
	return true;
}

static struct icache_entry *fetch_any(struct bt_vcpu *v)
{
	struct interp *ip = v->private_interp;
	gva_t gva = v->rip;
	const struct bt_tlb *tlb = v->view->tlb;
	struct icache_entry *e;
	const uint8_t *host;
	unsigned i;
	bool odd;

	if (!(v->mode & BT_MODE_CODE64)) {
		if (v->rip > v->seg[X86_CS].limit)
			return bt_raise_error(v, EXC_GP, 0), NULL;
		gva = (uint32_t)(v->rip + v->segbase[X86_CS]);
	}
	i = bt_tlb_index(v->view, gva);
	if (tlb->more[i].exec != BT_TLB_TAG(gva) || ip->page != (gva & BT_PAGE_MASK) ||
	    ip->addend != tlb->read[i].addend)
		if (!enter_page(v, ip, gva, &odd))
			return odd ? fetch_odd(v, gva) : NULL;
	host = (const uint8_t *)(gva + tlb->read[i].addend);
	e = &ip->cache[((uintptr_t)host ^ (uintptr_t)host >> ICACHE_BITS) & (ICACHE_SIZE - 1)];
	if (e->host == host &&
	    e->version == atomic_load_explicit(&ip->state->version, memory_order_relaxed) &&
	    e->mode == bt_decode_mode(v))
		return e;
	return fetch_decode(v, gva, e);
}

static struct icache_entry *fetch(struct bt_vcpu *v)
{
	struct icache_entry *e = fetch_any(v);

	if (e && !(v->mode & BT_MODE_CODE64) && v->rip + e->in.len - 1 > v->seg[X86_CS].limit)
		return bt_raise_error(v, EXC_GP, 0), NULL; /* it begins inside and ends beyond */
	return e;
}

/* ---- executing ------------------------------------------------------------------------------- */

static void set_next(struct bt_vcpu *v, const struct x86_insn *in)
{
	v->next_rip = v->rip + in->len;
	if (!(v->mode & BT_MODE_CODE64))
		v->next_rip = (uint32_t)v->next_rip;
}

bool bt_interpret(struct bt_vcpu *v, const struct x86_insn *in)
{
	v->stat.interpreted++;
	set_next(v, in);
	if (!bt_handler_of(v->vm, in)(v, in))
		return false;
	v->rip = v->next_rip;
	return true;
}

/* Enabled instruction breakpoints at the current RIP, unless RF says it was reported. */
static bool instruction_breakpoint(struct bt_vcpu *v)
{
	uint64_t at = v->mode & BT_MODE_CODE64 ? v->rip : (uint32_t)(v->rip + v->segbase[X86_CS]);
	unsigned points = v->rflags & FL_RF ? 0 : bt_code_points_at(v, at);

	if (!points)
		return false;
	v->dr[6] |= points;
	bt_raise(v, EXC_DB);
	return true;
}

/* Traps after an instruction that ran with TF set or met a data breakpoint. */
static void report_traps(struct bt_vcpu *v, bool stepped)
{
	v->dr[6] |= v->db_pending | (stepped ? DR6_BS : 0);
	v->db_pending = 0;
	bt_raise(v, EXC_DB);
	bt_deliver_fault(v);
}

/*
 * The instruction faulted. What MOV SS before it has met is told by the #DB of INT1, or before the
 * first instruction of INT n's handler; with another fault it is lost.
 */
static void report_fault(struct bt_vcpu *v)
{
	if (!v->fault.is_int) {
		v->dr[6] |= v->fault.vector == EXC_DB ? v->db_pending : 0;
		v->db_pending = 0;
	}
	bt_deliver_fault(v);
}

/*
 * A step is due where TF was set before the instruction. SYSCALL counts as part of what it leads
 * to: where its mask clears TF, the kernel sees no step (SYSRET tells it, see bt_op_sysret).
 */
static bool is_step(const struct bt_vcpu *v, const struct x86_insn *in, bool tf)
{
	return tf && (in->op != X86_OP_SYSCALL || v->rflags & FL_TF);
}

/* What the guest's own breakpoints and single step want before and after an instruction. */
static void step_checked(struct bt_vcpu *v)
{
	bool tf = v->rflags & FL_TF, shadow = v->interrupt_shadow;
	bool after_ss = v->interrupt_shadow & X86_SHADOW_SS;
	struct icache_entry *e = NULL;

	if (!after_ss) /* what MOV SS met waits for the instruction behind it */
		v->db_pending = 0;
	if (!after_ss && instruction_breakpoint(v)) {
		bt_deliver_fault(v);
		return;
	}
	e = fetch(v);
	v->rflags &= ~(uint64_t)FL_RF;
	if (!e || !bt_interpret(v, &e->in)) {
		report_fault(v);
		return;
	}
	if (shadow)
		v->interrupt_shadow = 0;
	tf = is_step(v, &e->in, tf);
	if (!(v->interrupt_shadow & X86_SHADOW_SS) && (tf || v->db_pending))
		report_traps(v, tf);
}

/* With breakpoints or single step: the checks that other instructions need not pay for. */
static void step_one(struct bt_vcpu *v)
{
	if (v->debug && bt_debug_reached(v))
		return;
	step_checked(v);
	if (bt_is_stepping(v))
		bt_debug_stepped(v);
}

void bt_interpret_one(struct bt_vcpu *v)
{
	struct icache_entry *e;
	bool shadow = v->interrupt_shadow;

	if (v->mode & (BT_MODE_STEP | BT_MODE_DEBUG | BT_MODE_POINTS)) {
		step_one(v);
		return;
	}
	v->stat.interpreted++;
	v->rflags &= ~(uint64_t)FL_RF;
	e = fetch(v);
	if (!e)
		goto fault;
	set_next(v, &e->in);
	if (!e->handler(v, &e->in))
		goto fault;
	v->rip = v->next_rip;
	if (shadow)
		v->interrupt_shadow = 0;
	return;
fault:
	bt_deliver_fault(v);
}

void bt_interpret_some(struct bt_vcpu *v, unsigned budget)
{
	while (budget-- && !atomic_load_explicit(&v->requests, memory_order_relaxed) &&
	       !v->interrupt_shadow && !v->shutdown)
		bt_interpret_one(v);
}

/* ---- effective addresses for other files ----------------------------------------------------- */

gva_t bt_effective(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t off = bt_offset(v, in);

	if (v->mode & BT_MODE_CODE64)
		return off + (in->mem.seg >= X86_FS ? v->segbase[in->mem.seg] : 0);
	return (uint32_t)(off + v->segbase[in->mem.seg]);
}

bool bt_linear(struct bt_vcpu *v, const struct x86_insn *in, unsigned size, enum bt_access a,
	       gva_t *out)
{
	return bt_operand_linear(v, in, size, a, out);
}
