/* SPDX-License-Identifier: Apache-2.0 */
/* The instruction at RIP. */
#ifndef KERNEL_HV_EMULATE_H
#define KERNEL_HV_EMULATE_H

#include "kernel/hv/hv.h"

int emu_decode(struct hv_vcpu *v); /* to v->mmio.insn */
/* As instructions write registers: 4 bytes clear the upper half, less leaves the rest. */
void emu_set_gpr(struct hv_vcpu *v, unsigned reg, unsigned size, uint64_t val);
/* Tells the owner that the instruction is beyond us. */
int emu_failed(struct hv_vcpu *v);

#endif
