/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary-translation engine's vCPU: the context block that C code and translated code share.
 *
 * C reaches it through a pointer, translated code relative to itself: the code cache lies behind
 * it, so that no register is lost to it. GS points to the current *view*, the translation cache
 * (TLB and jump cache) of one address space at one privilege level: a switch of address space or
 * privilege is one WRGSBASE and flushes nothing.
 *
 * Guest x87/SSE/AVX state stays in the host's registers whenever this engine's own code runs (all
 * of it is compiled with -mgeneral-regs-only); bt_fpu_leave()/bt_fpu_enter() surround every call
 * out of the engine (devices, waits, memory mapping, logging).
 */
#ifndef VMM_ENGINE_BT_VCPU_H
#define VMM_ENGINE_BT_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/bt/tlbset.h"
#include "vmm/memory.h"
#include "vmm/types.h"
#include "x86/insn.h"
#include "x86/lapic.h"
#include "x86/state.h"

/*
 * The compiler emits calls of memcpy and memset for large structures, and glibc's use vector
 * registers. Engine code that includes this header gets the ones of fpu.c, which do not.
 */
__asm__(".set memcpy, bt_memcpy\n\t.set memset, bt_memset\n\t"
	".set memmove, bt_memmove\n\t.set memcmp, bt_memcmp");

#define BT_JC_BITS    13
#define BT_JC_SIZE    (1u << BT_JC_BITS)
#define BT_NVIEWS     16
#define BT_NLARGE     8
#define BT_NCHASE     64
#define BT_GUESSES    4
#define BT_AFTER_BITS 13
#define BT_CODE_QUEUE 16 /* longer ones flush everything */
#define BT_PAUSES     64 /* PAUSE instructions, some 2 us of spinning, before others get a turn */

/* Guesses at the addend of the next page, of the loads that share this (translate/chase.c). */
struct bt_chase {
	uint64_t guess[BT_GUESSES];
	uint64_t last;  /* call of the helper, TSC */
	int32_t misses; /* until the next */
	uint16_t tries, next;
	uint32_t from; /* bt_tlb.after[]: the place that foretold guess[0] */
};

/* A page of the guest's linear address space for one kind of access. */
struct bt_tlb_page {
	uint64_t tag, addend;
};

/*
 * A tag is the page's linear address, negated so that it is compared by addition, when that kind of
 * access may go straight to `gva + addend` (a host address), else BT_TLB_NONE(index), which neither
 * an address with that index nor the page after it can equal. The write tag is withheld for pages
 * that hold translated code, or whose PTE has no dirty bit. MMIO has no tags. `write` may have
 * another page than `read`: an array that is read and one that is written need not displace each
 * other.
 */
struct bt_tlb {
	struct bt_tlb_page read[BT_TLB_SIZE]; /* the GS base is here */
	struct bt_tlb_page write[BT_TLB_SIZE];
	struct {
		uint64_t read_host, write_host; /* addend - tag of the two */
		uint64_t exec;                  /* tag, goes with read.addend */
		uint64_t code; /* tag where nothing but code in the page withholds the write tag */
	} more[BT_TLB_SIZE];
	struct bt_chase chase[BT_NCHASE];
	/* The page that a list goes on in after a load from an address, by bits 6 and up of that:
	 * the offset of its entry in `read`. */
	uint32_t after[1 << BT_AFTER_BITS];
};

/* From the GS base. */
#define BT_TLB_AT(field) \
	((int32_t)offsetof(struct bt_tlb, field) - (int32_t)offsetof(struct bt_tlb, read))

#define BT_TLB_ENTRY_SHIFT 4
_Static_assert(sizeof(struct bt_tlb_page) == 1 << BT_TLB_ENTRY_SHIFT, "TLB entry");

/*
 * A view begins with the first BT_TLB_SMALL entries, 64 MiB of pages, and gets all BT_TLB_SIZE, 4
 * GiB, when pages keep displacing each other: bt_tlb_index(). The checks of constant addresses,
 * which know their entry, look among the first for ever.
 */
#define BT_TLB_SMALL         (1u << 14)
#define BT_TLB_CONSTANT(gva) ((unsigned)((gva) >> 12) & (BT_TLB_SMALL - 1))
#define BT_TLB_PATIENCE      4096 /* entries displaced */

#define BT_TLB_TAG(gva) (0 - ((uint64_t)(gva) >> 12 << 12))
/* Zero, so that new memory is empty, but where it is page 0's tag, where that is the page after,
 * and where bits 16 and up of a tag can be zero, all that is compared for a constant address: of
 * few and of all entries the first, and the last 16. */
#define BT_TLB_LAST(i, size) ((i) < (size) && (i) >= (size)-16)
#define BT_TLB_IS_ODD(i)     ((i) == 0 || BT_TLB_LAST(i, BT_TLB_SMALL) || BT_TLB_LAST(i, BT_TLB_SIZE))
#define BT_TLB_NONE(i)       (BT_TLB_IS_ODD(i) ? BT_TLB_TAG((uint64_t)((i) ^ BT_TLB_SMALL / 2) << 12) : 0)

/* No copy: the tag of a page that is not canonical in any mode, so that with the addend 0 the host
 * faults where this is taken for one. */
#define BT_STACK_NONE ((struct bt_tlb_page){.tag = 1ull << 63})

/* Of a page of code, as a bit of bt_view.jc_pages. Separates user from kernel addresses. */
#define BT_JC_PAGE_BITS 15
#define BT_JC_PAGE(gva)                                                    \
	(((unsigned)((gva) >> 12) & ((1u << (BT_JC_PAGE_BITS - 1)) - 1)) | \
	 (unsigned)((gva) >> 63) << (BT_JC_PAGE_BITS - 1))

/*
 * Jump cache: linear address to translated code, valid in this view. Jumps go where `code` of the
 * first level says without a look at `va`; the code there compares. An address that has lost its
 * place in the first level to another is looked for in the second, which is indexed by the page as
 * well: functions begin at multiples of 16. Direct jumps and calls have other places in the first
 * level than indirect ones, which are empty while they are linked (translate/links.c). Empty:
 * BT_JC_NONE(level, index), which no address with that index can equal (a guest may jump to ~0 as
 * to any other address), and code that looks on.
 */
#define BT_JC_LEVELS         2
#define BT_JC_SHIFT          2
#define BT_JC_INDEX(va)      ((unsigned)((va) >> BT_JC_SHIFT) & (BT_JC_SIZE - 1))
#define BT_JC_DIRECT(va)     (BT_JC_INDEX(va) ^ BT_JC_SIZE / 2)
#define BT_JC_SECOND(va)     ((unsigned)((va) + ((va) >> 12)) & (BT_JC_SIZE - 1))
#define BT_JC_NONE(level, i) ((uint64_t)((i) ^ 16) << ((level) ? 0 : BT_JC_SHIFT))
#define BT_JC_MASK           ((uint64_t)(BT_JC_SIZE - 1) << BT_JC_SHIFT)
#define BT_JC_LOOK           0 /* always empty: where indirect jumps go while `jump_mask` is 0 */

struct bt_jc {
	const void *code[BT_JC_SIZE];
	uint64_t va[BT_JC_SIZE];
};

/* Pages that a jump cache has code of: codepages.c. */
#define BT_CODE_PAGES_BITS 10

struct bt_code_pages {
	struct {
		uint64_t va, gpa;
	} page[1u << (BT_CODE_PAGES_BITS - 1)];
	uint16_t place[1u << BT_CODE_PAGES_BITS]; /* by hash of its number: its index plus 1 */
	unsigned used;
	bool too_many; /* some are not in here */
};

struct bt_view_key {
	uint64_t cr3;  /* page-aligned root (PAE: 32-byte aligned) and PCID bits */
	uint32_t mode; /* paging mode, CR0.WP, EFER.NXE, CR4.SMEP/SMAP, EFLAGS.AC, user */
};

struct bt_view {
	struct bt_view_key key;
	uint64_t last_used;
	bool in_use;
	bool stale;                     /* to be emptied before it is used again */
	unsigned mask;                  /* of a page's number: its place in the TLB */
	unsigned displaced;             /* entries, by other pages, since it was emptied */
	bool stays_small;               /* the host did not take the memory of many entries back */
	struct bt_tlb_set used;         /* entries that are perhaps not empty */
	struct bt_tlb_set local;        /* entries of pages that are not global */
	uint64_t jc_used[BT_JC_LEVELS]; /* a bit for each 64th that is not all empty */
	uint64_t jc_pages[(1u << BT_JC_PAGE_BITS) / 64]; /* BT_JC_PAGE() of what `jc` may have */
	/* Where entries are parts of large pages: numbers of 1 GiB regions, and whether the region
	 * is one page. More than that: everywhere. */
	struct {
		uint64_t number;
		bool is_page;
	} large[BT_NLARGE];
	unsigned nlarge;
	bool large_regions;          /* any is */
	bool local_code;             /* a page that is not global was executable */
	struct bt_tlb *tlb;          /* this view begins with it */
	struct bt_jc *jc;            /* BT_JC_LEVELS, behind the TLB */
	const void *jc_none;         /* code that empty entries lead to */
	struct bt_code_pages *pages; /* of `jc`; behind it */
	void *gs;                    /* what is the GS base in this view */
	struct {
		uint64_t base, host; /* an FS base, and its host address, 0: translate/thread.c */
	} thread;
};

static inline unsigned bt_tlb_index(const struct bt_view *view, uint64_t gva)
{
	return (unsigned)(gva >> 12) & view->mask;
}

/* Reasons to look up from running guest code; set by any thread in `requests`: bt_post(). */
#define BT_REQ_KICK  0x010 /* vcpu_kick() */
#define BT_REQ_IRQ   0x020 /* the local APIC or the PIC may have something */
#define BT_REQ_NMI   0x040
#define BT_REQ_TLB   0x080 /* code or memory changed elsewhere: see translate/ */
#define BT_REQ_INIT  0x100
#define BT_REQ_SIPI  0x200
#define BT_REQ_DEBUG 0x400 /* a debugger's stop: see debug.h */
#define BT_REQ_ALL   0x7f0

/* Exceptions: vector numbers, Intel SDM volume 3A table 6-1. */
enum {
	EXC_DE,
	EXC_DB,
	EXC_NMI,
	EXC_BP,
	EXC_OF,
	EXC_BR,
	EXC_UD,
	EXC_NM,
	EXC_DF,
	EXC_TS = 10,
	EXC_NP,
	EXC_SS,
	EXC_GP,
	EXC_PF,
	EXC_MF = 16,
	EXC_AC,
	EXC_MC,
	EXC_XM
};

/* The exception that the current instruction raised. A function that can fault returns false with
 * this filled in; nothing of the instruction may have been committed by then. */
struct bt_fault {
	uint8_t vector;
	bool has_error;
	bool is_int; /* INT n, INT3, INTO, INT1: gate DPL is checked, RIP is past it */
	uint32_t error;
	uint64_t cr2; /* #PF only */
};

/*
 * Counters, by their names for the user. None is counted by translated code, but for the last two,
 * while a profile is taken.
 *
 * interpreted: instructions by the interpreter, `fallbacks` of them on behalf of translated code
 * slow_*: failed TLB checks of translated code that no TLB entry could mend, by cause
 * *_misses: jumps that went to look for their target; plain_windows: ranges that cross pages
 * page_links, page_unlinks: jumps to other pages that were patched, and undone
 * killed_by_*: times that blocks died because this vCPU, another or a device wrote to their bytes
 */
/* clang-format off */
#define BT_STATS(S) \
	S(interpreted) S(fallbacks) S(translated_entries) S(polls) \
	S(blocks) S(translated_insns) S(host_bytes) \
	S(killed_by_store) S(killed_by_others) S(killed_blocks) S(flushes_full) S(flushes_asked) \
	S(tlb_misses) S(page_walks) S(view_switches) S(view_misses) \
	S(slow_device) S(slow_code_page) S(slow_crossing) S(slow_fault) \
	S(jump_misses) S(link_misses) S(page_links) S(page_unlinks) S(plain_windows) \
	S(exceptions) S(interrupts) S(pio) S(mmio) S(lapic) S(halts) S(yields) S(task_switches) \
	S(counted_insns) S(counted_accesses)
/* clang-format on */

/* What the x87 unit remembers of its last non-control instruction. */
struct bt_x87_last {
	uint64_t ip, dp;
	uint32_t op; /* 11 bits, as in the image */
	uint16_t cs, ds;
};

struct bt_vm;

struct bt_vcpu {
	/* -- used by translated code, which knows the offsets -- */
	uint64_t gpr[X86_NGPR];
	uint64_t rip;
	uint64_t rflags; /* complete when C runs; status flags live in the host's meanwhile */
	uint64_t segbase[X86_NSEG];
	/* 32-bit code: of an offset plus this, less than zero is inside the segment. 0: any access
	 * is the interpreter's. */
	uint64_t beyond[X86_NSEG];
	_Atomic uint32_t requests;  /* BT_REQ_* */
	uint32_t mode;              /* BT_MODE_*: what a block's translation depends on */
	_Atomic uint64_t jump_mask; /* bits of an address that make its place in the jump cache, */
	_Atomic uint64_t hurry;     /* and 0; or 0 and ~0, so that running code comes to look */
	void *host_rsp;             /* C stack while translated code runs */
	uint64_t scratch[33];       /* the translator's own */
	struct bt_tlb_page stack; /* copy of the TLB's entry for writing of a page of the stack, or
				     BT_STACK_NONE: translate/stack.c */
	uint64_t thread_host;     /* the current view's thread.host */
	struct bt_x87_last x87;
	uint64_t tlb_mask; /* bits of an entry's offset, for the view that code runs in */
	/* -- the rest of the architectural state -- */
	struct bt_vcpu *self; /* C's pointer to this block, same in every view */
	struct bt_vm *vm;
	struct bt_view *view; /* current one */
	uint64_t view_clock;  /* counts uses of views */
	uint64_t next_rip; /* of the instruction that bt_interpret() executes: behind it, then its
			      target */
	struct x86_segment seg[X86_NSEG], ldt, tr; /* seg[i].base is mirrored in segbase[i] */
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, xcr0;
	uint64_t pdpte[4]; /* PAE: loaded with CR3 */
	uint64_t dr[8];
	uint64_t efer, pat, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_offset, tsc_aux, tsc_adjust, misc_enable; /* guest TSC = host TSC + offset */
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
	uint64_t kvmclock_system_time, kvmclock_wall_clock;
	uint8_t cpl;
	uint8_t activity;         /* enum x86_activity */
	uint8_t interrupt_shadow; /* X86_SHADOW_*: the instruction after STI or MOV SS is next */
	bool nmi_masked, nmi_pending;
	bool shutdown;        /* triple fault */
	uint8_t db_pending;   /* data breakpoints met (DR6 B0..3), raised after the instruction */
	_Atomic bool running; /* may touch guest memory: others must wait for queue_done */
	/* What other threads want done to this vCPU's caches; guarded by vm->code_lock. */
	struct {
		gpa_t gpa;
		unsigned len; /* of changed code; 0: take the page's write tags away */
	} queue[BT_CODE_QUEUE];
	unsigned queued;
	_Atomic uint32_t queue_posted, queue_done;
	bool fault_pending; /* deliver `fault` before anything else (a loaded state had it) */
	uint8_t sipi_vector;
	_Atomic bool sleeping;           /* waits on `requests` as a futex */
	_Atomic uint64_t timer_deadline; /* APIC timer, VM time in ns; 0: not armed */
	uint64_t timer_signaled; /* the ticker's own: the deadline it has woken this vCPU for */
	uint64_t pauses;         /* until the next yield of the host's processor */
	bool irq_blocked;        /* an interrupt waits for IF or the end of a shadow */
	struct bt_fault fault;
	struct lapic lapic;
	unsigned index;
	struct {
#define S(name) uint64_t name;
		BT_STATS(S)
#undef S
	} stat;
	void *private_interp, *private_translate, *private_run; /* owned by those files */
	struct bt_fpu *fpu;                                     /* fpu.h */
	struct profile *profile;                                /* profile.c; NULL: none is taken */
	pthread_t thread;       /* that runs it, valid while `running` */
	struct bt_debug *debug; /* debug.h; NULL: no debugger */
	struct {
		uint8_t data[32], index[32], mask[32];
	} gather; /* an instruction's vector registers: translate/gen_gather.c */
	struct bt_places *places[MEM_MAX_SLOTS]; /* one for each page: places.c */
	struct bt_view views[BT_NVIEWS];         /* large: last */
};

#define BT_CTX_SIZE ((sizeof(struct bt_vcpu) + 0xfff) & ~0xffful) /* whole pages */

/* What decides how code at an address must be decoded and translated (besides its bytes). */
#define BT_MODE_CODE64  0x01
#define BT_MODE_CODE32  0x02 /* neither: 16-bit code */
#define BT_MODE_STACK64 0x04
#define BT_MODE_STACK32 0x08 /* neither: 16-bit stack pointer */
#define BT_MODE_FLAT    0x10 /* CS, DS, ES, SS have base 0 and limit 4 GiB (always so in 64-bit) */
#define BT_MODE_USER    0x20 /* CPL 3 */
#define BT_MODE_PE      0x40
#define BT_MODE_V86     0x80
#define BT_MODE_NOFPU   0x100  /* CR0.TS or EM: x87/SSE must go to the interpreter, which raises */
#define BT_MODE_NOSSE   0x200  /* CR4.OSFXSR clear */
#define BT_MODE_NOAVX   0x400  /* CR4.OSXSAVE clear or XCR0 lacks AVX */
#define BT_MODE_STEP    0x800  /* TF set, or a debugger steps: interpreter only */
#define BT_MODE_DEBUG   0x1000 /* a debugger has code points: nothing is translated across one */
#define BT_MODE_NO512   0x2000 /* CR4.OSXSAVE clear or XCR0 lacks AVX-512 */
#define BT_MODE_POINTS  0x4000 /* DR7 has an enabled breakpoint: the same, for code */

static inline enum x86_mode bt_decode_mode(const struct bt_vcpu *v)
{
	if (v->mode & BT_MODE_CODE64)
		return X86_MODE_64;
	return v->mode & BT_MODE_CODE32 ? X86_MODE_32 : X86_MODE_16;
}

/* From any thread; bt_request() wakes one that sleeps, too. In this order: who finds `hurry` may
 * set both words back if it looks at `requests` behind that. */
static inline void bt_post(struct bt_vcpu *v, uint32_t bits)
{
	atomic_fetch_or(&v->requests, bits);
	atomic_store(&v->jump_mask, 0);
	atomic_store(&v->hurry, UINT64_MAX);
}

/* Recomputes v->mode, v->cpl and the view after any change of CRx, EFER, segments, EFLAGS, XCR0,
 * DR7. */
void bt_mode_changed(struct bt_vcpu *v);

/* ---- memory (mmu.c). `gva` is linear. Each returns false with v->fault set. ------------------ */

enum bt_access {
	BT_READ,
	BT_WRITE,
	BT_EXEC,
	BT_RMW /* write intent: faults as a write, reads */
};

/* Ordinary data accesses of the current instruction, at the current CPL; any size 1..64, pages may
 * be crossed: nothing is written unless all of it can be. Device memory is read and written through
 * the bus. */
bool bt_read(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size);
bool bt_write(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size);
/* As the processor itself does for descriptor tables, TSS and IDT: with supervisor rights. */
bool bt_read_sys(struct bt_vcpu *v, gva_t gva, void *buf, unsigned size);
bool bt_write_sys(struct bt_vcpu *v, gva_t gva, const void *buf, unsigned size);
/* Host address for [gva, gva+size) inside one page of RAM, filling the TLB; NULL with fault.vector
 * = 0xff and no fault if it is device memory, watched code, or crosses pages: then use
 * bt_read/bt_write. */
void *bt_host(struct bt_vcpu *v, gva_t gva, unsigned size, enum bt_access a);
/* Slow path of a TLB miss: walks, sets A/D bits, fills the current view's entry. false: v->fault.
 */
bool bt_tlb_fill(struct bt_vcpu *v, gva_t gva, enum bt_access a);
/* Physical address of code at `gva` for CPL v->cpl; false: v->fault (#PF). MMIO: -> *host NULL. */
bool bt_code_gpa(struct bt_vcpu *v, gva_t gva, gpa_t *gpa, const uint8_t **host);

void bt_flush_all(struct bt_vcpu *v); /* all views: CR0/CR4/EFER paging bits, MOV CR3 w/ PGE.. */
void bt_flush_cr3(struct bt_vcpu *v, bool global); /* MOV CR3, INVPCID */
void bt_flush_page(struct bt_vcpu *v, gva_t gva);  /* INVLPG: every view */
/* Withdraws write tags of a guest-physical page in every view (it now holds translated code). */
void bt_protect_page(struct bt_vcpu *v, gpa_t page);
/* Has an entry `i` of a view a write tag of the page at `host`? */
bool bt_has_write_tag(const struct bt_vcpu *v, unsigned i, uint64_t host);

/* ---- code pages (code.c): which physical bytes have been decoded or translated
 * -------------------- */
/* A store to a page with code goes through here, after the bytes have changed. */
void bt_code_written(struct bt_vcpu *v, gpa_t gpa, unsigned len);

/* ---- exceptions and interrupts (except.c) -----------------------------------------------------
 */
/* Both set v->fault and return false, for `return bt_raise(...)`. */
static inline bool bt_raise(struct bt_vcpu *v, unsigned vector)
{
	v->fault = (struct bt_fault){.vector = (uint8_t)vector};
	return false;
}
static inline bool bt_raise_error(struct bt_vcpu *v, unsigned vector, uint32_t error)
{
	v->fault = (struct bt_fault){.vector = (uint8_t)vector, .has_error = true, .error = error};
	return false;
}
void bt_deliver_fault(struct bt_vcpu *v); /* v->fault through the IDT; may end in #DF or shutdown */
void bt_deliver_interrupt(struct bt_vcpu *v,
			  unsigned vector); /* external interrupt or NMI (vector 2) */

/* ---- instructions -----------------------------------------------------------------------------
 */
/* Executes one instruction at v->rip (fetch, decode, execute, deliver its fault). */
void bt_interpret_one(struct bt_vcpu *v);
/* Executes a decoded one; false: v->fault, nothing committed. RIP is still at its start on entry
 * and moved on success. Used by the translator for what it does not translate. */
bool bt_interpret(struct bt_vcpu *v, const struct x86_insn *in);
/* X86_CLS_X87, MMX, SSE, AVX (vector.c): as themselves on the host, memory operand replaced. */
bool bt_interpret_vector(struct bt_vcpu *v, const struct x86_insn *in);
/* Linear address of the memory operand (segment base added, wrapped to address size), without
 * checks. */
gva_t bt_effective(struct bt_vcpu *v, const struct x86_insn *in);
/* Same, with segment limit/type or canonical checks for an access of `size` bytes; false: #GP/#SS.
 */
bool bt_linear(struct bt_vcpu *v, const struct x86_insn *in, unsigned size, enum bt_access a,
	       gva_t *out);

/* ---- calls out of the engine ------------------------------------------------------------------
 */
void bt_fpu_leave(struct bt_vcpu *v); /* saves guest vector state; nests */
void bt_fpu_enter(struct bt_vcpu *v); /* restores it when the outermost leave ends */

#endif
