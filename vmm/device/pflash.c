/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flash commands (Intel, "Common Flash Memory Interface" and 28F320 data sheet, table 4): program a
 * byte, program a buffer, erase a block, read the status. While the chip shows its status, every
 * byte of the ROM slot holds it; otherwise the slot holds the content.
 */
#include "vmm/device/pflash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

enum command {
	CMD_PROGRAM = 0x10,
	CMD_ERASE = 0x20,
	CMD_PROGRAM_ALT = 0x40,
	CMD_CLEAR_STATUS = 0x50,
	CMD_LOCK = 0x60,
	CMD_READ_STATUS = 0x70,
	CMD_CONFIRM = 0xd0,
	CMD_BUFFER = 0xe8,
	CMD_READ_ARRAY = 0xff,
};

#define STATUS_READY 0x80
#define BLOCK        4096u /* what an erase covers, as OVMF's builds have it */
#define BUFFER_MAX   64u   /* bytes of a buffered write */

struct pflash_hw {
	uint8_t command; /* the first cycle of a command under way; CMD_READ_ARRAY: none */
	uint8_t status;
	uint8_t shows_status;
	uint32_t left; /* CMD_BUFFER: cycles to come, 0: the count is next */
};

struct pflash {
	struct device dev;
	struct pflash_hw hw;
	struct device_env env;
	struct pflash_conf conf;
};

/* ---- what a guest reads ---------------------------------------------------------------------- */

static void show_content(struct pflash *p)
{
	if (!p->hw.shows_status)
		return;
	p->hw.shows_status = 0;
	memcpy(p->conf.rom, p->conf.data, p->conf.size);
	mem_written(p->env.mem, p->conf.gpa, p->conf.size);
}

static void show_status(struct pflash *p)
{
	p->hw.shows_status = 1;
	memset(p->conf.rom, p->hw.status, p->conf.size);
	mem_written(p->env.mem, p->conf.gpa, p->conf.size);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void changed(struct pflash *p, uint64_t off, uint64_t len)
{
	if (!p->hw.shows_status) {
		memcpy(p->conf.rom + off, p->conf.data + off, len);
		mem_written(p->env.mem, p->conf.gpa + off, len);
	}
	p->conf.changed(p->conf.opaque);
}

/* Programming only clears bits. */
static void program(struct pflash *p, uint64_t off, unsigned size, uint64_t val)
{
	for (unsigned i = 0; i < size; i++)
		p->conf.data[off + i] &= (uint8_t)(val >> 8 * i);
	changed(p, off, size);
}

static void erase(struct pflash *p, uint64_t off)
{
	off = align_down(off, BLOCK);
	memset(p->conf.data + off, 0xff, BLOCK);
	changed(p, off, BLOCK);
}

/* ---- command cycles -------------------------------------------------------------------------- */

static void first_cycle(struct pflash *p, uint8_t command)
{
	switch (command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT:
	case CMD_ERASE:
	case CMD_LOCK:
	case CMD_BUFFER:
		p->hw.command = command;
		p->hw.left = 0;
		break;
	case CMD_READ_STATUS:
		show_status(p);
		break;
	case CMD_CLEAR_STATUS:
		p->hw.status = 0;
		show_content(p);
		break;
	default: /* CMD_READ_ARRAY, and what the chip does not know */
		show_content(p);
	}
}

static void finish(struct pflash *p)
{
	p->hw.command = CMD_READ_ARRAY;
	p->hw.status |= STATUS_READY;
	if (p->hw.shows_status)
		show_status(p);
}

/* Count less one, that many data cycles, then the confirmation. */
static void buffer_cycle(struct pflash *p, uint64_t off, unsigned size, uint64_t val)
{
	if (!p->hw.left) {
		p->hw.left = (val & 0xff) % BUFFER_MAX + 2;
		return;
	}
	if (--p->hw.left)
		program(p, off, size, val);
	else
		finish(p);
}

static void next_cycle(struct pflash *p, uint64_t off, unsigned size, uint64_t val)
{
	switch (p->hw.command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT:
		program(p, off, size, val);
		break;
	case CMD_ERASE:
		if ((val & 0xff) == CMD_CONFIRM)
			erase(p, off);
		break;
	case CMD_BUFFER:
		buffer_cycle(p, off, size, val);
		return;
	default: /* CMD_LOCK: blocks are never locked */
		break;
	}
	finish(p);
}

static void pflash_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pflash *p = dev;

	if (p->hw.command == CMD_READ_ARRAY)
		first_cycle(p, (uint8_t)val);
	else
		next_cycle(p, off, size, val);
}

/* Only an engine that cannot map the slot would ask. */
static uint64_t pflash_read(void *dev, uint64_t off, unsigned size)
{
	const struct pflash *p = dev;
	uint64_t val = 0;

	memcpy(&val, p->conf.rom + off, size);
	return val;
}

static const struct io_ops pflash_io = {pflash_read, pflash_write, 1 | 2 | 4 | 8};

/* ---- life ------------------------------------------------------------------------------------ */

static void pflash_reset(struct device *d)
{
	struct pflash *p = (struct pflash *)d;

	p->hw = (struct pflash_hw){.command = CMD_READ_ARRAY, .shows_status = 1};
	show_content(p);
}

static void pflash_destroy(struct device *d)
{
	struct pflash *p = (struct pflash *)d;

	bus_remove(p->env.mmio, p->conf.gpa, p);
	free(p);
}

static int pflash_create(struct device **out, const struct device_env *env,
			 struct device_conf *conf, struct err *e)
{
	struct pflash *p;

	if (!conf->backend)
		return err_set(e, -EINVAL, "pflash: it comes with the firmware; use --nvram FILE");
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "pflash: out of memory");
	p->dev.ops = &pflash_ops;
	p->env = *env;
	p->conf = *(const struct pflash_conf *)conf->backend;
	if (bus_add(env->mmio, p->conf.gpa, p->conf.size, &pflash_io, p, "pflash", e)) {
		free(p);
		return e->code;
	}
	pflash_reset(&p->dev);
	*out = &p->dev;
	return 0;
}

static void *pflash_hw(struct device *d)
{
	return &((struct pflash *)d)->hw;
}

static bool command_ok(uint8_t c)
{
	return c == CMD_READ_ARRAY || c == CMD_PROGRAM || c == CMD_PROGRAM_ALT || c == CMD_ERASE ||
	       c == CMD_LOCK || c == CMD_BUFFER;
}

static int pflash_loaded(struct device *d, struct err *e)
{
	struct pflash *p = (struct pflash *)d;

	if (!command_ok(p->hw.command))
		return err_set(e, -EINVAL, "pflash: command: %#x is none with a second cycle",
			       p->hw.command);
	if (p->hw.left > BUFFER_MAX + 1)
		return err_set(e, -EINVAL, "pflash: left: more than a buffer holds");
	if (p->hw.shows_status) {
		show_status(p);
	} else {
		p->hw.shows_status = 1;
		show_content(p);
	}
	return 0;
}

static const struct state_field pflash_fields[] = {
	ST(1, struct pflash_hw, command),
	ST(2, struct pflash_hw, status),
	ST(3, struct pflash_hw, shows_status),
	ST(4, struct pflash_hw, left),
	ST_END,
};

static const struct state_desc pflash_state = {"pflash", 1, sizeof(struct pflash_hw),
					       pflash_fields};

const struct device_ops pflash_ops = {
	.name = "pflash",
	.help = "flash chip of UEFI's variables; made by --nvram",
	.create = pflash_create,
	.reset = pflash_reset,
	.destroy = pflash_destroy,
	.state = &pflash_state,
	.hw = pflash_hw,
	.loaded = pflash_loaded,
};
