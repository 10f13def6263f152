/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware virtualization: VMs and vCPUs as Linux's KVM interface shows them (linux/kvm.h), over
 * AMD-V or VT-x. Files are VMs and vCPUs; a VM's memory is its owner's, mapped a second time for
 * the guest.
 *
 *   kvm.c vm.c vcpu_calls.c   the ioctls        svm.c vmx.c      the processor's side
 *   run.c                     the exits         npt.c            guest-physical to physical
 *   irqchip.c pic.c ...       interrupts        emulate.c        instructions that touch devices
 */
#ifndef KERNEL_HV_HV_H
#define KERNEL_HV_HV_H

#include <linux/kvm.h>

#include "kernel/hv/bits.h"
#include "kernel/hv/chips.h"
#include "kernel/mm/space.h"
#include "kernel/sched/sched.h"
#include "x86/insn.h"
#include "x86/lapic.h"
#include "x86/state.h"

#define HV_MAX_VCPUS    64
#define HV_MAX_SLOTS    32
#define HV_MAX_CPUID    100
#define HV_MAX_IOEVENTS 64

struct hv_vcpu;
struct hv_vm;

/* Why the guest stopped, in terms that both kinds of processors have. */
enum hv_exit {
	EXIT_AGAIN, /* nothing to do: an interrupt of the host, a window */
	EXIT_CPUID,
	EXIT_MSR_READ,
	EXIT_MSR_WRITE,
	EXIT_HLT,
	EXIT_IO,
	EXIT_PAGE, /* second-level fault */
	EXIT_SHUTDOWN,
	EXIT_HYPERCALL,
	EXIT_XSETBV,
	EXIT_SKIP,       /* WBINVD and the like: does nothing */
	EXIT_UNDEFINED,  /* #UD: virtualization instructions and what the guest was not promised */
	EXIT_PROTECTION, /* #GP(0) */
	EXIT_DEBUG,      /* #DB that a debugger wants; error: bits of DR6 */
	EXIT_BREAKPOINT, /* INT3 that a debugger wants */
	EXIT_MOV,        /* to or from a debug register meanwhile, or to CR8 */
	EXIT_FAILED,     /* the processor refused the state */
};

struct hv_exit_info {
	enum hv_exit kind;
	uint64_t next_rip;
	uint64_t gpa;   /* EXIT_PAGE */
	bool gpa_final; /* gpa is of the access itself, not of a page table */
	uint64_t error; /* bits of a page fault: 1 present, 2 write, 16 fetch */
	uint16_t port;  /* EXIT_IO */
	uint8_t size;
	bool in, string, rep;
	uint64_t reason; /* the hardware's number, for messages */
};

/* What differs between processors. All run on the vCPU's thread. */
struct hv_ops {
	const char *name;
	uint64_t page_bits;  /* of second-level entries that map a page, beside rights and size */
	bool (*probe)(void); /* can this CPU do it? */
	int (*enable_cpu)(void); /* turn it on, on this CPU */
	size_t hw_size;          /* of hv_vcpu.hw */
	int (*vcpu_init)(struct hv_vcpu *v);
	/* Architectural state to and from the hardware's structure. */
	void (*load)(struct hv_vcpu *v);
	void (*save)(struct hv_vcpu *v);
	/* To `s` what decoding and page tables need; the hardware keeps it. */
	void (*peek)(struct hv_vcpu *v);
	/* Another thread may run here, or this one elsewhere; NULL: nothing to do. */
	void (*release)(struct hv_vcpu *v);
	/* One entry, interrupts off. v->inject has been set by inject(). */
	void (*run)(struct hv_vcpu *v, struct hv_exit_info *x);
	bool (*interruptible)(struct hv_vcpu *v);
	void (*inject)(struct hv_vcpu *v, uint32_t event, uint32_t error); /* EVENT() */
	void (*request_window)(struct hv_vcpu *v);
	/* While the state is in the hardware; also ends an interrupt shadow. */
	void (*skip)(struct hv_vcpu *v, uint64_t next_rip);
};

/* MSRs that a guest reaches directly: the processor swaps them, or this kernel does. */
extern const uint32_t hv_direct_msrs[10];

struct hv_slot {
	uint64_t gpa, size, hva;
	unsigned flags;
	uint64_t *dirty; /* a bit a page, with KVM_MEM_LOG_DIRTY_PAGES */
};

/* An access that the owner completes before the next entry. */
enum hv_pending {
	PENDING_NONE,
	PENDING_IN, /* port read: the value goes to RAX or memory */
	PENDING_OUT,
	PENDING_STRING_IN, /* INS: memory takes it */
	PENDING_MMIO,      /* the instruction is executed again with the value that was read */
};

struct hv_mmio {
	bool gpa_known;                 /* io.gpa is where the access goes: no walk is needed */
	bool decoded;                   /* insn is the instruction, which is executed again */
	struct x86_insn insn;           /* the last that was decoded, */
	uint8_t code[X86_MAX_INSN_LEN]; /* from these bytes */
	/* Accesses that the owner has done for it, what it gave for reads, and the next of them to
	 * be used. A vector across pages has five. */
	unsigned answered, next;
	uint64_t answer[8];
};

struct hv_vcpu {
	struct hv_vm *vm;
	unsigned index;
	struct x86_cpu_state s; /* valid while !in_hardware */
	bool in_hardware; /* segments, control registers, MSRs live in the processor's structure */
	uint64_t hw_page; /* the processor's structure */
	void *hw;         /* what else svm.c or vmx.c knows of it */
	struct lapic lapic;
	struct ktimer timer;
	bool timer_fired;
	bool nmi_pending, nmi_masked;
	bool init_pending, sipi_pending;
	uint8_t sipi_vector;
	struct { /* an event to be delivered before others */
		uint32_t event, error;
	} again;

	struct spinlock lock;  /* guards thread */
	struct thread *thread; /* in KVM_RUN */
	bool busy;             /* one ioctl at a time */
	struct waitq wait;
	volatile bool in_guest; /* from the last look at requests to the exit */
	volatile bool flush;    /* forget second-level translations */
	int last_cpu;

	struct memobj *run_pages; /* the owner maps them */
	struct kvm_run *run;      /* the first */
	void *port_data;          /* the second */
	enum hv_pending pending;
	struct hv_exit_info io;
	struct hv_mmio mmio;
	void *guest_fpu;
	bool fpu_loaded;
	bool dr_loaded; /* DR0 to DR3, too, or they will be with it */

	struct kvm_cpuid_entry2 cpuid[HV_MAX_CPUID];
	unsigned ncpuid;
	uint64_t tsc_offset;
	struct {                  /* see debug.c */
		uint32_t control; /* KVM_GUESTDBG_* */
		uint64_t dr[8];   /* with USE_HW_BP the processor's, instead of the guest's */
		uint64_t own_tf;  /* TF, if the guest has it not */
	} debug;
	bool step_ends; /* an instruction has been emulated with TF on */
	uint64_t exits;
};

struct hv_ioevent {
	struct file *file;
	uint64_t addr, datamatch;
	unsigned len;
	bool port, match;
};

struct hv_vm {
	uint32_t refs;
	const struct hv_ops *ops;
	struct space *space;
	struct space_watcher watcher;
	uint64_t *npt; /* changes under space->lock, as slots and their logs do */
	struct hv_slot slot[HV_MAX_SLOTS];
	unsigned nslots;                    /* up to the last that was ever used */
	struct spinlock lock;               /* chips, events */
	struct hv_vcpu *vcpu[HV_MAX_VCPUS]; /* once there, they stay as long as the VM */
	uint64_t has_file;                  /* a bit each: made for the owner */
	bool has_chips;
	struct hv_chips chips;
	struct hv_ioevent ioevent[HV_MAX_IOEVENTS];
	unsigned nioevents;   /* up to the last that was ever used */
	int64_t clock_offset; /* kvmclock = now_ns() + offset */
	uint64_t tsc_base;    /* host TSC when the VM was made: where guests' TSCs begin */
};

/* Goes over a VM's vCPUs that there are. */
#define VCPUS(v, vm)                                                                         \
	for (struct hv_vcpu * v, **at_ = (vm)->vcpu; at_ < (vm)->vcpu + HV_MAX_VCPUS; at_++) \
		if ((v = *at_))

/* The processor's side, chosen once; NULL: no hardware virtualization. */
const struct hv_ops *hv_ops(void);
int64_t hv_check_extension(struct hv_vm *vm, void *data, uint64_t cap);
void hv_init(void); /* makes /dev/kvm if the CPU can */
extern const struct hv_ops hv_svm, hv_vmx;

/* ---- files ----------------------------------------------------------------------------------- */

int64_t vm_create_file(void);
int64_t vcpu_create_file(struct hv_vm *vm, unsigned index);
void vcpu_free(struct hv_vcpu *v); /* with its VM */
void vm_get(struct hv_vm *vm);
void vm_put(struct hv_vm *vm);

/* An ioctl: number with size and direction, handler. Data is copied in and out around it. */
struct hv_call {
	unsigned cmd;
	union {
		int64_t (*vm)(struct hv_vm *vm, void *data, uint64_t arg); /* or /dev/kvm's */
		int64_t (*vcpu)(struct hv_vcpu *v, void *data, uint64_t arg);
	};
	bool raw; /* `arg` is a number or a structure of variable size */
};
/* `v` NULL: a call of a VM, or of /dev/kvm, whose `vm` is NULL. */
int64_t hv_dispatch(const struct hv_call *calls, unsigned n, struct hv_vm *vm, struct hv_vcpu *v,
		    unsigned cmd, uint64_t arg);

/* ---- memory ---------------------------------------------------------------------------------- */

const struct hv_slot *vm_find_slot(struct hv_vm *vm, uint64_t gpa);
int npt_init(struct hv_vm *vm);
void npt_fini(struct hv_vm *vm);
/* Maps the page of a fault; 0, -ENOENT (no memory there: a device), or another errno. */
int npt_fault(struct hv_vm *vm, uint64_t gpa, bool write);
/* Forgets a range of guest-physical addresses and makes every vCPU forget it. Lock held. */
void npt_unmap(struct hv_vm *vm, uint64_t gpa, uint64_t len);
/* Moves a slot's log to the owner. */
int npt_get_dirty(struct hv_vm *vm, unsigned slot, uint64_t bitmap);
int guest_read(struct hv_vm *vm, uint64_t gpa, void *to, size_t n);
int guest_write(struct hv_vm *vm, uint64_t gpa, const void *from, size_t n);
/* Linear to guest-physical by the guest's page tables; -EFAULT with *error for its #PF. Needs `s`
 * or a peek at it. */
int walk_guest(struct hv_vcpu *v, uint64_t linear, bool write, uint64_t *gpa, uint32_t *error);

/* ---- running --------------------------------------------------------------------------------- */

int64_t vcpu_run(struct hv_vcpu *v);
/* Out of the guest or its wait, to look at requests. From anywhere. */
void vcpu_kick(struct hv_vcpu *v);
void vcpu_state_to_cpu(struct hv_vcpu *v);            /* s is about to be read or changed */
void vcpu_put_fpu(struct hv_vcpu *v);                 /* guest_fpu is about to be read or changed */
void vcpu_skip(struct hv_vcpu *v, uint64_t next_rip); /* past an instruction that is done */
/* An event whose delivery ended in an exit. */
void vcpu_remember_event(struct hv_vcpu *v, uint32_t event, uint32_t error);
void vcpu_inject_exception(struct hv_vcpu *v, unsigned vector, bool has_error, uint32_t error);

int exit_cpuid(struct hv_vcpu *v, const struct hv_exit_info *x);
struct kvm_cpuid_entry2 *find_cpuid(struct hv_vcpu *v, uint32_t leaf, uint32_t sub);
int64_t supported_cpuid(struct hv_vm *vm, void *data, uint64_t arg);
/* False: #GP. `host`: by ioctl, where more is allowed. */
bool msr_get(struct hv_vcpu *v, uint32_t msr, uint64_t *val);
bool msr_set(struct hv_vcpu *v, uint32_t msr, uint64_t val, bool host);
/* Of `s`, where an MSR is kept that is nothing else; NULL: it is none. */
uint64_t *msr_field(struct hv_vcpu *v, uint32_t msr);
void kvmclock_update(struct hv_vcpu *v);
uint64_t guest_tsc(const struct hv_vcpu *v);
/* After power-on or INIT (Intel SDM vol. 3, table 11-1), which leaves memory types, vectors, time
 * and the system-call registers alone. */
void vcpu_reset(struct hv_vcpu *v, bool init);

/* Tells the owner of an access to a port; gives 1. */
int port_to_owner(struct hv_vcpu *v, const struct hv_exit_info *x, uint64_t val);
/* Executes the instruction at RIP that touched a device. 1: the owner must act; 0: done; -errno. */
int emulate_mmio(struct hv_vcpu *v);
int emulate_string_io(struct hv_vcpu *v, const struct hv_exit_info *x);

/* ---- a debugger ------------------------------------------------------------------------------ */

#define HV_DEBUG_CONTROL                                                            \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |   \
	 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
	 KVM_GUESTDBG_BLOCKIRQ)

int64_t vcpu_set_debug(struct hv_vcpu *v, void *data, uint64_t arg);
/* What the processor has while the guest runs: DR0 to DR7, RFLAGS (which sets debug.own_tf). */
static inline const uint64_t *debug_registers(const struct hv_vcpu *v)
{
	return v->debug.control & KVM_GUESTDBG_USE_HW_BP ? v->debug.dr : v->s.dr;
}
uint64_t debug_flags(struct hv_vcpu *v);

/* MOV of debug registers leaves the guest: a debugger has them, or they are not loaded. */
static inline bool debug_moves_leave(const struct hv_vcpu *v)
{
	return v->debug.control || !v->dr_loaded;
}

/* Exceptions that leave the guest, as a bit map. */
static inline uint32_t debug_exceptions(const struct hv_vcpu *v)
{
	uint32_t trap = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;

	return (v->debug.control & trap ? 1u << VECTOR_DB : 0) |
	       (v->debug.control & KVM_GUESTDBG_USE_SW_BP ? 1u << VECTOR_BP : 0);
}
int debug_end_step(struct hv_vcpu *v);
int exit_debug(struct hv_vcpu *v, const struct hv_exit_info *x);
/* False: #GP. */
bool vcpu_write_cr8(struct hv_vcpu *v, uint64_t val);
int exit_mov(struct hv_vcpu *v, const struct hv_exit_info *x);

/* ---- interrupts ------------------------------------------------------------------------------ */

void vcpu_lapic_init(struct hv_vcpu *v);
/* A message to APICs, as an MSI. vm->lock must not be held by the caller's lapic. */
void deliver_msi(struct hv_vm *vm, uint64_t addr, uint32_t data);
void ioevent_free(struct hv_vm *vm);
bool ioevent_signal(struct hv_vm *vm, bool port, uint64_t addr, unsigned len, uint64_t value);
int64_t vm_ioeventfd(struct hv_vm *vm, void *data, uint64_t arg);

#endif
