/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's code as the comparison reads it, across the end of a page as well. */
#include <string.h>

#include "vmm/engine/bt/lockstep/internal.h"

static const uint8_t *page_at(struct lockstep *l, uint64_t rip)
{
	const uint8_t *host;
	gpa_t gpa;

	if (!bt_code_gpa(l->twin, rip, &gpa, &host) || !host)
		return NULL;
	return host - (gpa & (BT_PAGE - 1));
}

unsigned code_pages(struct lockstep *l, uint64_t rip, uint64_t end, const uint8_t **page)
{
	const uint8_t *next;

	*page = page_at(l, rip);
	if (!*page)
		return 0;
	next = (rip ^ (end - 1)) & ~(BT_PAGE - 1ul) ? page_at(l, (rip | (BT_PAGE - 1)) + 1) : NULL;
	if (!next)
		return BT_PAGE;
	memcpy(l->code, *page, BT_PAGE);
	memcpy(l->code + BT_PAGE, next, BT_PAGE);
	*page = l->code;
	return sizeof(l->code);
}

unsigned code_decode(struct lockstep *l, uint64_t rip, struct x86_insn *in)
{
	unsigned off = rip & (BT_PAGE - 1);
	const uint8_t *page;
	unsigned size = code_pages(l, rip, rip + X86_MAX_INSN_LEN, &page);
	int len = size ? x86_decode(page + off, size - off, bt_decode_mode(l->main), in) : 0;

	return len > 0 ? (unsigned)len : 0;
}
