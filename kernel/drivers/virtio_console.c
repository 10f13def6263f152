/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio console (OASIS virtio 1.2, 5.3): the first port only. It shows what all consoles show,
 * from the moment on that it is found. */
#include "kernel/drivers/console.h"
#include "kernel/drivers/drivers.h"
#include "kernel/drivers/virtio.h"
#include "kernel/mm/layout.h"
#include "kernel/sched/timer.h"
#include "kernel/sys/tty.h"

#define NTEXTS     32u
#define TEXT_BYTES 128u
#define SLOW_US    20000 /* so long is waited for who reads what is shown */

static struct console {
	struct virtio dev;
	struct virtq in, out;
	char (*text)[TEXT_BYTES]; /* NTEXTS of each queue, those of `in` first */
	unsigned used;            /* of those of `out`: the rest were never offered */
	bool stuck;               /* nobody reads: what is shown meanwhile is lost */
} * console;

/* For the next piece of output; NULL: there is none. */
static char *room(struct console *c)
{
	uint32_t none;
	char *t = virtq_take(&c->out, &none);

	if (!t && c->used < c->out.size)
		return c->text[NTEXTS + c->used++];
	for (unsigned us = 0; !t && !c->stuck && us < SLOW_US; us++) {
		delay_us(1);
		t = virtq_take(&c->out, &none);
	}
	c->stuck = !t;
	return t;
}

void virtio_console_put(const char *s, size_t n)
{
	char *t;

	for (size_t part; console && n && (t = room(console)); s += part, n -= part) {
		part = MIN(n, TEXT_BYTES);
		memcpy(t, s, part);
		virtq_offer(&console->out, t, part, false);
		virtq_kick(&console->out);
	}
}

static void receive(void *opaque)
{
	struct console *c = opaque;
	uint32_t len;
	char *t;

	for (unsigned i = 0; i < NTEXTS && (t = virtq_take(&c->in, &len)); i++) {
		tty_input(t, len);
		virtq_offer(&c->in, t, TEXT_BYTES, true);
	}
	virtq_kick(&c->in);
}

int virtio_console_probe(struct pci_device *d)
{
	struct console *c = pci_alloc(d, sizeof(*c));
	int rc;

	if (console)
		return -EBUSY;
	if (!c || !(c->text = pci_alloc(d, 2 * NTEXTS * TEXT_BYTES)))
		return -ENOMEM;
	rc = virtio_start(&c->dev, d, 0);
	if (!rc)
		rc = virtq_start(&c->in, &c->dev, 0, NTEXTS, receive, c);
	if (!rc)
		rc = virtq_start(&c->out, &c->dev, 1, NTEXTS, NULL, NULL);
	for (unsigned i = 0; !rc && i < c->in.size; i++)
		rc = virtq_offer(&c->in, c->text[i], TEXT_BYTES, true);
	if (rc)
		return rc;
	c->out.quiet = true;
	virtio_ready(&c->dev);
	virtq_kick(&c->in);
	__atomic_store_n(&console, c, __ATOMIC_RELEASE);
	klog("pci %s: one more console", d->name);
	return 0;
}
