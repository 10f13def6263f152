/* SPDX-License-Identifier: Apache-2.0 */
/* A set of a TLB's indices. There are many, but most sets are small, so that a second level of bits
 * tells where there are any. */
#ifndef VMM_ENGINE_BT_TLBSET_H
#define VMM_ENGINE_BT_TLBSET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BT_TLB_BITS  14 /* 64 MiB: what a program walks through */
#define BT_TLB_SIZE  (1u << BT_TLB_BITS)
#define BT_SET_WORDS (BT_TLB_SIZE / 64)

struct bt_tlb_set {
	uint64_t word[BT_SET_WORDS];
	uint64_t some[BT_SET_WORDS / 64]; /* a bit for each word that is perhaps not 0 */
};

static inline bool bt_set_has(const struct bt_tlb_set *s, unsigned i)
{
	return s->word[i / 64] >> (i % 64) & 1;
}

static inline void bt_set_add(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] |= 1ull << (i % 64);
	s->some[i / 64 / 64] |= 1ull << (i / 64 % 64);
}

static inline void bt_set_remove(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] &= ~(1ull << (i % 64));
}

/* The first word from `w` on that is perhaps not 0; BT_SET_WORDS: there is none. */
static inline unsigned bt_set_word_from(const struct bt_tlb_set *s, unsigned w)
{
	for (; w < BT_SET_WORDS; w = (w | 63) + 1) {
		uint64_t some = s->some[w / 64] >> (w % 64);

		if (some)
			return w + (unsigned)__builtin_ctzll(some);
	}
	return BT_SET_WORDS;
}

/* The first member from `i` on; BT_TLB_SIZE: there is none. */
static inline unsigned bt_set_from(const struct bt_tlb_set *s, unsigned i)
{
	unsigned w = bt_set_word_from(s, i / 64);
	uint64_t bits;

	for (; w < BT_SET_WORDS; w = bt_set_word_from(s, w + 1)) {
		bits = s->word[w];
		if (w == i / 64)
			bits &= UINT64_MAX << (i % 64);
		if (bits)
			return w * 64 + (unsigned)__builtin_ctzll(bits);
	}
	return BT_TLB_SIZE;
}

static inline void bt_set_clear(struct bt_tlb_set *s)
{
	for (unsigned w = bt_set_word_from(s, 0); w < BT_SET_WORDS; w = bt_set_word_from(s, w + 1))
		s->word[w] = 0;
	memset(s->some, 0, sizeof(s->some));
}

#endif
