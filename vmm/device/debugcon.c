/* SPDX-License-Identifier: Apache-2.0 */
/* A port whose bytes go straight to the host: first words of firmware and test guests. */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/backend/chardev.h"

#define DEBUGCON_PRESENT 0xe9 /* what a read gives when the port exists */

struct debugcon {
	struct device dev;
	const struct device_env *env;
	struct chardev *chr; /* NULL: standard output */
	uint64_t port;
};

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return DEBUGCON_PRESENT;
}

static void debugcon_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debugcon *c = dev;
	uint8_t byte = (uint8_t)val;

	(void)off;
	(void)size;
	if (c->chr) {
		c->chr->ops->write(c->chr, &byte, 1);
		return;
	}
	putchar(byte);
	if (byte == '\n')
		fflush(stdout);
}

static const struct io_ops debugcon_io = {debugcon_read, debugcon_write, 1};

static void debugcon_reset(struct device *d)
{
	(void)d;
}

static void debugcon_destroy(struct device *d)
{
	struct debugcon *c = (struct debugcon *)d;

	if (!c->chr)
		fflush(stdout);
	bus_remove(c->env->pio, c->port, c);
	free(c);
}

static int debugcon_create(struct device **out, const struct device_env *env,
			   struct device_conf *conf, struct err *e)
{
	struct debugcon *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "debugcon: out of memory");
	c->dev.ops = &debugcon_ops;
	c->env = env;
	c->chr = conf->backend;
	rc = device_conf_u64(conf, "port", 0x402, 0, 0xffff, &c->port, e);
	if (!rc)
		rc = bus_add(env->pio, c->port, 1, &debugcon_io, c, "debugcon", e);
	if (rc) {
		debugcon_destroy(&c->dev);
		return rc;
	}
	*out = &c->dev;
	return 0;
}

const struct device_ops debugcon_ops = {
	.name = "debugcon",
	.help = "prints the bytes written to a port [port=0x402, chardev=file:PATH]",
	.takes_chardev = true,
	.create = debugcon_create,
	.reset = debugcon_reset,
	.destroy = debugcon_destroy,
};
