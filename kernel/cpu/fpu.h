/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, SSE and AVX registers of threads. The kernel itself is compiled without them, so they are
 * saved and loaded where threads change, and around guests. Format: XSAVE, standard form; FXSAVE on
 * processors without.
 */
#ifndef KERNEL_CPU_FPU_H
#define KERNEL_CPU_FPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void fpu_setup(void);        /* on each CPU */
size_t fpu_size(void);       /* bytes of a save area; it must be aligned to 64 */
uint64_t fpu_features(void); /* XCR0; 3 without XSAVE */
bool fpu_has_xsave(void);
void fpu_init_area(void *area); /* the state of a new program */
void fpu_save(void *area);
void fpu_load(const void *area);
/* Makes an area that came from user memory safe to load: fpu_load() cannot fault on it. */
void fpu_sanitize(void *area);

/* Vector register n in an area that fpu_save() wrote: 16 or FPU_VECTOR_SIZE bytes; all of
 * them also clear what is above. */
#define FPU_VECTOR_SIZE 32
void fpu_get_vector(const void *area, unsigned n, void *to, size_t bytes);
void fpu_set_vector(void *area, unsigned n, const void *from, size_t bytes);

#endif
