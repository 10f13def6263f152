/* SPDX-License-Identifier: Apache-2.0 */
/* Decoded instructions as text, in Intel syntax, for traces and reports. */
#ifndef X86_FORMAT_H
#define X86_FORMAT_H

#include <stddef.h>
#include <stdint.h>

struct x86_insn;

/*
 * Writes "mov rax, qword ptr [rbx+0x10]" to `buf`, cut to `size` bytes with the terminating 0.
 * `rip` is the instruction's own address, from which the targets of branches and RIP-relative
 * addresses are told. Returns the length without the cut. Freestanding.
 */
size_t x86_format(const struct x86_insn *in, uint64_t rip, char *buf, size_t size);

#endif
