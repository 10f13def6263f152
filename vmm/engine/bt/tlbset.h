/* SPDX-License-Identifier: Apache-2.0 */
/* A set of a TLB's indices. There are many, but most sets are small, so that two more levels of
 * bits tell where there are any. */
#ifndef VMM_ENGINE_BT_TLBSET_H
#define VMM_ENGINE_BT_TLBSET_H

#include <stdbool.h>
#include <stdint.h>

#define BT_TLB_SIZE  (1u << 20) /* 4 GiB of pages */
#define BT_SET_WORDS (BT_TLB_SIZE / 64)

struct bt_tlb_set {
	uint64_t word[BT_SET_WORDS];          /* a bit for each index, */
	uint64_t some[BT_SET_WORDS / 64];     /* for each word that is perhaps not 0, */
	uint64_t any[BT_SET_WORDS / 64 / 64]; /* and for each of these */
};

static inline bool bt_set_has(const struct bt_tlb_set *s, unsigned i)
{
	return s->word[i / 64] >> (i % 64) & 1;
}

static inline void bt_set_add(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] |= 1ull << (i % 64);
	s->some[i / 64 / 64] |= 1ull << (i / 64 % 64);
	s->any[i / 64 / 64 / 64] |= 1ull << (i / 64 / 64 % 64);
}

static inline void bt_set_remove(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] &= ~(1ull << (i % 64));
}

/* The first word of `some` from `n` on that is perhaps not 0; BT_SET_WORDS / 64: there is none. */
static inline unsigned bt_set_any_from(const struct bt_tlb_set *s, unsigned n)
{
	for (; n < BT_SET_WORDS / 64; n = (n | 63) + 1) {
		uint64_t any = s->any[n / 64] >> (n % 64);

		if (any)
			return n + (unsigned)__builtin_ctzll(any);
	}
	return BT_SET_WORDS / 64;
}

/* The first word from `w` on that is perhaps not 0; BT_SET_WORDS: there is none. */
static inline unsigned bt_set_some_from(const struct bt_tlb_set *s, unsigned w)
{
	unsigned n = w / 64;
	uint64_t bits = w < BT_SET_WORDS ? s->some[n] >> (w % 64) << (w % 64) : 0;

	while (!bits) {
		n = bt_set_any_from(s, n + 1);
		if (n == BT_SET_WORDS / 64)
			return BT_SET_WORDS;
		bits = s->some[n];
	}
	return n * 64 + (unsigned)__builtin_ctzll(bits);
}

/* The first member from `i` on; BT_TLB_SIZE: there is none. */
static inline unsigned bt_set_from(const struct bt_tlb_set *s, unsigned i)
{
	unsigned w = i / 64;
	uint64_t bits = i < BT_TLB_SIZE ? s->word[w] >> (i % 64) << (i % 64) : 0;

	while (!bits) {
		w = bt_set_some_from(s, w + 1);
		if (w == BT_SET_WORDS)
			return BT_TLB_SIZE;
		bits = s->word[w];
	}
	return w * 64 + (unsigned)__builtin_ctzll(bits);
}

static inline void bt_set_clear(struct bt_tlb_set *s)
{
	for (unsigned w = bt_set_some_from(s, 0); w < BT_SET_WORDS; w = bt_set_some_from(s, w + 1))
		s->word[w] = 0;
	for (unsigned n = bt_set_any_from(s, 0); n < BT_SET_WORDS / 64;
	     n = bt_set_any_from(s, n + 1))
		s->some[n] = 0;
	for (unsigned k = 0; k < BT_SET_WORDS / 64 / 64; k++)
		s->any[k] = 0;
}

#endif
