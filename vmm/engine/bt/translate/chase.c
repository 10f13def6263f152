/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads that the next load waits for (a list's next pointer). Their address must not wait for the
 * TLB: it is made of a guess at the page's addend, which depends on nothing. The check runs beside
 * it, as the processor predicts its branches: the TLB's own addend is compared with one guess after
 * the other and picks the one that is right. None is: the TLB's is taken, and after some such
 * misses a helper learns it in place of an older guess. Where misses do not end, because there are
 * more pages than guesses in no order, the guesses are given up for a while.
 */
#include <string.h>

#include "vmm/engine/bt/translate/build.h"

#define MISSES   64         /* between calls of the helper */
#define CALM     (1u << 16) /* ticks of the TSC in which that many are no harm */
#define TRIES    32         /* calls in haste, one after the other, then */
#define GIVEN_UP (1 << 20)  /* misses, before it is tried again */

static int32_t chase_field(const struct tr_build *b, uint32_t site, size_t field)
{
	return b->t->tlb + (int32_t)(offsetof(struct bt_tlb, chase[site % BT_NCHASE]) + field);
}

static struct hmem guess(const struct tr_build *b, uint32_t site, unsigned n)
{
	return hmem_ctx(chase_field(b, site, offsetof(struct bt_chase, guess[n])));
}

/* H_T0 == guess n: `dst` is a copy that nobody has to wait for. Returns the jump if it is not. */
static uint8_t *try_guess(struct tr_build *b, uint32_t site, unsigned n, unsigned dst)
{
	struct hmem m = guess(b, site, n);
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

void chase_emit_misses(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;
	struct hmem misses = hmem_ctx(chase_field(b, s->site, offsetof(struct bt_chase, misses)));
	uint8_t *other = s->jump;

	for (unsigned n = 1; n < BT_GUESSES; n++) {
		emit_patch32(other, e->p);
		other = try_guess(b, s->site, n, s->dst);
		emit_jmp(e, s->back);
	}
	emit_patch32(other, e->p);
	emit_mov(e, 8, s->dst, H_T0);
	emit_rm(e, OPC(0x83), 4, 5, &misses); /* SUB m32, imm8 */
	emit_u8(e, 1);
	emit_patch32(emit_jcc(e, CC_NS), s->back);
	emit_mov_imm(e, H_RCX, s->site);
	emit_jmp(e, b->t->stub_chase);
}

/* Many guesses have missed; SCR_T0 is what would have been right this time. */
const uint8_t *tr_help_chase(struct bt_vcpu *v, uint32_t site)
{
	struct bt_chase *c = &v->view->tlb->chase[site % BT_NCHASE];
	uint64_t now = bt_rdtsc();

	c->tries = now - c->last > CALM ? 0 : c->tries + 1;
	c->last = now;
	c->misses = MISSES;
	c->guess[c->next++ % BT_GUESSES] = v->scratch[SCR_T0];
	if (c->tries > TRIES)
		*c = (struct bt_chase){.misses = GIVEN_UP, .last = now};
	return tr_rx(tr_of(v), tr_of(v)->site[site].resume);
}
