/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start of a guest: puts kernel or firmware, tables and command line into guest memory and says in
 * which state the processors begin.
 *
 * Kernels are recognised by content: Linux bzImage, multiboot 1, ELF with a PVH entry note. Each
 * file is hostile: everything read from it is checked before use.
 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include "base/err.h"
#include "vmm/boot/image.h"
#include "vmm/memory.h"
#include "x86/state.h"

struct boot_config {
	const char *kernel, *initrd, *append; /* NULL when absent */
	const char *firmware;       /* "bios", "uefi" or a flat image; excludes the three above */
	const char *const *modules; /* multiboot: "FILE ARGS" */
	unsigned nmodules;
	const struct boot_files *files; /* of boot_open(), or NULL */
	unsigned nvcpus;
	uint8_t uuid[16]; /* zeros: none */
	bool text_screen; /* a VGA in text mode 3 is there */
	bool unpack;      /* a bzImage's kernel: the guest would take long */
};

/* Opens the files that `b` names; boot_files_close() later. */
void boot_open(const struct boot_config *b, struct boot_files *f);

/*
 * Before the engine sees the memory: adds the ROM slot that b->firmware (NULL: none) needs, so that
 * the image ends at 4 GiB; *below is where it starts. Its content comes with boot_load().
 */
int boot_prepare_memory(const struct boot_config *b, struct guest_memory *m, gpa_t *below,
			struct err *e);

/*
 * Fills memory and sets *bsp, the whole state of processor 0. Called at start and at each reset:
 * RAM may hold anything before.
 */
int boot_load(const struct boot_config *b, struct guest_memory *m, struct x86_cpu_state *bsp,
	      struct err *e);

/*
 * Makes `s`, a processor's state that boot_load() has set, that of processor `index` > 0: after
 * power-on, waiting for a start-up IPI. The memory types stay: all processors must agree on them.
 */
void boot_ap_state(struct x86_cpu_state *s, unsigned index);

#endif
