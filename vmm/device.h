/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device model has in common.
 *
 * A model is a constant table of operations. All that a save must hold lives in one inner struct
 * (`hw`), described by a state table; host-side things (timers, lines, back ends) live outside it
 * and are derived again after a load. Devices receive their surroundings, they never fetch them;
 * they run with the machine lock held.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include "base/err.h"
#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/irq.h"
#include "vmm/loop.h"
#include "vmm/memory.h"
#include "vmm/state/state.h"
#include "vmm/stats.h"

struct pci_host;

/* What the guest may ask of the machine as a whole. Any thread; takes effect soon. */
enum machine_event {
	MACHINE_POWEROFF,
	MACHINE_RESET,
	MACHINE_EXIT, /* with the guest's own status */
};

/* A device's surroundings. */
struct device_env {
	struct bus *pio, *mmio;
	struct guest_memory *mem;
	struct vm_clock *clock;
	struct loop *loop;
	const struct irq_router *irq;
	struct pci_host *pci;  /* NULL while the host bridge itself is created */
	bool *timers_replaced; /* the HPET has the interrupts of PIT and RTC; NULL: there is none */
	void (*event)(void *opaque, enum machine_event ev, int status);
	/* Doorbells without an exit to the vCPU thread; see engine_ops.ioeventfd. */
	int (*ioeventfd)(void *opaque, int fd, gpa_t addr, unsigned size, bool add);
	/*
	 * The memory of a device (mem_add_device) shall be at `gpa` or MEM_UNMAPPED. It will, soon:
	 * until then, accesses arrive on the bus.
	 */
	void (*move_memory)(void *opaque, unsigned slot, gpa_t gpa);
	void *opaque;
};

/* key=value settings of one device; values are text, the getters below check them. */
#define DEVICE_MAX_PROPS 16
struct device_conf {
	const char *name;
	struct {
		const char *key, *value;
		bool used;
	} prop[DEVICE_MAX_PROPS];
	unsigned nprops;
	void *backend; /* struct disk, netdev, chardev...: as the model's header says; not owned */
};

struct device;

struct device_ops {
	const char *name;   /* in --device, specs and saved states */
	const char *help;   /* one line for `--device help` */
	bool takes_chardev; /* its back end, if any, is a struct chardev */
	int (*create)(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e);
	void (*reset)(struct device *d);
	void (*destroy)(struct device *d);
	const struct state_desc *state; /* NULL: nothing to save */
	void *(*hw)(struct device *d);  /* the struct that `state` describes */
	int (*loaded)(struct device *d,
		      struct err *e); /* check values, re-derive lines and timers */
	void (*stats)(struct device *d, stat_fn *fn,
		      void *opaque); /* optional: calls `fn` for each counter */
	/* Optional: the Open Firmware path by which PC firmware knows the drive `unit` of a device
	 * (fw_cfg file "bootorder"). */
	void (*boot_path)(struct device *d, unsigned unit, char *path, size_t len);
};

/* First member of every model's struct. */
struct device {
	const struct device_ops *ops;
	struct device *next; /* the machine's list, in creation order */
	unsigned instance;
};

/*
 * Settings. Each marks the key as used; device_conf_check() then refuses keys that nobody asked for
 * and names them. Values out of [min, max] are refused with the range.
 */
int device_conf_u64(struct device_conf *c, const char *key, uint64_t dflt, uint64_t min,
		    uint64_t max, uint64_t *out, struct err *e);
const char *device_conf_str(struct device_conf *c, const char *key, const char *dflt);
int device_conf_check(const struct device_conf *c, struct err *e);

/* All models, in the order they are listed by --device help; NULL-terminated. */
extern const struct device_ops *const device_models[];
const struct device_ops *device_find(const char *name);

#endif
