/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a PC/AT reports x87 errors while CR0.NE is 0: the processor's FERR# raises IRQ 13, any write
 * to port F0h lowers it (and would assert IGNNE#, which the engines do without: handlers clear the
 * error before they return).
 */
#include "vmm/device/fpuerror.h"

#include <errno.h>
#include <stdlib.h>

#define PORT 0xf0
#define IRQ  13

struct fpuerror {
	struct device dev;
	const struct device_env *env;
	struct irq_line line;
	struct fpuerror_hw {
		uint8_t asserted;
	} hw;
};

static const struct state_field fields[] = {
	ST(1, struct fpuerror_hw, asserted),
	ST_END,
};
static const struct state_desc fpuerror_state = {
	.name = "fpu-error", .version = 1, .size = sizeof(struct fpuerror_hw), .fields = fields};

static void set(struct fpuerror *f, bool asserted)
{
	f->hw.asserted = asserted;
	irq_set(&f->line, asserted);
}

static uint64_t fpuerror_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	return size < 8 ? (1ull << 8 * size) - 1 : ~0ull;
}

static void fpuerror_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)off;
	(void)size;
	(void)val;
	set(dev, false);
}

static const struct io_ops fpuerror_io = {fpuerror_read, fpuerror_write, 1 | 2 | 4};

void fpuerror_assert(struct device *d)
{
	set((struct fpuerror *)d, true);
}

static void fpuerror_reset(struct device *d)
{
	set((struct fpuerror *)d, false);
}

static void *fpuerror_hw(struct device *d)
{
	return &((struct fpuerror *)d)->hw;
}

static int fpuerror_loaded(struct device *d, struct err *e)
{
	struct fpuerror *f = (struct fpuerror *)d;

	if (f->hw.asserted > 1)
		return err_set(e, -EINVAL, "fpu-error: asserted is %u, must be 0 or 1",
			       f->hw.asserted);
	set(f, f->hw.asserted);
	return 0;
}

static void fpuerror_destroy(struct device *d)
{
	struct fpuerror *f = (struct fpuerror *)d;

	bus_remove(f->env->pio, PORT, f);
	free(f);
}

static int fpuerror_create(struct device **out, const struct device_env *env,
			   struct device_conf *conf, struct err *e)
{
	struct fpuerror *f = calloc(1, sizeof(*f));

	(void)conf;
	if (!f)
		return err_set(e, -ENOMEM, "fpu-error: out of memory");
	f->dev.ops = &fpuerror_ops;
	f->env = env;
	f->line = (struct irq_line){env->irq, IRQ};
	if (bus_add(env->pio, PORT, 1, &fpuerror_io, f, "fpu-error", e)) {
		free(f);
		return e->code;
	}
	*out = &f->dev;
	return 0;
}

const struct device_ops fpuerror_ops = {
	.name = "fpu-error",
	.help = "IRQ 13 for x87 errors, as a PC/AT reports them",
	.create = fpuerror_create,
	.reset = fpuerror_reset,
	.destroy = fpuerror_destroy,
	.state = &fpuerror_state,
	.hw = fpuerror_hw,
	.loaded = fpuerror_loaded,
};
