/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An internal network: an Ethernet switch of which each port is a VM's stream socket. It learns
 * which address is behind which port; what is for nobody it knows goes to all others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/net/net.h"
#include "vmm/backend/netdev.h"

#define TABLE_SIZE 1024 /* addresses; a power of two */
#define MAX_AGE_NS 300000000000ull
#define NO_PORT    KEEPER_MAX_VMS

struct port {
	struct keeper *keeper;
	struct netdev *net; /* NULL: nobody is there */
	unsigned number;
};

struct station {
	uint8_t mac[6];
	uint8_t port;
	uint64_t seen; /* ns; 0: an empty row */
};

struct ether_switch {
	struct port port[KEEPER_MAX_VMS];
	struct station table[TABLE_SIZE];
};

static struct station *row_of(struct ether_switch *s, const uint8_t mac[6])
{
	unsigned hash = 0;

	for (unsigned i = 0; i < 6; i++)
		hash = hash * 31 + mac[i];
	return &s->table[hash % TABLE_SIZE];
}

/* A collision forgets the older one: its frames go everywhere until it speaks again. */
static void learn(struct ether_switch *s, const uint8_t mac[6], unsigned port)
{
	struct station *r = row_of(s, mac);

	if (mac[0] & 1)
		return; /* no station has a group's address */
	memcpy(r->mac, mac, 6);
	r->port = (uint8_t)port;
	r->seen = loop_now();
}

static unsigned look_up(struct ether_switch *s, const uint8_t mac[6])
{
	const struct station *r = row_of(s, mac);

	if (mac[0] & 1 || !r->seen || memcmp(r->mac, mac, 6) || loop_now() - r->seen > MAX_AGE_NS)
		return NO_PORT;
	return r->port;
}

static void send_to(struct port *p, const uint8_t *frame, size_t len)
{
	struct iovec iov = {(void *)frame, len};

	if (p->net)
		p->net->ops->send(p->net, &iov, 1);
}

/* Bytes: destination, source, type (IEEE 802.3). What a port does not take in time is lost there.
 */
static bool receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct port *from = opaque;
	struct ether_switch *s = from->keeper->opaque;
	unsigned to = look_up(s, frame);

	learn(s, frame + 6, from->number);
	if (to != NO_PORT && s->port[to].net) {
		if (to != from->number)
			send_to(&s->port[to], frame, len);
		return true;
	}
	for (unsigned i = 0; i < KEEPER_MAX_VMS; i++)
		if (i != from->number)
			send_to(&s->port[i], frame, len);
	return true;
}

static void batch_done(void *opaque)
{
	struct ether_switch *s = ((struct port *)opaque)->keeper->opaque;

	for (unsigned i = 0; i < KEEPER_MAX_VMS; i++)
		if (s->port[i].net)
			s->port[i].net->ops->flush(s->port[i].net);
}

static void gone(void *opaque)
{
	struct port *p = opaque;

	keeper_leave(p->keeper, p->number);
}

static int up(struct keeper *k, struct err *e)
{
	k->opaque = calloc(1, sizeof(struct ether_switch));
	return k->opaque ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static void down(struct keeper *k)
{
	free(k->opaque);
}

static int joined(struct keeper *k, unsigned slot, int fd)
{
	struct port *p = &((struct ether_switch *)k->opaque)->port[slot];
	int rc = netdev_stream_open(fd, k->loop, &p->net, NULL);

	if (rc)
		return rc;
	p->keeper = k;
	p->number = slot;
	p->net->client = (struct netdev_client){
		.receive = receive, .batch_done = batch_done, .gone = gone, .opaque = p};
	return 0;
}

static void left(struct keeper *k, unsigned slot)
{
	struct ether_switch *s = k->opaque;
	struct port *p = &s->port[slot];

	p->net->ops->destroy(p->net);
	p->net = NULL;
	for (unsigned i = 0; i < TABLE_SIZE; i++) /* the next one here is somebody else */
		if (s->table[i].port == slot)
			s->table[i].seen = 0;
}

const struct keeper_kind keeper_internal = {"internal", up, down, joined, left};
