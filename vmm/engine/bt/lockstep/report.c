/* SPDX-License-Identifier: Apache-2.0 */
/* The first difference, for a person: the block, what each made of it, and from what. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vmm/engine/bt/lockstep/internal.h"
#include "vmm/engine/bt/translate/translate.h"
#include "x86/format.h"

#define MAX_LINES 44 /* a block and a little more */

static void print_block(struct lockstep *l)
{
	uint64_t rip = l->start;

	for (unsigned n = 0; n < MAX_LINES; n++) {
		struct x86_insn in;
		char text[96];
		unsigned len = code_decode(l, rip, &in);

		if (!len)
			break;
		x86_format(&in, rip, text, sizeof(text));
		log_warn("lockstep:   %016llx  %s", (unsigned long long)rip, text);
		rip += len;
		if (in.desc->cls == X86_CLS_BRANCH && !bt_is_conditional_jump(&in))
			break;
	}
}

static void print_registers(const char *who, const uint64_t *gpr, uint64_t rip, uint64_t flags)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	char line[512];
	int n = 0;

	for (unsigned i = 0; i < X86_NGPR; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " %s=%llx", names[i],
			      (unsigned long long)gpr[i]);
	log_warn("lockstep: %-11s rip=%llx rflags=%llx%s", who, (unsigned long long)rip,
		 (unsigned long long)flags, line);
}

void report_difference(struct lockstep *l)
{
	snprintf(l->report, sizeof(l->report),
		 "lockstep: after %llu blocks, the block at %#llx: %s %#llx: translated %#llx, "
		 "interpreted %#llx",
		 (unsigned long long)l->blocks, (unsigned long long)l->start, l->wrong,
		 (unsigned long long)l->wrong_addr, (unsigned long long)l->wrong_main,
		 (unsigned long long)l->wrong_twin);
	log_warn("%s", l->report);
	print_block(l);
	print_registers("before", l->start_gpr, l->start, l->start_flags);
	print_registers("translated", l->main->gpr, l->main->rip, l->main->rflags);
	print_registers("interpreted", l->twin->gpr, l->twin->rip, l->twin->rflags);
}
