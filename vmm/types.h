/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that must not be mixed up. */
#ifndef VMM_TYPES_H
#define VMM_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address; never dereferenced */
typedef uint64_t gva_t; /* guest virtual (linear) address */

#endif
