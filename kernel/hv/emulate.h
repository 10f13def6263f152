/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding and memory access for the instruction at RIP; addresses are linear. */
#ifndef KERNEL_HV_EMULATE_H
#define KERNEL_HV_EMULATE_H

#include "kernel/hv/hv.h"
#include "x86/insn.h"

int emu_decode(struct hv_vcpu *v); /* to v->mmio.insn */
uint64_t emu_address(const struct hv_vcpu *v, const struct x86_insn *i);
/* 0, or what emulate.c names. A write to a device of the owner sets *exit_after. */
int emu_read(struct hv_vcpu *v, uint64_t linear, unsigned size, uint64_t *val);
int emu_write(struct hv_vcpu *v, uint64_t linear, unsigned size, uint64_t val, bool *exit_after);
/* RSI or RDI after one element; RCX: true if more are to come. */
void emu_advance(struct hv_vcpu *v, const struct x86_insn *i, unsigned reg, unsigned size);
bool emu_repeat(struct hv_vcpu *v, const struct x86_insn *i);
/* Tells the owner that the instruction is beyond us. */
int emu_failed(struct hv_vcpu *v);

#endif
