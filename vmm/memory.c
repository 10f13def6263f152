/* SPDX-License-Identifier: Apache-2.0 */
/* Guest physical memory: reserves the slots and answers address look-ups with bounds checks. */
#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/num.h"

static void *reserve(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Host huge pages spare the guest most of its first-touch faults. */
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static int add_slot(struct guest_memory *m, gpa_t gpa, uint64_t size, bool readonly, struct err *e)
{
	struct mem_slot *s = &m->slot[m->nslots];

	if (m->nslots == MEM_MAX_SLOTS)
		return err_set(e, -ENOSPC, "memory: more than %d slots", MEM_MAX_SLOTS);
	s->host = reserve(size);
	if (!s->host)
		return err_set(e, -ENOMEM, "memory: cannot reserve %llu MiB: %s",
			       (unsigned long long)(size / MIB), strerror(errno));
	s->gpa = gpa;
	s->size = size;
	s->readonly = readonly;
	m->nslots++;
	return 0;
}

int mem_init(struct guest_memory *m, uint64_t ram_size, struct err *e)
{
	uint64_t low = ram_size < MEM_LOW_END ? ram_size : MEM_LOW_END;
	int rc;

	memset(m, 0, sizeof(*m));
	if (ram_size < MIB || ram_size % MIB)
		return err_set(e, -EINVAL,
			       "memory: the size must be a whole number of MiB, at least 1");
	m->ram_size = ram_size;
	rc = add_slot(m, 0, low, false, e);
	if (!rc && ram_size > low)
		rc = add_slot(m, MEM_HIGH_START, ram_size - low, false, e);
	if (rc)
		mem_fini(m);
	return rc;
}

void mem_fini(struct guest_memory *m)
{
	for (unsigned i = 0; i < m->nslots; i++)
		munmap(m->slot[i].host, m->slot[i].size);
	if (m->hole)
		munmap(m->hole, m->hole_size);
	m->nslots = 0;
	m->hole = NULL;
}

int mem_open_hole(struct guest_memory *m, gpa_t gpa, uint64_t size, struct err *e)
{
	struct mem_slot *low = &m->slot[0], *high = &m->slot[m->nslots];
	gpa_t end = gpa + size;

	if (m->nslots == MEM_MAX_SLOTS || m->hole || !range_ok(gpa, size, low->size - 1))
		return err_set(e, -ENOSPC, "memory: no room for device registers at %#llx",
			       (unsigned long long)gpa);
	*high = (struct mem_slot){end, low->size - end, low->host + end, false, false};
	m->hole = low->host + gpa;
	m->hole_size = size;
	low->size = gpa;
	m->nslots++;
	return 0;
}

int mem_add_device(struct guest_memory *m, uint64_t size, unsigned *slot, struct err *e)
{
	int rc = add_slot(m, MEM_UNMAPPED, size, false, e);

	if (!rc) {
		*slot = m->nslots - 1;
		m->slot[*slot].device = true;
	}
	return rc;
}

void mem_move(struct guest_memory *m, unsigned slot, gpa_t gpa)
{
	m->slot[slot].gpa = gpa;
}

int mem_add_rom(struct guest_memory *m, gpa_t gpa, uint64_t size, uint8_t **host, struct err *e)
{
	int rc = add_slot(m, gpa, size, true, e);

	if (!rc)
		*host = m->slot[m->nslots - 1].host;
	return rc;
}

static const struct mem_slot *find_slot(const struct guest_memory *m, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->nslots; i++) {
		const struct mem_slot *s = &m->slot[i];

		if (gpa >= s->gpa && range_ok(gpa - s->gpa, len, s->size))
			return s;
	}
	return NULL;
}

void *mem_ptr(const struct guest_memory *m, gpa_t gpa, uint64_t len, bool write)
{
	const struct mem_slot *s = find_slot(m, gpa, len);

	if (!s || (write && s->readonly))
		return NULL;
	return s->host + (gpa - s->gpa);
}

bool mem_read(const struct guest_memory *m, gpa_t gpa, void *buf, uint64_t len)
{
	const void *p = mem_ptr(m, gpa, len, false);

	if (p)
		memcpy(buf, p, len);
	else
		memset(buf, 0, len);
	return p != NULL;
}

bool mem_write(struct guest_memory *m, gpa_t gpa, const void *buf, uint64_t len)
{
	void *p = mem_ptr(m, gpa, len, true);

	if (!p)
		return false;
	memcpy(p, buf, len);
	mem_written(m, gpa, len);
	return true;
}

void mem_written(struct guest_memory *m, gpa_t gpa, uint64_t len)
{
	if (m->written && len)
		m->written(m->written_opaque, gpa, len);
}
