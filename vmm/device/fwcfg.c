/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg: see fwcfg.h. A save holds the transfer's position; contents come from the machine. */
#include "vmm/device/fwcfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"

#define DMA_ERROR  0x01u
#define DMA_READ   0x02u
#define DMA_SKIP   0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE  0x10u
#define DMA_MAX    (64 * MIB) /* longer than any item: a guest's mistake */

#define DMA_SIGNATURE 0x51454d5520434647ull /* what reading the DMA register gives */

struct fwcfg_hw {
	uint16_t key;
	uint32_t offset;
	uint64_t dma; /* high half waits for the low one */
};

struct item {
	uint8_t *data;
	uint32_t len;
};

struct file {
	char name[FWCFG_NAME_MAX + 1];
	struct item item;
	void (*selected)(void *opaque);
	void *opaque;
};

/* As the guest reads it (big-endian). */
struct directory {
	uint32_t count;
	struct directory_entry {
		uint32_t size;
		uint16_t select, reserved;
		char name[FWCFG_NAME_MAX + 1];
	} entry[FWCFG_MAX_FILES];
};

struct fwcfg {
	struct device dev;
	struct fwcfg_hw hw;
	struct device_env env;
	struct item item[FWCFG_DIRECTORY];
	struct file file[FWCFG_MAX_FILES];
	unsigned nfiles;
	struct directory directory;
	unsigned long guest_errors;
};

/* DMA descriptor in guest memory, big-endian. */
struct access {
	uint32_t control, length;
	uint64_t address;
};

/* ---- contents --------------------------------------------------------------------------------
 */

static int item_set(struct item *it, const void *data, size_t len, struct err *e)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return err_set(e, -ENOMEM, "fw-cfg: out of memory");
	memcpy(copy, data, len);
	free(it->data);
	it->data = copy;
	it->len = (uint32_t)len;
	return 0;
}

int fwcfg_set_item(struct device *d, unsigned key, const void *data, size_t len, struct err *e)
{
	struct fwcfg *f = (struct fwcfg *)d;

	if (key >= FWCFG_DIRECTORY || len > DMA_MAX)
		return err_set(e, -EINVAL, "fw-cfg: item %u of %zu bytes", key, len);
	return item_set(&f->item[key], data, len, e);
}

static struct file *find_file(struct fwcfg *f, const char *name)
{
	for (unsigned i = 0; i < f->nfiles; i++)
		if (!strcmp(f->file[i].name, name))
			return &f->file[i];
	return NULL;
}

static void describe(struct fwcfg *f, const struct file *file)
{
	unsigned i = (unsigned)(file - f->file);
	struct directory_entry *entry = &f->directory.entry[i];

	entry->size = htobe32(file->item.len);
	entry->select = htobe16((uint16_t)(FWCFG_FILE0 + i));
	memcpy(entry->name, file->name, sizeof(entry->name));
	f->directory.count = htobe32(f->nfiles);
}

int fwcfg_set_file(struct device *d, const char *name, const void *data, size_t len, struct err *e)
{
	struct fwcfg *f = (struct fwcfg *)d;
	struct file *file = find_file(f, name);

	if (strlen(name) > FWCFG_NAME_MAX || len > DMA_MAX)
		return err_set(e, -EINVAL, "fw-cfg: file %s of %zu bytes", name, len);
	if (!file && f->nfiles == FWCFG_MAX_FILES)
		return err_set(e, -ENOSPC, "fw-cfg: more than %d files", FWCFG_MAX_FILES);
	if (!file) {
		file = &f->file[f->nfiles];
		memset(file, 0, sizeof(*file));
		strcpy(file->name, name);
	}
	if (item_set(&file->item, data, len, e))
		return e->code;
	if (file == &f->file[f->nfiles])
		f->nfiles++;
	describe(f, file);
	return 0;
}

void fwcfg_on_select(struct device *d, const char *name, void (*fn)(void *opaque), void *opaque)
{
	struct file *file = find_file((struct fwcfg *)d, name);

	if (!file)
		return;
	file->selected = fn;
	file->opaque = opaque;
}

/* ---- the guest's side ------------------------------------------------------------------------
 */

static struct file *selected_file(struct fwcfg *f)
{
	unsigned n = f->hw.key - FWCFG_FILE0; /* wraps below */

	return n < f->nfiles ? &f->file[n] : NULL;
}

static struct item selected(struct fwcfg *f)
{
	const struct file *file = selected_file(f);

	if (f->hw.key < FWCFG_DIRECTORY)
		return f->item[f->hw.key];
	if (f->hw.key == FWCFG_DIRECTORY)
		return (struct item){(uint8_t *)&f->directory, sizeof(f->directory)};
	return file ? file->item : (struct item){0};
}

/* Lets the machine bring the selected file up to date. */
static void refresh(struct fwcfg *f)
{
	struct file *file = selected_file(f);

	if (file && file->selected)
		file->selected(file->opaque);
}

static void select_key(struct fwcfg *f, uint16_t key)
{
	f->hw.key = key;
	f->hw.offset = 0;
	refresh(f);
}

/* Bytes of the selected item from the current position on; zeroes behind its end. */
static void take(struct fwcfg *f, uint8_t *to, uint32_t len)
{
	struct item it = selected(f);
	uint32_t have = f->hw.offset < it.len ? it.len - f->hw.offset : 0;

	if (have > len)
		have = len;
	if (have)
		memcpy(to, it.data + f->hw.offset, have);
	memset(to + have, 0, len - have);
	f->hw.offset += have;
}

static bool transfer(struct fwcfg *f, const struct access *a)
{
	uint32_t control = be32toh(a->control), len = be32toh(a->length);
	gpa_t gpa = be64toh(a->address);
	uint8_t *to;

	if (control & DMA_SELECT)
		select_key(f, (uint16_t)(control >> 16));
	if (control & DMA_WRITE)
		return false; /* no item can be written */
	if (control & DMA_READ) {
		to = len <= DMA_MAX ? mem_ptr(f->env.mem, gpa, len, true) : NULL;
		if (!to)
			return len == 0;
		take(f, to, len);
		mem_written(f->env.mem, gpa, len);
	} else if (control & DMA_SKIP) {
		uint32_t end = selected(f).len, left = f->hw.offset < end ? end - f->hw.offset : 0;

		f->hw.offset += len < left ? len : left;
	}
	return true;
}

/* The driver polls the descriptor's control word: zero, or the error bit. */
static void run_dma(struct fwcfg *f)
{
	gpa_t at = f->hw.dma;
	struct access a;
	uint32_t status;

	f->hw.dma = 0;
	if (!mem_read(f->env.mem, at, &a, sizeof(a))) {
		log_guest_error(&f->guest_errors, "fw-cfg: DMA descriptor outside the RAM");
		return;
	}
	status = transfer(f, &a) ? 0 : htobe32(DMA_ERROR);
	mem_write(f->env.mem, at, &status, sizeof(status));
}

static uint64_t select_read(void *dev, uint64_t off, unsigned size)
{
	uint8_t byte = 0;

	(void)size;
	if (off == 1)
		take(dev, &byte, 1);
	return byte;
}

static void select_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	if (off == 0 && size == 2)
		select_key(dev, (uint16_t)val);
}

static uint64_t dma_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)size;
	return be32toh((uint32_t)(off ? DMA_SIGNATURE : DMA_SIGNATURE >> 32));
}

static void dma_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct fwcfg *f = dev;
	uint32_t half = htobe32((uint32_t)val);

	(void)size;
	if (off == 0) {
		f->hw.dma = (uint64_t)half << 32;
		return;
	}
	f->hw.dma |= half;
	run_dma(f);
}

static const struct io_ops select_io = {select_read, select_write, 1 | 2};
static const struct io_ops dma_io = {dma_read, dma_write, 4};

/* ---- life ------------------------------------------------------------------------------------
 */

static void fwcfg_reset(struct device *d)
{
	((struct fwcfg *)d)->hw = (struct fwcfg_hw){0};
}

static void fwcfg_destroy(struct device *d)
{
	struct fwcfg *f = (struct fwcfg *)d;

	bus_remove(f->env.pio, FWCFG_PORT_SELECT, f);
	bus_remove(f->env.pio, FWCFG_PORT_DMA, f);
	for (unsigned i = 0; i < FWCFG_DIRECTORY; i++)
		free(f->item[i].data);
	for (unsigned i = 0; i < f->nfiles; i++)
		free(f->file[i].item.data);
	free(f);
}

static int fwcfg_create(struct device **out, const struct device_env *env, struct device_conf *conf,
			struct err *e)
{
	static const uint32_t id = 3; /* little-endian: ports, DMA */
	struct fwcfg *f = calloc(1, sizeof(*f));
	int rc;

	(void)conf;
	if (!f)
		return err_set(e, -ENOMEM, "fw-cfg: out of memory");
	f->dev.ops = &fwcfg_ops;
	f->env = *env;
	rc = bus_add(env->pio, FWCFG_PORT_SELECT, 2, &select_io, f, "fw-cfg", e);
	if (!rc)
		rc = bus_add(env->pio, FWCFG_PORT_DMA, 8, &dma_io, f, "fw-cfg-dma", e);
	if (!rc)
		rc = fwcfg_set_item(&f->dev, FWCFG_SIGNATURE, "QEMU", 4, e);
	if (!rc)
		rc = fwcfg_set_item(&f->dev, FWCFG_ID, &id, sizeof(id), e);
	if (rc) {
		fwcfg_destroy(&f->dev);
		return rc;
	}
	*out = &f->dev;
	return 0;
}

static void *fwcfg_hw(struct device *d)
{
	return &((struct fwcfg *)d)->hw;
}

static int fwcfg_loaded(struct device *d, struct err *e)
{
	(void)e;
	refresh((struct fwcfg *)d);
	return 0; /* every position is checked when it is used */
}

static const struct state_field fwcfg_fields[] = {
	ST(1, struct fwcfg_hw, key),
	ST(2, struct fwcfg_hw, offset),
	ST(3, struct fwcfg_hw, dma),
	ST_END,
};

static const struct state_desc fwcfg_state = {"fw-cfg", 1, sizeof(struct fwcfg_hw), fwcfg_fields};

const struct device_ops fwcfg_ops = {
	.name = "fw-cfg",
	.help = "what firmware reads about the machine",
	.create = fwcfg_create,
	.reset = fwcfg_reset,
	.destroy = fwcfg_destroy,
	.state = &fwcfg_state,
	.hw = fwcfg_hw,
	.loaded = fwcfg_loaded,
};
