/* SPDX-License-Identifier: Apache-2.0 */
/* The code cache, mapped once writable and once executable, and the records of blocks. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/tr.h"

#define CODE_NAME "baton-code"

static void *reserve(size_t size)
{
	return bt_reserve(CODE_NAME, size);
}

static int map_code(struct translator *t, struct err *e)
{
	int fd = bt_create_file(CODE_NAME, TR_CODE_SIZE);
	int rc = 0;

	if (fd < 0)
		return err_set(e, -errno, "creating the code cache: %s", strerror(errno));
	t->rw = mmap(NULL, TR_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->rw == MAP_FAILED) {
		t->rw = NULL;
		goto fail;
	}
	t->rx = mmap((char *)t->v + BT_CTX_SIZE, TR_CODE_SIZE, PROT_READ | PROT_EXEC,
		     MAP_SHARED | MAP_FIXED, fd, 0);
	if (t->rx == MAP_FAILED) {
		t->rx = NULL;
		goto fail;
	}
	close(fd);
	return 0;
fail:
	rc = err_set(e, -errno, "mapping the code cache: %s", strerror(errno));
	close(fd);
	return rc;
}

int tr_cache_init(struct translator *t, struct err *e)
{
	int rc = map_code(t, e);

	if (rc)
		return rc;
	t->block = reserve(TR_MAX_BLOCKS * sizeof(*t->block));
	t->link = reserve(TR_MAX_LINKS * sizeof(*t->link));
	t->site = reserve(TR_MAX_SITES * sizeof(*t->site));
	t->pc = reserve(TR_MAX_PCS * sizeof(*t->pc));
	t->hash = reserve(TR_HASH_SIZE * sizeof(*t->hash));
	t->page_hash = reserve(TR_PAGES_SIZE * sizeof(*t->page_hash));
	t->heat = reserve(TR_HEAT_SIZE);
	t->global.link = reserve(TR_MAX_FAR * sizeof(*t->global.link));
	t->local.link = reserve(TR_MAX_FAR * sizeof(*t->local.link));
	if (!t->block || !t->link || !t->site || !t->pc || !t->hash || !t->page_hash || !t->heat ||
	    !t->global.link || !t->local.link)
		return err_set(e, -ENOMEM, "no address space for the translator's records");
	t->nblocks = t->nlinks = t->nsites = t->npcs = 1;
	t->block[TR_NONE].dead = true;
	return 0;
}

void tr_cache_fini(struct translator *t)
{
	bt_release(t->rw, TR_CODE_SIZE);
	bt_release(t->block, TR_MAX_BLOCKS * sizeof(*t->block));
	bt_release(t->link, TR_MAX_LINKS * sizeof(*t->link));
	bt_release(t->site, TR_MAX_SITES * sizeof(*t->site));
	bt_release(t->pc, TR_MAX_PCS * sizeof(*t->pc));
	bt_release(t->hash, TR_HASH_SIZE * sizeof(*t->hash));
	bt_release(t->page_hash, TR_PAGES_SIZE * sizeof(*t->page_hash));
	bt_release(t->heat, TR_HEAT_SIZE);
	bt_release(t->global.link, TR_MAX_FAR * sizeof(*t->global.link));
	bt_release(t->local.link, TR_MAX_FAR * sizeof(*t->local.link));
}

bool tr_cache_full(const struct translator *t)
{
	return t->used + TR_BLOCK_ROOM > TR_SLOW_AT ||
	       t->slow_used + TR_BLOCK_ROOM > TR_CODE_SIZE || t->nblocks + 1 >= TR_MAX_BLOCKS ||
	       t->nlinks + 4 * TR_MAX_INSNS >= TR_MAX_LINKS ||
	       t->nsites + 4 * TR_MAX_INSNS >= TR_MAX_SITES || t->npcs + TR_MAX_INSNS >= TR_MAX_PCS;
}

void tr_cache_flush(struct translator *t)
{
	t->used = t->stubs_end;
	t->slow_used = TR_SLOW_AT;
	t->nblocks = t->nlinks = t->nsites = t->npcs = 1;
	memset(t->hash, 0, TR_HASH_SIZE * sizeof(*t->hash));
	memset(t->page_hash, 0, TR_PAGES_SIZE * sizeof(*t->page_hash));
	for (unsigned i = 0; i < BT_NVIEWS; i++)
		bt_jc_clear(t->v, &t->v->views[i]);
	t->global.n = t->local.n = t->nregions = 0;
	t->flush_wanted = false;
	t->killed = true;
	t->generation++;
}

/* ---- blocks
 * -------------------------------------------------------------------------------------- */

/* The upper bits of a product depend on all bits of its factors. */
static unsigned hash(uint64_t x, unsigned bits)
{
	return (unsigned)(x * 0x9e3779b97f4a7c15ull >> (64 - bits));
}

/*
 * By both addresses: a library is at another one in every process. Code that lies near has its
 * heads near, in a few cache lines.
 */
static unsigned hash_block(uint64_t va, gpa_t gpa)
{
	unsigned page = hash(gpa >> 12 ^ va >> 12 << 20, TR_HASH_BITS) & ~15u;

	return (page + (unsigned)((gpa & (BT_PAGE - 1)) >> 4)) & (TR_HASH_SIZE - 1);
}

static unsigned hash_page(gpa_t gpa)
{
	return hash(gpa >> 12, TR_PAGES_BITS);
}

uint32_t tr_block_find(const struct translator *t, uint64_t va, gpa_t gpa, uint32_t mode)
{
	uint32_t i = t->hash[hash_block(va, gpa)];

	for (; i != TR_NONE; i = t->block[i].hash_next) {
		const struct tr_block *b = &t->block[i];

		if (b->gpa == gpa && b->va == va && b->mode == mode)
			break;
	}
	return i;
}

void tr_block_insert(struct translator *t, uint32_t index)
{
	struct tr_block *b = &t->block[index];
	uint32_t *head = &t->hash[hash_block(b->va, b->gpa)],
		 *page = &t->page_hash[hash_page(b->gpa)];

	b->hash_next = *head;
	*head = index;
	b->page_next = *page;
	*page = index;
}

/* The record that stands for the second page's bytes dies with the block, and the other way round.
 */
void tr_block_insert_crossing(struct translator *t, uint32_t index)
{
	struct tr_block *rest = &t->block[index + 1];
	uint32_t *page = &t->page_hash[hash_page(rest->gpa)];

	tr_block_insert(t, index);
	rest->page_next = *page;
	*page = index + 1;
}

static void list_remove(struct translator *t, uint32_t *head, uint32_t index, bool page)
{
	while (*head != index)
		head = page ? &t->block[*head].page_next : &t->block[*head].hash_next;
	*head = page ? t->block[index].page_next : t->block[index].hash_next;
}

void tr_block_kill(struct translator *t, uint32_t index)
{
	struct tr_block *b = &t->block[index];

	list_remove(t, &t->hash[hash_block(b->va, b->gpa)], index, false);
	list_remove(t, &t->page_hash[hash_page(b->gpa)], index, true);
	if (b->crosses)
		list_remove(t, &t->page_hash[hash_page(b[1].gpa)], index + 1, true);
	tr_unlink_incoming(t, index);
	tr_unlink_outgoing(t, index);
	tr_jc_drop(t, b);
	b->dead = true;
	t->killed = true;
	t->v->stat.killed_blocks++;
	tr_trace(t, "drops", b);
}

static bool overlaps(const struct tr_block *b, unsigned lo, unsigned hi)
{
	unsigned own = b->gpa & (BT_PAGE - 1);

	if (own < hi && lo < own + b->len)
		return true;
	for (unsigned i = 0; i < b->npeeks; i++)
		if (b->peek[i].lo < hi && lo < b->peek[i].hi)
			return true;
	return false;
}

void bt_translate_invalidate(struct bt_vcpu *v, gpa_t gpa, unsigned len)
{
	struct translator *t = tr_of(v);
	unsigned lo = gpa & (BT_PAGE - 1);
	uint32_t i, next;

	if (!t)
		return;
	for (i = t->page_hash[hash_page(gpa)]; i != TR_NONE; i = next) {
		const struct tr_block *b = &t->block[i];
		bool pair = b->crosses || b->is_rest;

		next = b->page_next;
		if (b->gpa >> 12 != gpa >> 12 || !overlaps(b, lo, lo + len))
			continue;
		tr_block_kill(t, b->is_rest ? i - 1 : i);
		if (pair) /* two records are gone, perhaps both from this list */
			next = t->page_hash[hash_page(gpa)];
	}
}

void bt_translate_cool(struct bt_vcpu *v, gpa_t gpa, unsigned len)
{
	const struct translator *t = tr_of(v);
	unsigned lo = gpa & (BT_PAGE - 1);
	uint32_t i = t ? t->page_hash[hash_page(gpa)] : TR_NONE;

	for (; i != TR_NONE; i = t->block[i].page_next)
		if (t->block[i].gpa >> 12 == gpa >> 12 && overlaps(&t->block[i], lo, lo + len))
			*tr_heat(t, t->block[i].va, t->block[i].gpa) = TR_COOL;
}

/* While all are off nothing is translated for that mode, and none is forgotten: a system switches
 * them with its tasks. */
void bt_translate_points(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);
	unsigned on = bt_code_points(v);
	bool is_new = false;

	if (!t || !(v->mode & BT_MODE_POINTS))
		return;
	for (unsigned i = 0; i < 4; i++) {
		if (!(on & 1u << i))
			continue;
		is_new |= !(t->points & 1u << i) || t->point[i] != v->dr[i];
		t->point[i] = v->dr[i];
	}
	t->points = on;
	if (!is_new)
		return;
	for (uint32_t i = 1; i < t->nblocks; i++)
		if ((t->block[i].mode & BT_MODE_POINTS) && !t->block[i].dead &&
		    !t->block[i].is_rest)
			tr_block_kill(t, i);
}

void bt_translate_flush(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);

	if (!t)
		return;
	t->flush_wanted = true;
	t->killed = true;
}

/* Blocks lie in the order of their numbers. */
uint32_t tr_block_at(const struct translator *t, uint64_t host_pc)
{
	uint64_t off = host_pc - (uint64_t)t->rx;
	uint32_t lo = 1, hi = t->nblocks;

	if (off >= t->used)
		return TR_NONE;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (off >= t->block[mid].end)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nblocks && off >= t->block[lo].indirect ? lo : TR_NONE;
}

uint64_t bt_translate_rip(struct bt_vcpu *v, uint64_t pc)
{
	struct translator *t = tr_of(v);
	uint32_t i = t ? tr_block_at(t, pc) : TR_NONE;

	return i == TR_NONE ? 0 : tr_guest_rip(t, &t->block[i], pc);
}
