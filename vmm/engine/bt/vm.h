/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the translation engine share besides the vCPU: the VM, its pages of code, its
 * timer thread, and the few library functions that leave vector registers alone.
 */
#ifndef VMM_ENGINE_BT_VM_H
#define VMM_ENGINE_BT_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/bt/vcpu.h"
#include "vmm/engine/engine.h"

/* CR0, CR4, EFER and EFLAGS bits (Intel SDM volume 3A section 2.5). */
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define FL_CF   0x1u
#define FL_PF   0x4u
#define FL_AF   0x10u
#define FL_ZF   0x40u
#define FL_SF   0x80u
#define FL_TF   0x100u
#define FL_IF   0x200u
#define FL_DF   0x400u
#define FL_OF   0x800u
#define FL_IOPL 0x3000u
#define FL_NT   0x4000u
#define FL_RF   0x10000u
#define FL_VM   0x20000u
#define FL_AC   0x40000u
#define FL_VIF  0x80000u
#define FL_VIP  0x100000u
#define FL_ID   0x200000u
#define FL_ONE  0x2u

#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR7_GD (1u << 13)

#define BT_PAGE      4096ull
#define BT_PAGE_MASK (~(BT_PAGE - 1))

/*
 * One page of guest RAM or ROM as code.c sees it. `version` changes whenever bytes that were
 * decoded from the page change; what was decoded under another version is void.
 */
struct bt_page {
	_Atomic uint32_t version;
	_Atomic uint32_t is_code; /* write tags are withheld */
	uint16_t hits, last_hit;  /* stores to marked bytes elsewhere than the last; code_lock */
};

/* Indices plus one of TLB entries that may have a vCPU's write tags of one page: places.c. */
#define BT_PLACES      4
#define BT_PLACES_MANY (BT_PLACES + 1)
struct bt_places {
	uint32_t at[BT_PLACES];
};

struct bt_slot {
	gpa_t gpa;
	uint64_t size;
	uint8_t *host;
	bool readonly;
	struct bt_page *page; /* one each */
	uint8_t *bits;        /* one bit per byte: decoded or translated */
};

enum bt_tier {
	BT_TIER_INTERP,
	BT_TIER_TRANSLATE,
	BT_TIER_LOCKSTEP
};

#define BT_MAX_VCPUS 64

/* Wakes running vCPUs when their APIC timers are due (run.c). */
struct bt_ticker {
	pthread_t thread;
	_Atomic bool started;
	_Atomic uint32_t wake; /* futex: bumped to make the thread look again */
	_Atomic uint64_t next; /* host time it sleeps to; UINT64_MAX: for ever */
	_Atomic bool stop;
};

struct bt_vm {
	struct engine_config cfg;
	struct engine_machine machine;
	enum bt_tier tier;
	bool exact_flags; /* no exception finds status flags clobbered: slower, see flags.c */
	bool trace_exits, trace_events; /* accesses to devices; exceptions and interrupts */
	bool trace_code;                /* blocks translated and dropped */
	struct bt_slot slot[MEM_MAX_SLOTS];
	unsigned nslots;
	struct bt_vcpu *vcpu[BT_MAX_VCPUS];
	_Atomic int code_lock;  /* bt_page, code bits and queues of protected pages */
	_Atomic int split_lock; /* locked accesses that no host instruction can do */
	_Atomic bool extint;    /* the PIC's output */
	struct bt_ticker ticker;
	uint64_t stopped_tsc; /* host TSC at vm_stopped() */
	bool stopped;
	unsigned long bad_msr;     /* guest misdeeds, see log_guest_error() */
	void *translate;           /* owned by translate/ */
	struct lockstep *lockstep; /* lockstep/; NULL in the other tiers */
};

static inline struct bt_slot *bt_slot_find(struct bt_vm *vm, gpa_t gpa)
{
	for (unsigned i = 0; i < vm->nslots; i++)
		if (gpa - vm->slot[i].gpa < vm->slot[i].size)
			return &vm->slot[i];
	return NULL;
}

static inline struct bt_page *bt_slot_page(struct bt_slot *s, gpa_t gpa)
{
	return &s->page[(gpa - s->gpa) / BT_PAGE];
}

/* ---- local.c: no vector registers, unlike the C library (memcpy and its kin: bytes.c)
 * ------------ */
long bt_syscall(long nr, long a, long b, long c, long d);
void bt_lock(_Atomic int *lock);
void bt_unlock(_Atomic int *lock);
uint64_t bt_rdtsc(void);

/* ---- mmu.c ------------------------------------------------------------------------------------
 */
int bt_views_init(struct bt_vcpu *v, struct err *e);
void bt_views_fini(struct bt_vcpu *v);
/* Makes the view of the current paging state and privilege current. */
void bt_view_select(struct bt_vcpu *v);
bool bt_load_pdptes(struct bt_vcpu *v, uint64_t cr3); /* false: #GP, a reserved bit is set */
/* Physical memory by any address, RAM or device. */
void bt_phys_read(struct bt_vcpu *v, gpa_t gpa, void *buf, unsigned size);
void bt_phys_write(struct bt_vcpu *v, gpa_t gpa, const void *buf, unsigned size);
/* PCID-wide flushes of INVPCID and of MOV CR3. */
void bt_flush_pcid(struct bt_vcpu *v, unsigned pcid);

/* ---- places.c ---------------------------------------------------------------------------------
 */
/*
 * reserve.c: memory that costs nothing where it is not touched. A file's, since of other memory a
 * host may give 2 MiB for one byte; its name tells in /proc/PID/smaps what it is for. -1 and NULL:
 * errno.
 */
int bt_create_file(const char *name, size_t size);
void *bt_reserve(const char *name, size_t size);
void bt_release(void *p, size_t size); /* NULL: nothing */

int bt_places_init(struct bt_vcpu *v, struct err *e);
void bt_places_fini(struct bt_vcpu *v);
/* A write tag of the page at `gpa` is in the entry `index` of a view's TLB now. */
void bt_places_note(struct bt_vcpu *v, const struct bt_slot *s, gpa_t gpa, unsigned index);
/* The number of indices where there may be any, and forgets them. BT_PLACES_MANY: anywhere. */
unsigned bt_places_take(struct bt_vcpu *v, const struct bt_slot *s, gpa_t gpa,
			unsigned index[BT_PLACES]);

/* ---- code.c -----------------------------------------------------------------------------------
 */
int bt_code_init(struct bt_vm *vm, struct err *e);
void bt_code_fini(struct bt_vm *vm);
/*
 * Before bytes of the page at `gpa` are decoded: makes sure that no vCPU stores to it but through
 * bt_code_written(), and takes vm->code_lock. Read the bytes, mark those that were decoded (inside
 * this page), call bt_code_end(). What was decoded is good while page->version is what it was under
 * the lock. NULL and no lock taken if it is not memory.
 */
struct bt_page *bt_code_begin(struct bt_vcpu *v, gpa_t gpa);
void bt_code_mark(struct bt_vm *vm, gpa_t gpa, unsigned len);
void bt_code_end(struct bt_vcpu *v);
/* No byte of [gpa, gpa+len), inside one page, has been decoded, and only this vCPU could do so: a
 * store there changes no code. */
bool bt_code_is_data(struct bt_vm *vm, gpa_t gpa, unsigned len);
/* The same event as bt_code_written() from any thread that is no vCPU (DMA). */
void bt_code_dma(void *vm, gpa_t gpa, uint64_t len);
/* A device's memory has another address in cfg.mem; no vCPU runs guest code. */
void bt_code_moved(struct bt_vm *vm, unsigned slot);
/* Takes over what other vCPUs have asked to protect. On the vCPU's thread, between instructions. */
void bt_code_sync(struct bt_vcpu *v);
int bt_icache_init(struct bt_vcpu *v, struct err *e);
void bt_icache_fini(struct bt_vcpu *v);

/* ---- run.c ------------------------------------------------------------------------------------
 */
enum run_result bt_run(struct bt_vcpu *v);
void bt_request(struct bt_vcpu *v, uint32_t bits); /* any thread: sets and wakes */
/* Starts the thread unless it runs. The first vCPU that runs does it: see machine_create(). */
int bt_ticker_start(struct bt_vm *vm, struct err *e);
void bt_ticker_stop(struct bt_vm *vm);
void bt_deliver_message(struct bt_vm *vm, uint64_t addr, uint32_t data); /* MSI, any thread */
void bt_reset_vcpu(struct bt_vcpu *v, bool init); /* power-on state, or what INIT leaves */
uint64_t bt_clock_ns(struct bt_vcpu *v);
void bt_kvmclock_update(struct bt_vcpu *v); /* writes the guest's time page anew */
void bt_kvmclock_wall(struct bt_vcpu *v);
extern const struct lapic_ops bt_lapic_ops;

/* The TSC as instructions read it. */
uint64_t bt_read_tsc(struct bt_vcpu *v);

/* Guest-visible TSC. */
static inline uint64_t bt_guest_tsc(const struct bt_vcpu *v)
{
	return bt_rdtsc() + v->tsc_offset;
}

/* ---- interp/ ----------------------------------------------------------------------------------
 */
typedef bool bt_handler(struct bt_vcpu *v, const struct x86_insn *in);
/* Executes until `requests` is non-zero, the vCPU halts, or `budget` instructions are done. */
void bt_interpret_some(struct bt_vcpu *v, unsigned budget);
/* The handler for a decoded instruction, with checks in front where they depend on state. */
bt_handler *bt_handler_of(struct bt_vm *vm, const struct x86_insn *in);

/* ---- state of the current instruction -------------------------------------------------------- */
static inline bool bt_long(const struct bt_vcpu *v)
{
	return v->efer & EFER_LMA;
}
static inline bool bt_protected(const struct bt_vcpu *v)
{
	return (v->mode & (BT_MODE_PE | BT_MODE_V86)) == BT_MODE_PE;
}
static inline bool bt_canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* Replaces RFLAGS and looks for an interrupt that IF now lets through. */
void bt_set_rflags(struct bt_vcpu *v, uint64_t fl);

/* ---- stats.c ----------------------------------------------------------------------------------
 */
void bt_stats(struct engine_vm *vm, stat_fn *fn, void *opaque);

/* ---- profile.c --------------------------------------------------------------------------------
 */
void bt_profile(struct bt_vcpu *v, struct profile *p);
void bt_sample(struct bt_vcpu *v);
/* In a signal handler on the vCPU's thread. */
void bt_take_sample(struct bt_vcpu *v, uint64_t host_rip);

/* ---- features (features.c) --------------------------------------------------------------------
 */

/* Takes away what the host's processor has and this engine does not (engine_ops.cpu_features). */
int bt_cpu_features(bool has[X86_NFEATURES], struct err *e);

#endif
