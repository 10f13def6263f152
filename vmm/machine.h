/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine: everything wired together, and its run state.
 *
 * One lock, the machine lock, guards buses, devices and run state. The event loop holds it during
 * callbacks, vCPU threads take it for each device access. Guest memory needs no lock.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <pthread.h>

#include "vmm/backend/display.h"
#include "vmm/backend/vnc/vnc.h"
#include "vmm/boot/image.h"
#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/control/control.h"
#include "vmm/device.h"
#include "vmm/engine/engine.h"
#include "vmm/loop.h"
#include "vmm/memory.h"
#include "vmm/spec.h"

struct disk;
struct netdev;
struct nvram;

/* Exit statuses of baton-vmm besides the guest's own (debug-exit). */
#define MACHINE_STATUS_OK      0 /* the guest powered off, or the user ended it */
#define MACHINE_STATUS_ERROR   1 /* Baton could not start or go on */
#define MACHINE_STATUS_CRASHED 3 /* triple fault */

struct machine;
struct save;

enum vcpu_state {
	VCPU_PARKED,
	VCPU_RUNNING,
	VCPU_GONE
};

/* One virtual processor and its thread. */
struct vcpu {
	struct machine *machine;
	struct engine_vcpu *engine;
	pthread_t thread;
	unsigned index;
	bool has_thread;
	bool stays;        /* parked by the debugger while others run */
	bool crash_told;   /* the debugger knows of its triple fault */
	bool stop_pending; /* `stop` has not been told to the debugger */
	struct engine_stop stop;
	enum vcpu_state state; /* changes under the machine lock, announced by machine->parked */
};

#define MACHINE_MAX_BACKENDS (SPEC_MAX_NETS + SPEC_MAX_DEVICES + 2)

struct machine {
	const struct spec *spec;
	pthread_mutex_t lock;
	struct loop *loop;
	struct vm_clock clock;
	struct guest_memory mem;
	struct bus pio, mmio;

	const struct engine_ops *engine;
	char engine_why[256]; /* why this engine was taken, one sentence */
	struct cpu_model cpu;
	struct engine_machine engine_calls;
	struct engine_vm *vm;
	struct irqchip *irqchip;  /* NULL when the engine has its own */
	struct device *fpu_error; /* beside it */
	struct irq_router engine_router;
	const struct irq_router *irq;

	struct device_env env;
	struct device *devices, **devices_end;
	unsigned merges;        /* of disk images, under way */
	struct device *acpi_pm; /* for the power button */
	struct display display;
	struct input input;
	struct vnc *vnc;       /* NULL: nobody serves the screen */
	struct typing *typing; /* keys on their way (sendkeys.c), or NULL */
	struct {
		uint8_t *data; /* the video BIOS, NULL: none */
		uint64_t size;
	} video_bios;
	gpa_t memory_wanted[MEM_MAX_SLOTS]; /* of devices' memory: where it shall go */
	bool memory_moves;                  /* move_memory() waits for the main thread */
	struct device *fwcfg;
	bool timers_replaced; /* see device_env */
	struct boot_files boot_files;
	gpa_t rom_start;     /* of the firmware's ROM, 4 GiB if there is none */
	gpa_t flash;         /* of the ROM slot with UEFI's variables */
	struct nvram *nvram; /* its content, NULL: none */
	struct machine_boot_entry {
		unsigned rank;
		char path[80];
	} bootable[SPEC_MAX_DISKS + SPEC_MAX_NETS]; /* see machine_note_bootable() */
	unsigned nbootable;
	struct machine_drive {
		struct disk *disk;     /* NULL: CD-ROM drive without a disc */
		struct device *device; /* and which of its drives this is */
		unsigned unit;
		char *path;      /* of the image that is in it now */
	} drive[SPEC_MAX_DISKS]; /* as in spec->disks */
	struct {
		char problem[160]; /* why the machine waits for space; "": it does not */
		struct loop_timer timer;
	} full; /* see diskfull.h */
	struct machine_backend {
		void (*destroy)(void *);
		void *backend;
	} backend[MACHINE_MAX_BACKENDS];
	unsigned nbackends;
	struct netdev *net[SPEC_MAX_NETS]; /* as in spec->nets, owned by backend[] */

	struct vcpu vcpu[SPEC_MAX_CPUS];
	unsigned nvcpus;
	pthread_cond_t parked;           /* a vCPU stopped running */
	pthread_cond_t released;         /* holds, reset_wanted or ending changed */
	unsigned holds;                  /* vCPUs stay parked while > 0 */
	bool user_paused;                /* one of the holds is the user's */
	bool reset_wanted;               /* the guest asked; vCPUs park until it is done */
	bool debug_wanted;               /* a vCPU stopped for the debugger; the others park too */
	struct machine_profile *profile; /* machineprofile.c; NULL: none is being taken */
	struct machine_gdb *gdb;         /* machinegdb.c; NULL: no stub is open */
	bool ended;                      /* machine_end() was called; vCPUs park */
	const char *end_reason;          /* for vmm/record.h; NULL: the status tells */
	bool ending;                     /* vCPU threads shall return */
	struct save *save;               /* being written (vmm/snapshot/methods.c), or NULL */
};

/*
 * Builds the whole machine from a checked description. On an error nothing is left. No thread is
 * started: what this one gives up (vmm/sandbox/sandbox.h) before machine_run() all others lack.
 */
int machine_create(struct machine **out, const struct spec *s, struct err *e);
void machine_destroy(struct machine *m);

/* Starts the vCPUs and serves events until the machine ends; returns the exit status. */
int machine_run(struct machine *m);

/* Ends machine_run() with this status, soon. Machine lock held. */
void machine_end(struct machine *m, int status);

/* Run state; machine lock held, main thread only. */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
void machine_reset(struct machine *m);
void machine_power_button(struct machine *m);

/* The tables for control_open(), with the machine as `opaque`. */
struct control_method;
extern const struct control_method *const machine_control[];

/* ---- between the machine's own files ----------------------------------------------------------
 */

int machine_create_devices(struct machine *m, struct err *e);
/* Creates one device and appends it to the list; `out` may be NULL. */
int machine_add_device(struct machine *m, struct device_conf *conf, struct device **out,
		       struct err *e);
void machine_reset_devices(struct machine *m);
void machine_destroy_devices(struct machine *m);
/* Loads kernel or firmware and sets the vCPUs' initial state: at start and at each reset. */
int machine_boot(struct machine *m, struct err *e);
void machine_kick(struct machine *m); /* every running vCPU looks at the run state again */
int machine_start_vcpus(struct machine *m, struct err *e);
void machine_stop_vcpus(struct machine *m);
/* Every counter: buses, devices, engine. Lock held. */
void machine_stats(struct machine *m, stat_fn *fn, void *opaque);
/* What a device asks of the machine (device_env.event). */
void machine_event(void *opaque, enum machine_event ev, int status);

/* device_env.move_memory */
void machine_move_memory(void *opaque, unsigned slot, gpa_t gpa);
/* Reads the video BIOS, if the machine has a graphics adapter. */
int machine_load_video_bios(struct machine *m, struct err *e);
/* Serves the screen, if the description asks for it. */
int machine_open_vnc(struct machine *m, struct err *e);

extern const struct control_method display_methods[]; /* displays.c */
extern const struct control_method sendkey_methods[]; /* sendkeys.c */
void machine_typing_cancel(struct machine *m);

/* All vCPUs out of guest code and the clock standing, while holds > 0. Main thread, lock held. */
void machine_hold(struct machine *m);
void machine_release(struct machine *m);

#endif
