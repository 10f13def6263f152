/* SPDX-License-Identifier: Apache-2.0 */
/* A port that ends the VM with a status of the guest's choice: value v gives (v << 1) | 1. */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>

struct debugexit {
	struct device dev;
	const struct device_env *env;
	uint64_t port;
};

static uint64_t debugexit_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0;
}

static void debugexit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debugexit *x = dev;

	(void)off;
	(void)size;
	/* An exit status has eight bits; an odd one can't be mistaken for success. */
	x->env->event(x->env->opaque, MACHINE_EXIT, (int)((val << 1 | 1) & 0xff));
}

static const struct io_ops debugexit_io = {debugexit_read, debugexit_write, 1 | 2 | 4};

static void debugexit_reset(struct device *d)
{
	(void)d;
}

static void debugexit_destroy(struct device *d)
{
	struct debugexit *x = (struct debugexit *)d;

	bus_remove(x->env->pio, x->port, x);
	free(x);
}

static int debugexit_create(struct device **out, const struct device_env *env,
			    struct device_conf *conf, struct err *e)
{
	struct debugexit *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return err_set(e, -ENOMEM, "debug-exit: out of memory");
	x->dev.ops = &debugexit_ops;
	x->env = env;
	rc = device_conf_u64(conf, "port", 0xf4, 0, 0xfffc, &x->port, e);
	if (!rc)
		rc = bus_add(env->pio, x->port, 4, &debugexit_io, x, "debug-exit", e);
	if (rc) {
		debugexit_destroy(&x->dev);
		return rc;
	}
	*out = &x->dev;
	return 0;
}

const struct device_ops debugexit_ops = {
	.name = "debug-exit",
	.help = "ends the VM with the status written to a port [port=0xf4]",
	.create = debugexit_create,
	.reset = debugexit_reset,
	.destroy = debugexit_destroy,
};
