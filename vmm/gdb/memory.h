/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory as a debugger sees it: by linear address, with a vCPU's page tables, no rights
 * checked and nothing changed in the tables. */
#ifndef VMM_GDB_MEMORY_H
#define VMM_GDB_MEMORY_H

#include "vmm/memory.h"
#include "x86/state.h"

/* false: not mapped. */
bool gdb_translate(const struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
		   gpa_t *gpa);
/* How many of the bytes could be read or written: those before the first that is not memory. */
uint64_t gdb_memory_read(const struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
			 void *buf, uint64_t len);
uint64_t gdb_memory_write(struct guest_memory *m, const struct x86_cpu_state *s, uint64_t gva,
			  const void *buf, uint64_t len);

#endif
