/* SPDX-License-Identifier: Apache-2.0 */
/* A set of a TLB's indices. There are many, but most sets are small, so that two more levels of
 * bits tell where there are any. */
#ifndef VMM_ENGINE_BT_TLBSET_H
#define VMM_ENGINE_BT_TLBSET_H

#include <stdbool.h>
#include <stdint.h>

#define BT_TLB_SIZE (64u * 64 * 64)

struct bt_tlb_set {
	uint64_t word[64 * 64]; /* a bit for each index */
	uint64_t some[64];      /* for each word that is perhaps not 0, */
	uint64_t any;           /* and for each of these */
};

static inline bool bt_set_has(const struct bt_tlb_set *s, unsigned i)
{
	return s->word[i / 64] >> (i % 64) & 1;
}

static inline void bt_set_add(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] |= 1ull << (i % 64);
	s->some[i / 64 / 64] |= 1ull << (i / 64 % 64);
	s->any |= 1ull << (i / 64 / 64);
}

static inline void bt_set_remove(struct bt_tlb_set *s, unsigned i)
{
	s->word[i / 64] &= ~(1ull << (i % 64));
}

/* The first word from `w` on that is perhaps not 0; 64 * 64: there is none. */
static inline unsigned bt_set_some_from(const struct bt_tlb_set *s, unsigned w)
{
	uint64_t bits = w < 64 * 64 ? s->some[w / 64] >> (w % 64) << (w % 64) : 0;
	unsigned n = w / 64;

	while (!bits) {
		uint64_t any = n < 63 ? s->any >> (n + 1) << (n + 1) : 0;

		if (!any)
			return 64 * 64;
		n = (unsigned)__builtin_ctzll(any);
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
		if (w == 64 * 64)
			return BT_TLB_SIZE;
		bits = s->word[w];
	}
	return w * 64 + (unsigned)__builtin_ctzll(bits);
}

static inline void bt_set_clear(struct bt_tlb_set *s)
{
	for (unsigned w = bt_set_some_from(s, 0); w < 64 * 64; w = bt_set_some_from(s, w + 1))
		s->word[w] = 0;
	for (; s->any; s->any &= s->any - 1)
		s->some[__builtin_ctzll(s->any)] = 0;
}

#endif
