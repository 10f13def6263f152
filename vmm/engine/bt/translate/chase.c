/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads that the next load waits for (a list's next pointer). Their address must not wait for the
 * TLB: it is made of a guess at the page's addend, which depends on nothing. The check runs beside
 * it, as the processor predicts its branches: the TLB's own addend is compared with one guess after
 * the other and picks the one that is right. None is: the TLB's is taken, and after some such
 * misses a helper learns it in place of an older guess.
 *
 * Where misses do not end, because there are more pages than guesses in no order, the load is
 * translated again and *followed*: each load looks up which page came after its address last time
 * (bt_tlb.after) and makes the one guess for the next load of that, long before it knows the
 * address. That takes three times as long as a right guess but no longer than the second-level
 * cache that a list of many pages is in. From time to time guesses get another chance.
 */
#include <string.h>

#include "vmm/engine/bt/translate/build.h"

#define MISSES   64         /* between calls of the helper */
#define CALM     (1u << 16) /* ticks of the TSC in which that many are no harm */
#define TRIES    32         /* calls in haste, one after the other, then */
#define GIVEN_UP (1 << 20)  /* misses, before it is tried again */
#define AGAIN    (1u << 27) /* ticks until a list that is followed and misses gets guesses again */
#define PLACE    (BT_AFTER_BITS << 8 | 6) /* BEXTR's length and start: index of bt_tlb.after[] */

static int32_t chase_field(uint32_t site, size_t field)
{
	return BT_TLB_AT(chase[site % BT_NCHASE]) + (int32_t)field;
}

static struct hmem guess(uint32_t site, unsigned n)
{
	return hmem_view(chase_field(site, offsetof(struct bt_chase, guess[n])));
}

/* H_T0 == guess n: `dst` is a copy that nobody has to wait for. Returns the jump if it is not. */
static uint8_t *try_guess(struct tr_build *b, uint32_t site, unsigned n, unsigned dst)
{
	struct hmem m = guess(site, n);
	uint8_t *other;

	emit_rm(&b->e, OPC(0x3b), 8, H_T0, &m);
	other = emit_jcc(&b->e, CC_NE);
	emit_load(&b->e, 8, dst, m);
	return other;
}

uint8_t *chase_guess(struct tr_build *b, uint32_t site, unsigned dst)
{
	return try_guess(b, site, 0, dst);
}

/* ---- lists that are followed ----------------------------------------------------------------- */

static struct tr_followed *find_followed(struct translator *t, gpa_t gpa)
{
	for (unsigned i = 0; i < TR_FOLLOWED; i++)
		if (t->followed[i].since && t->followed[i].gpa == gpa)
			return &t->followed[i];
	return NULL;
}

bool chase_follows(const struct tr_build *b)
{
	return find_followed(b->t, b->gpa + b->insn[b->cur].off) != NULL;
}

static struct hmem place(uint32_t site)
{
	return hmem_view(chase_field(site, offsetof(struct bt_chase, from)));
}

/* The element of bt_tlb.after[] whose index is in `reg`. */
static struct hmem after(unsigned reg)
{
	struct hmem m = hmem_view_array(reg, BT_TLB_AT(after));

	m.scale = sizeof(((struct bt_tlb *)0)->after[0]);
	return m;
}

void chase_foretell(struct tr_build *b, uint32_t site, unsigned base)
{
	struct emit *e = &b->e;

	emit_mov_imm(e, H_T1, PLACE);
	emit_bextr(e, 4, H_T1, reg_value(b, base, H_T0), H_T1);
	emit_store(e, 4, place(site), H_T1);
	emit_load(e, 4, H_T1, after(H_T1));
	emit_load(e, 8, H_T1, mem_tlb_addend(false));
	emit_store(e, 8, guess(site, 0), H_T1);
}

/* H_T0 is the addend that was not foretold, H_T1 the offset of its page's entry. */
static void learn(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;

	emit_store(e, 8, guess(s->site, 0), H_T0);
	emit_load(e, 4, s->dst, place(s->site));
	emit_store(e, 4, after(s->dst), H_T1);
}

/* ---- misses ---------------------------------------------------------------------------------- */

static uint8_t *try_others(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;
	uint8_t *other = s->jump;

	for (unsigned n = 1; n < BT_GUESSES; n++) {
		emit_patch32(other, e->p);
		other = try_guess(b, s->site, n, s->dst);
		emit_jmp(e, s->back);
	}
	return other;
}

void chase_emit_misses(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;
	struct hmem misses = hmem_view(chase_field(s->site, offsetof(struct bt_chase, misses)));
	uint8_t *other = s->follows ? s->jump : try_others(b, s);

	emit_patch32(other, e->p);
	if (s->follows)
		learn(b, s);
	emit_mov(e, 8, s->dst, H_T0);
	emit_rm_imm8(e, OPC(0x83), 4, 5, misses, 1); /* SUB */
	emit_patch32(emit_jcc(e, CC_NS), s->back);
	emit_mov_imm(e, H_RCX, s->site);
	emit_jmp(e, b->t->stub_chase);
}

/* Running code of the block goes on to its end; the next time it is translated anew. */
static void translate_again(struct translator *t, const struct tr_site *s)
{
	if (!t->block[s->block].dead)
		tr_block_kill(t, s->block);
}

static void follow(struct translator *t, const struct tr_site *s, gpa_t gpa)
{
	t->followed[t->next_followed++ % TR_FOLLOWED] =
		(struct tr_followed){.gpa = gpa, .since = bt_rdtsc()};
	translate_again(t, s);
}

static void still_follow(struct translator *t, const struct tr_site *s, struct bt_chase *c,
			 struct tr_followed *f)
{
	c->misses = MISSES;
	if (bt_rdtsc() - f->since < AGAIN)
		return;
	f->since = 0;
	*c = (struct bt_chase){.misses = MISSES};
	translate_again(t, s);
}

/* Many guesses have missed; SCR_T0 is what would have been right this time. */
const uint8_t *tr_help_chase(struct bt_vcpu *v, uint32_t site)
{
	struct bt_chase *c = &v->view->tlb->chase[site % BT_NCHASE];
	struct translator *t = tr_of(v);
	const struct tr_site *s = &t->site[site];
	gpa_t gpa = t->block[s->block].gpa + s->off;
	struct tr_followed *f = find_followed(t, gpa);
	uint64_t now = bt_rdtsc();

	if (f) {
		still_follow(t, s, c, f);
		return tr_rx(t, s->resume);
	}
	c->tries = now - c->last > CALM ? 0 : c->tries + 1;
	c->last = now;
	c->misses = MISSES;
	c->guess[c->next++ % BT_GUESSES] = v->scratch[SCR_T0];
	if (c->tries > TRIES) {
		*c = (struct bt_chase){.misses = GIVEN_UP, .last = now};
		follow(t, s, gpa);
	}
	return tr_rx(t, s->resume);
}
