/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of the translator, shared by its files.
 *
 * Host code is named by offsets into the code cache, blocks, links and sites by index, so that
 * their records stay small. All of them are dropped together when any of the arrays is full.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_TR_H
#define VMM_ENGINE_BT_TRANSLATE_TR_H

#include "vmm/engine/bt/translate/emit.h"
#include "vmm/engine/bt/translate/translate.h"
#include "vmm/engine/bt/vm.h"
#include "x86/insn.h"
#include "x86/ops.h"

#define TR_CODE_SIZE   BT_CODE_ROOM
#define TR_SLOW_AT     (54u << 20) /* from here on: code that seldom runs */
#define TR_MAX_BLOCKS  (1u << 19)
#define TR_MAX_LINKS   (1u << 21)
#define TR_MAX_SITES   (1u << 22)
#define TR_MAX_PCS     (1u << 23)
#define TR_HASH_BITS   18
#define TR_HASH_SIZE   (1u << TR_HASH_BITS)
#define TR_PAGES_BITS  14
#define TR_PAGES_SIZE  (1u << TR_PAGES_BITS)
#define TR_HEAT_SIZE   (1u << 18)
#define TR_HOT         3      /* executions before code is translated */
#define TR_COOL        (-100) /* where they begin for code that keeps changing */
#define TR_MAX_INSNS   40
#define TR_POLL_LEN    13         /* from a block's `poll` to its `entry` */
#define TR_BLOCK_ROOM  16384      /* host bytes that one block can need at most */
#define TR_MAX_FAR     (1u << 19) /* a compiler has a hundred thousand */
#define TR_MAX_REGIONS 16
#define TR_PATIENCE    (1u << 22) /* of the TSC: a millisecond or two */
#define TR_NONE        0u         /* index 0 of each array is not used */

/* Blocks depend on these bits of v->mode. */
#define TR_MODE_MASK                                                                          \
	(BT_MODE_CODE64 | BT_MODE_CODE32 | BT_MODE_STACK64 | BT_MODE_STACK32 | BT_MODE_FLAT | \
	 BT_MODE_USER | BT_MODE_NOFPU | BT_MODE_NOSSE | BT_MODE_NOAVX | BT_MODE_NO512 |       \
	 BT_MODE_POINTS)
/* Key bit of a second translation of the same code, without windows (see plan.c). */
#define TR_MODE_PLAIN 0x80000000u

/* Key bit of rings 1 and 2, for which instructions are checked that rings 0 and 3 need not. */
#define TR_MODE_INNER 0x40000000u

/* Key bit of one instruction whose operand is the copy at SCR_COPY (see cross.c). */
#define TR_MODE_COPY 0x20000000u

#define TR_DIRECT 0x80000000u /* in H_T2, beside a link's number; without: a site's */

/* A direct exit of a block: a jump that is patched once its target is translated. */
struct tr_link {
	uint32_t jump;        /* where its 32-bit displacement lies */
	uint32_t stub;        /* what it jumps to while unlinked */
	uint32_t block;       /* owner */
	uint32_t target : 31; /* block it is linked to, or TR_NONE, */
	uint32_t looks : 1;   /* at requests before it */
	uint32_t next;        /* next link to the same target */
	int32_t delta;        /* target's RIP less the owner's */
};

/* A place where translated code calls C: a slow path, or an instruction for the interpreter. */
struct tr_site {
	uint32_t block;
	uint32_t resume; /* continue here with H_T0 = host address, */
	uint32_t next;   /* continue here when the whole instruction is done */
	uint32_t copy;   /* block that does this store on a copy, TR_NONE: not yet found */
	uint16_t off;    /* guest instruction, relative to the block */
	uint16_t size;
	uint16_t since;     /* what to look at for dead flags begins here: recover.c */
	uint16_t past;      /* behind a window's or a constant's check, which begins at `resume` */
	uint8_t slot : 2;   /* tr_window.slot */
	uint8_t access : 2; /* enum bt_access */
	uint8_t len : 4;    /* of the guest instruction; a window: its base */
	bool is_last : 1;   /* of its block */
	bool in_two : 1;    /* or with what adds up to that in H_T0 and H_T2, */
	bool in_t0 : 1;     /* or the latter in H_T0, */
	bool thread : 1;    /* or what adds up to that with the distance from the FS base */
	bool rechecks : 1;  /* `resume` is the check again: a constant address's */
	bool ends : 1;      /* never goes on to the next: there is no code at `next` */
	bool on_copy : 1;   /* a store that may run on a copy: cross.c */
	bool based : 1;     /* a window: the slot holds its addend plus its base */
	bool all_dead : 1;  /* no status flag is live */
	bool in_vain : 1;   /* a window: its check has failed, but no access of it */
};

/* Where the host code of a guest instruction begins, for host faults. */
struct tr_pc {
	uint16_t host, guest; /* relative to `indirect`; to the block, may have TR_PC_* */
};

#define TR_PC_PARKED 0x8000 /* status flags are in SCR_PARKED: park.c */
#define TR_PC_DEAD   0x4000 /* no status flag is live */
#define TR_PC_OFF    0x3fff

struct tr_block {
	uint64_t va;
	gpa_t gpa;
	uint32_t mode;
	/*
	 * Host code, in this order: the entry from the jump cache, which looks whether the address
	 * in H_T0 is this one; the entry that looks at requests, for loops; the entry for all
	 * others.
	 */
	uint32_t indirect, poll, entry;
	uint32_t end; /* behind it; slow paths are far away, where they take no room in caches */
	uint32_t hash_next, page_next;
	uint32_t incoming; /* links that jump here */
	uint32_t first_link, nlinks;
	uint32_t first_pc;
	uint16_t npcs;
	uint16_t len; /* guest bytes */
	struct {
		uint16_t lo, hi;
	} peek[4]; /* page offsets of further bytes that its liveness analysis read */
	uint8_t npeeks;
	bool dead;
	bool crosses; /* one instruction, across the page's end; the next record stands for the rest
		       */
	bool is_rest; /* the bytes in the second page of the record before it; no code of its own */
	uint32_t level; /* links that do not look at requests lead to higher ones: links.c */
};

/* Lists that are followed, by where their load is: chase.c. */
#define TR_FOLLOWED 16
struct tr_followed {
	gpa_t gpa;
	uint64_t since; /* TSC, 0: none */
};

/* Instructions that the interpreter does for translated code, by site. */
#define TR_DECODED 512
struct tr_decoded {
	uint32_t site, generation;
	struct x86_insn in;
};

#define TR_BORDER 64u

/* An operand in two pages, while its instruction runs on a copy. */
struct tr_crossing {
	_Alignas(64) uint8_t bytes[128]; /* the second page's are from TR_BORDER on */
	uint8_t *end, *begin;            /* the first page's bytes on the host, and the second's */
	int64_t start, rest;             /* from there to the operand's start and end; start < 0 */
	const uint8_t *resume;           /* behind the store */
	uint64_t t2;                     /* H_T2 there */
};

struct tr_far {
	uint32_t *link; /* room for TR_MAX_FAR */
	uint32_t n;
};

/* Stubs of cross_stub.c, by sum. */
enum {
	CROSS_LIVE = 1,   /* status flags are; the others do not count for stores */
	CROSS_IN_TWO = 2, /* tr_site.in_two */
	CROSS_WIDE = 4,   /* more than 8 bytes */
	CROSS_KINDS = 8
};

/* Stubs of stack.c, by sum. */
enum {
	STACK_WRITE = 1,
	STACK_LIVE = 2,
	STACK_KINDS = 4
};

struct translator {
	struct tr_crossing crossing;
	struct bt_vcpu *v;
	uint8_t *rw, *rx;         /* the code cache, mapped twice */
	uint32_t used, slow_used; /* ends of its two parts */
	uint32_t stubs_end;       /* what a flush leaves */
	struct tr_block *block;
	struct tr_link *link;
	struct tr_site *site;
	struct tr_pc *pc;
	uint32_t nblocks, nlinks, nsites, npcs;
	struct tr_far global, local;         /* links to other pages: see links.c */
	uint64_t far_region[TR_MAX_REGIONS]; /* where they lead, in units of 1 GiB */
	unsigned nregions;
	struct bt_view *user; /* whose user code has run last */
	bool links_user;      /* its jumps to other pages are patched, */
	uint64_t user_since;  /* since this TSC; or it has been undisturbed since then, */
	uint64_t patience;    /* and will be after this time */
	uint32_t *hash;       /* TR_HASH_SIZE heads by both addresses */
	uint32_t *page_hash;  /* TR_PAGES_SIZE heads by physical page */
	int8_t *heat;         /* executions of cold code, by hash of its address */
	uint32_t jc_mode[BT_NVIEWS];
	int32_t jc; /* offset of the view's jump cache from the GS base */
	void *gs;   /* what the GS base is now */
	bool fsgsbase;
	uint32_t generation; /* counts flushes */
	unsigned points;     /* code breakpoints that BT_MODE_POINTS blocks know: bits of DR6, */
	uint64_t point[4];   /* and where they are */
	bool killed; /* a block died: running code leaves at the next instruction boundary */
	bool flush_wanted;
	bool counts;    /* blocks count what they do, for a profile */
	bool one_block; /* lockstep: every block is left through C, and no other is entered */
	bool entered;   /* one_block: the block has been */
	bool polled;    /* left at a block's entry, before its first instruction */
	bool is_cold;   /* code was not found because it has not run often enough */
	bool faulted;   /* translated code left with v->fault */
	uint64_t came_to, came_with; /* where C has gone on last, and RFLAGS: recover.c */
	struct bt_fault fault;       /* what a host fault means to the guest, and where it was */
	uint64_t fault_rip;
	uint32_t fault_block;
	struct tr_pc fault_pc;
	struct tr_build *build;
	struct tr_decoded decoded[TR_DECODED];
	struct tr_followed followed[TR_FOLLOWED];
	unsigned next_followed;
	uint64_t fallback[X86_NOPS]; /* instructions interpreted for translated code */
	/* Common code at the start of the cache. */
	void (*enter)(struct bt_vcpu *v, const void *code);
	const uint8_t *stub_slow, *stub_interp, *stub_link, *stub_far, *stub_jump, *stub_window,
		*stub_chase, *stub_plain, *stub_poll, *stub_fault, *stub_none, *stub_second,
		*stub_stored, *stub_across[CROSS_KINDS], *stub_store_across[CROSS_LIVE + 1],
		*stub_stack[STACK_KINDS];
};

static inline struct translator *tr_of(struct bt_vcpu *v)
{
	return v->private_translate;
}

static inline bool tr_mode_ok(uint32_t mode)
{
	return !(mode & (BT_MODE_STEP | BT_MODE_V86)) &&
	       ((mode & BT_MODE_CODE64) ||
		(mode & (BT_MODE_CODE32 | BT_MODE_STACK32 | BT_MODE_FLAT)) ==
			(BT_MODE_CODE32 | BT_MODE_STACK32 | BT_MODE_FLAT));
}

/* Must running code of the block leave before its next instruction? */
static inline bool tr_is_dropped(const struct translator *t, const struct tr_block *b)
{
	return b->dead || t->flush_wanted;
}

/* What a block is keyed by, besides its address. */
static inline uint32_t tr_mode_key(const struct bt_vcpu *v)
{
	return (v->mode & TR_MODE_MASK) | (v->cpl == 1 || v->cpl == 2 ? TR_MODE_INNER : 0);
}

/* To emit code into [p, end) of t->rw. */
static inline struct emit tr_emit(const struct translator *t, uint8_t *p, uint8_t *end)
{
	return (struct emit){.p = p, .end = end, .ctx = (uint64_t)t->v + (uint64_t)(t->rw - t->rx)};
}

static inline const uint8_t *tr_rx(const struct translator *t, uint32_t off)
{
	return t->rx + off;
}

/* ---- cache.c: code memory and the records ------------------------------------------------------
 */
int tr_cache_init(struct translator *t, struct err *e);
void tr_cache_fini(struct translator *t);
void tr_cache_flush(struct translator *t);
bool tr_cache_full(const struct translator *t);
/* A live block for this code, or TR_NONE. */
uint32_t tr_block_find(const struct translator *t, uint64_t va, gpa_t gpa, uint32_t mode);
void tr_block_insert_crossing(struct translator *t, uint32_t index);
uint32_t tr_block_at(const struct translator *t, uint64_t host_pc);
void tr_block_insert(struct translator *t, uint32_t index);
void tr_block_kill(struct translator *t, uint32_t index);

static inline int8_t *tr_heat(const struct translator *t, uint64_t va, gpa_t gpa)
{
	return &t->heat[(gpa ^ gpa >> 16 ^ va >> 12) & (TR_HEAT_SIZE - 1)];
}

/* ---- translate.c -------------------------------------------------------------------------------
 */
/* --trace code: what happens to a block. */
void tr_trace(const struct translator *t, const char *what, const struct tr_block *b);
/* Makes the GS base that of the current view. */
void tr_set_gs(struct translator *t, struct bt_vcpu *v);

/* ---- links.c -----------------------------------------------------------------------------------
 */
void tr_link_to(struct translator *t, uint32_t link, uint32_t target);
/* The same for a link that depends on the mapping of another page, which has just been looked up;
 * false: it may not be linked now. */
bool tr_link_far(struct translator *t, uint32_t link, uint32_t target);
void tr_unlink_incoming(struct translator *t, uint32_t block);
void tr_unlink_outgoing(struct translator *t, uint32_t block);
/* Code of this view is about to run, after other views' code. */
void tr_links_enter(struct translator *t, struct bt_view *view);
/* The current view's, for direct or for other jumps; every view's. */
void tr_jc_fill(struct translator *t, bool direct, const struct tr_block *b);
void tr_jc_drop(struct translator *t, const struct tr_block *b);

/* ---- stack.c ----------------------------------------------------------------------------------
 */
void tr_stack_emit(struct emit *e, struct translator *t);

/* ---- thread.c ---------------------------------------------------------------------------------
 */
/* Before translated code goes on where the view or the FS base may be another one. */
void tr_thread_refresh(struct bt_vcpu *v);

/* ---- stubs.c ------------------------------------------------------------------------------------
 */
void tr_stubs_emit(struct translator *t);

/* ---- block.c ------------------------------------------------------------------------------------
 */
/* Translates at v->rip; TR_NONE if the first instruction there cannot be. */
uint32_t tr_translate(struct translator *t, uint64_t va, gpa_t gpa, const uint8_t *host,
		      uint32_t mode);
/* The same for an instruction that goes on in the page at `rest`. */
uint32_t tr_translate_crossing(struct translator *t, uint64_t va, gpa_t gpa, const uint8_t *host,
			       gpa_t rest, const uint8_t *rest_host, uint32_t mode);

/* ---- recover.c ----------------------------------------------------------------------------------
 */
/* Dead status flags before the instruction at `off` of a block, as far as its code from `since` on
 * tells them, into v->rflags. The registers are those before it, too; all_dead: no flag of
 * v->rflags counts. */
void tr_recover_flags(struct translator *t, const struct tr_block *b, unsigned since, unsigned off,
		      bool all_dead);

/* ---- helpers.c: C that translated code calls; each returns where to continue, NULL to leave -----
 */
const uint8_t *tr_help_slow(struct bt_vcpu *v, uint32_t site);
const uint8_t *tr_help_interp(struct bt_vcpu *v, uint32_t site);
const uint8_t *tr_help_link(struct bt_vcpu *v, uint32_t link);
const uint8_t *tr_help_far(struct bt_vcpu *v, uint32_t link);
const uint8_t *tr_help_jump(struct bt_vcpu *v, uint32_t site);
const uint8_t *tr_help_window(struct bt_vcpu *v, uint32_t site);
const uint8_t *tr_help_chase(struct bt_vcpu *v, uint32_t site); /* chase.c */
const uint8_t *tr_help_plain(struct bt_vcpu *v, uint32_t link);
const uint8_t *tr_help_poll(struct bt_vcpu *v, uint32_t block);
const uint8_t *tr_help_fault(struct bt_vcpu *v, uint32_t unused);
/* Goes on behind the check of an access at SCR_T0, with the operand at `host`. */
const uint8_t *tr_site_resume(const struct translator *t, struct bt_vcpu *v,
			      const struct tr_site *s, const void *host);
/* Another translation of a block's code from `off` on, with `bits` in its key; makes v->rip that
 * address. */
uint32_t tr_find_other(struct translator *t, struct bt_vcpu *v, uint32_t block, unsigned off,
		       uint32_t bits);

/* ---- cross.c ------------------------------------------------------------------------------------
 */
/* Where to go on with an access at SCR_T0 if it is one to memory in two pages, else NULL. */
const uint8_t *tr_cross(struct translator *t, struct bt_vcpu *v, struct tr_site *s);
/* What the slow paths of loads and stores of up to CROSS_WIDEST bytes begin with: cross_stub.c. */
#define CROSS_WIDEST 32
void tr_cross_emit(struct emit *e, struct translator *t);
/* Host code for v->rip, or NULL when the run loop must act: cold, unmapped or odd code, a request.
 */
const uint8_t *tr_dispatch(struct bt_vcpu *v);

/* ---- signal.c -----------------------------------------------------------------------------------
 */
/* Address of the guest instruction that host code at `pc` in the block belongs to. */
uint64_t tr_guest_rip(const struct translator *t, const struct tr_block *b, uint64_t pc);
bool tr_host_fault(struct bt_vcpu *v, siginfo_t *si, ucontext_t *uc);

#endif
