/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void svm_enter(uint64_t *gpr, uint64_t vmcb_phys, uint64_t host_phys)
 *
 * VMRUN changes RAX, RSP, RIP and RFLAGS by the VMCB; the other general registers are changed here,
 * FS, GS, TR, LDTR and the system-call MSRs by VMLOAD and VMSAVE. Interrupts are on inside, so that
 * one of the host ends the run; GIF keeps it from being taken before the host's state is back.
 */
#include "kernel/hv/gpr.inc"

	.text
	.global svm_enter
svm_enter:
	save_own
	pushq %rdi
	pushq %rdx
	clgi
	sti
	movq %rdx, %rax
	vmsave %rax
	movq %rsi, %rax
	vmload %rax
	load_guest
	vmrun %rax
	vmsave %rax
	popq %rax
	vmload %rax
	popq %rax
	store_guest
	cli
	stgi
	restore_own
	ret

	.section .note.GNU-stack,"",@progbits
