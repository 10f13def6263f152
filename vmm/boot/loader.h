/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel formats share: the job at hand, the format table, the start states. */
#ifndef VMM_BOOT_LOADER_H
#define VMM_BOOT_LOADER_H

#include "vmm/boot/boot.h"
#include "vmm/boot/image.h"

struct boot_job {
	const struct boot_config *cfg;
	struct boot_image kernel, initrd;
	bool has_initrd;
	struct guest_memory *mem;
	struct x86_cpu_state *bsp;
	gpa_t rsdp; /* of the ACPI tables that are in memory already */
};

struct boot_format {
	const char *name;
	bool takes_initrd, takes_modules;
	/* Does the file claim to be of this format? A claim that proves false later is an error. */
	bool (*claims)(const struct boot_image *i);
	int (*load)(struct boot_job *j, struct err *e);
};

extern const struct boot_format boot_linux, boot_multiboot, boot_pvh;

/* boot_load() after the files were opened: all that a test without files needs. */
int boot_load_images(struct boot_job *j, struct err *e);

/* Command line into memory at BOOT_CMDLINE, at most `max` bytes with its NUL. */
int boot_put_cmdline(struct boot_job *j, const char *text, uint64_t max, struct err *e);

/* Highest page-aligned address for `len` bytes in low RAM within [floor, ceiling). */
int boot_place(const struct boot_job *j, const char *what, uint64_t len, uint64_t floor,
	       uint64_t ceiling, gpa_t *out, struct err *e);

/* States. All first set the power-on state of processor 0. */
void boot_state_reset(struct x86_cpu_state *s, unsigned index);
void boot_state_protected(struct x86_cpu_state *s, gpa_t entry);
void boot_state_long(struct x86_cpu_state *s, gpa_t entry);

/* GDT that the two states above refer to, and the identity map of the first 4 GiB. */
int boot_put_tables(struct guest_memory *m, bool long_mode, struct err *e);

#endif
