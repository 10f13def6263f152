/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254 interval timer on its ports and port 61h, with a timer for its edges; x86/pit.c is the
 * chip. */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/chips.h"

struct pit {
	struct device dev;
	struct pit_hw hw;
	const struct device_env *env;
	struct irq_line irq;
	struct clock_timer timer;
	uint64_t last_edge_ns;
};

#define CHANNEL(n)                                                                               \
	ST((n)*16 + 1, struct pit_hw, ch[n].start), ST((n)*16 + 2, struct pit_hw, ch[n].frozen), \
		ST((n)*16 + 3, struct pit_hw, ch[n].count),                                      \
		ST((n)*16 + 4, struct pit_hw, ch[n].latch),                                      \
		ST((n)*16 + 5, struct pit_hw, ch[n].control),                                    \
		ST((n)*16 + 6, struct pit_hw, ch[n].is_loaded),                                  \
		ST((n)*16 + 7, struct pit_hw, ch[n].gate),                                       \
		ST((n)*16 + 8, struct pit_hw, ch[n].write_low),                                  \
		ST((n)*16 + 9, struct pit_hw, ch[n].write_second),                               \
		ST((n)*16 + 10, struct pit_hw, ch[n].read_second),                               \
		ST((n)*16 + 11, struct pit_hw, ch[n].latched),                                   \
		ST((n)*16 + 12, struct pit_hw, ch[n].status),                                    \
		ST((n)*16 + 13, struct pit_hw, ch[n].status_latched)

static const struct state_field pit_fields[] = {CHANNEL(0), CHANNEL(1), CHANNEL(2),
						ST(64, struct pit_hw, port61), ST_END};
const struct state_desc pit_state = {"pit", 1, sizeof(struct pit_hw), pit_fields};

static uint64_t now_ticks(const struct pit *p)
{
	return pit_ticks_at(clock_now(p->env->clock));
}

static void pit_arm(struct pit *p)
{
	uint64_t ns = pit_hw_next_edge(&p->hw, now_ticks(p), p->last_edge_ns);

	if (ns)
		clock_timer_set(&p->timer, ns);
	else
		clock_timer_cancel(&p->timer);
}

static void pit_edge(void *opaque)
{
	struct pit *p = opaque;

	p->last_edge_ns = clock_now(p->env->clock);
	irq_set(&p->irq, false);
	irq_set(&p->irq, true);
	pit_arm(p);
}

static void pit_changed(struct pit *p)
{
	irq_set(&p->irq, pit_hw_line(&p->hw, now_ticks(p)));
	pit_arm(p);
}

static void pit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pit *p = dev;

	(void)size;
	if (pit_hw_write(&p->hw, (unsigned)off, (uint8_t)val, now_ticks(p)))
		pit_changed(p);
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
	struct pit *p = dev;

	(void)size;
	return pit_hw_read(&p->hw, (unsigned)off, now_ticks(p));
}

static uint64_t port61_read(void *dev, uint64_t off, unsigned size)
{
	struct pit *p = dev;

	(void)off;
	(void)size;
	return pit_hw_read61(&p->hw, now_ticks(p));
}

static void port61_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pit *p = dev;

	(void)off;
	(void)size;
	pit_hw_write61(&p->hw, (uint8_t)val, now_ticks(p));
}

static const struct io_ops pit_io = {pit_read, pit_write, 1};
static const struct io_ops port61_io = {port61_read, port61_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void pit_reset(struct device *d)
{
	struct pit *p = (struct pit *)d;

	pit_hw_reset(&p->hw);
	pit_changed(p);
}

static void pit_destroy(struct device *d)
{
	struct pit *p = (struct pit *)d;

	clock_timer_cancel(&p->timer);
	bus_remove(p->env->pio, 0x40, p);
	bus_remove(p->env->pio, 0x61, p);
	free(p);
}

static void *pit_hw(struct device *d)
{
	return &((struct pit *)d)->hw;
}

static int pit_loaded(struct device *d, struct err *e)
{
	struct pit *p = (struct pit *)d;
	int bad = pit_hw_bad_channel(&p->hw);

	if (bad >= 0)
		return err_set(e, -EINVAL, "pit: channel %d is in no possible state", bad);
	pit_changed(p);
	return 0;
}

static int pit_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		      struct err *e)
{
	struct pit *p = calloc(1, sizeof(*p));
	uint64_t irq = 0;
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "pit: out of memory");
	p->dev.ops = &pit_ops;
	p->env = env;
	clock_timer_init(&p->timer, env->clock, pit_edge, p);
	rc = device_conf_u64(conf, "irq", 0, 0, IRQ_NGSI - 1, &irq, e);
	if (!rc)
		rc = bus_add(env->pio, 0x40, 4, &pit_io, p, "pit", e);
	if (!rc)
		rc = bus_add(env->pio, 0x61, 1, &port61_io, p, "port61", e);
	if (rc) {
		pit_destroy(&p->dev);
		return rc;
	}
	p->irq = (struct irq_line){env->irq, (unsigned)irq, env->timers_replaced};
	pit_reset(&p->dev);
	*out = &p->dev;
	return 0;
}

const struct device_ops pit_ops = {
	.name = "pit",
	.help = "8254 interval timer and port 61h",
	.create = pit_create,
	.reset = pit_reset,
	.destroy = pit_destroy,
	.state = &pit_state,
	.hw = pit_hw,
	.loaded = pit_loaded,
};
