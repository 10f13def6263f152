/* SPDX-License-Identifier: Apache-2.0 */
/* The memory window: its pattern, patches, and what an instruction changed in it. */
#include "tests/oracle/oracle.h"

#include <string.h>

const enum page_kind window_page[WINDOW_PAGES] = {PAGE_RW, PAGE_RW, PAGE_NONE,
						  PAGE_RO, PAGE_RW, PAGE_NONE};

/* The same in every process and run: rows of earlier runs stay valid. */
static const uint8_t *pattern(void)
{
	static uint8_t bytes[WINDOW_SIZE] __attribute__((aligned(64)));
	static bool made;
	struct rng r = {0x5eed};

	if (made)
		return bytes;
	for (unsigned i = 0; i < WINDOW_SIZE; i += 8) {
		uint64_t n = rng_next(&r);

		memcpy(bytes + i, &n, 8);
	}
	made = true;
	return bytes;
}

void window_fill(const struct window *w)
{
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		if (w->page[i])
			memcpy(w->page[i], pattern() + i * 4096, 4096);
}

/* Copies to the writable pages only. */
static void window_put(const struct window *w, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t n; len; len -= n, at += n, bytes += n) {
		n = 4096 - at % 4096;
		if (n > len)
			n = len;
		if (at / 4096 < WINDOW_PAGES && window_page[at / 4096] == PAGE_RW)
			memcpy(w->page[at / 4096] + at % 4096, bytes, n);
	}
}

void window_prepare(const struct window *w, const struct oracle_case *c)
{
	window_put(w, c->patch_at, c->patch, c->patch_len);
}

/* The window as it was before the instruction. */
static void before(const struct oracle_case *c, uint32_t at, uint8_t *bytes, uint32_t len)
{
	memcpy(bytes, pattern() + at, len);
	for (uint32_t i = 0; i < len; i++)
		if (at + i - c->patch_at < c->patch_len)
			bytes[i] = c->patch[at + i - c->patch_at];
}

static void undo(const struct window *w, const struct oracle_case *c, uint32_t from, uint32_t to)
{
	uint32_t base = (uint32_t)(c->target - WINDOW_BASE);
	uint8_t bytes[32];

	if (c->target < WINDOW_BASE || base + to > WINDOW_SIZE)
		return;
	before(c, base + from, bytes, to - from);
	window_put(w, base + from, bytes, to - from);
}

/* x87 instruction and operand pointers name our stubs in one place and the guest's in the other. */
static void undo_pointers(const struct window *w, const struct oracle_case *c)
{
	struct x86_insn in;
	unsigned reg;

	if (x86_decode(c->code, c->len, c->mode, &in) <= 0 || in.modrm >= 0xc0)
		return;
	reg = in.modrm >> 3 & 7;
	if (in.map == X86_MAP_1 && reg == 6 && (in.opcode == 0xd9 || in.opcode == 0xdd)) {
		if (in.opsize == 2)
			undo(w, c, 6, 14);
		else
			undo(w, c, 12, 28);
	}
	if (in.map == X86_MAP_0F && ((in.opcode == 0xae && (reg == 0 || reg == 4 || reg == 6)) ||
				     (in.opcode == 0xc7 && reg >= 4))) {
		undo(w, c, 6, 24);
		undo(w, c, 28, 32);
	}
}

static bool differs(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[8], y[8], d = 0;

	memcpy(x, a, 64);
	memcpy(y, b, 64);
	for (unsigned i = 0; i < 8; i++)
		d |= x[i] ^ y[i];
	return d;
}

/* FNV-1a, eight bytes at a time. */
static uint64_t add_to_sum(uint64_t sum, uint32_t at, const uint8_t *bytes)
{
	uint64_t n[8];

	memcpy(n, bytes, 64);
	sum = (sum ^ at) * 0x100000001b3;
	for (unsigned i = 0; i < 8; i++)
		sum = (sum ^ n[i]) * 0x100000001b3;
	return sum;
}

/* Range of bytes that are not the pattern. */
static bool changed_range(const struct window *w, uint32_t *from, uint32_t *to)
{
	bool any = false;

	for (uint32_t at = 0; at < WINDOW_SIZE; at += 64) {
		const uint8_t *page = w->page[at / 4096];

		if (window_page[at / 4096] != PAGE_RW || !differs(page + at % 4096, pattern() + at))
			continue;
		if (!any)
			*from = at;
		*to = at + 64;
		any = true;
	}
	return any;
}

void window_collect(const struct window *w, const struct oracle_case *c, struct outcome *o)
{
	uint32_t from, to;

	undo_pointers(w, c);
	o->diff_at = o->diff_len = 0;
	o->diff_sum = 0;
	if (!changed_range(w, &from, &to))
		return;
	o->diff_at = from;
	for (uint32_t at = from; at < to; at += 64) {
		if (window_page[at / 4096] != PAGE_RW) {
			if (at - from + 64 <= DIFF_MAX)
				memset(o->diff + (at - from), 0, 64);
			continue;
		}
		o->diff_sum = add_to_sum(o->diff_sum, at, w->page[at / 4096] + at % 4096);
		if (at - from + 64 <= DIFF_MAX) {
			memcpy(o->diff + (at - from), w->page[at / 4096] + at % 4096, 64);
			o->diff_len = at - from + 64;
		}
		memcpy(w->page[at / 4096] + at % 4096, pattern() + at, 64);
	}
}
