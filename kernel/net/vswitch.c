/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/net/vswitch.h"

#define WAYS 4 /* places that an address may have in a table */

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

/* Protocols between neighbours (spanning tree, pause, LACP) end at a bridge: 802.1D, table 7-10. */
static bool is_for_bridges(const uint8_t *mac)
{
	static const uint8_t prefix[] = {0x01, 0x80, 0xc2, 0, 0};

	return !memcmp(mac, prefix, sizeof(prefix)) && mac[5] < 16;
}

static bool is_source(const uint8_t *mac)
{
	static const uint8_t none[6];

	return !is_group(mac) && memcmp(mac, none, sizeof(none));
}

static struct mac_entry *ways_of(struct port *p, const uint8_t *mac)
{
	unsigned hash = (mac[3] * 31u + mac[4]) * 31u + mac[5] + mac[2];

	return &p->mac[hash * WAYS % PORT_MACS];
}

/* Where the port knows the address, and has seen it not too long ago. */
static struct mac_entry *known(struct port *p, const uint8_t *mac, uint64_t now)
{
	struct mac_entry *ways = ways_of(p, mac);

	return ARRAY_FIND(struct mac_entry, e, ways, WAYS,
			  e->seen && now - e->seen < SWITCH_AGE_NS && !memcmp(e->mac, mac, 6));
}

static struct mac_entry *oldest(struct port *p, const uint8_t *mac)
{
	struct mac_entry *e = ways_of(p, mac), *old = e;

	for (unsigned i = 1; i < WAYS; i++)
		if (e[i].seen < old->seen)
			old = &e[i];
	return old;
}

static bool is_card(const struct port *p, const uint8_t *mac)
{
	return p->card && !memcmp(p->card + 1, mac + 1, 5);
}

static struct port *owner_of(struct vswitch *s, const uint8_t *mac, uint64_t now)
{
	struct port **p = ARRAY_FIND(struct port *, i, s->port, s->nports, is_card(*i, mac));

	p = p ? p : ARRAY_FIND(struct port *, i, s->port, s->nports, known(*i, mac, now));
	return p ? *p : NULL;
}

/* False: the address is another's. */
static bool learn(struct port *from, const uint8_t *mac, uint64_t now)
{
	struct port *owner = owner_of(from->joined, mac, now);
	struct mac_entry *e = owner ? known(owner, mac, now) : NULL;

	if (owner && owner != from) {
		if (!is_card(from, mac) && (is_card(owner, mac) || !from->uplink))
			return false;
		if (e)
			e->seen = 0;
		e = NULL;
	}
	if (!e)
		e = oldest(from, mac);
	memcpy(e->mac, mac, 6);
	e->seen = now;
	return true;
}

static void count(struct traffic *t, unsigned len)
{
	t->packets++;
	t->bytes += len;
}

static void deliver(struct port *to, const void *frame, unsigned len)
{
	if (to->up && to->send(to, frame, len))
		count(&to->out, len);
	else
		to->out.dropped++;
}

bool switch_forward(struct port *from, const void *frame, unsigned len, uint64_t now)
{
	const uint8_t *to = frame, *source = to + 6;
	struct vswitch *s = from->joined;
	struct port *owner;

	if (len < FRAME_MIN || len > FRAME_MAX) {
		from->in.errors++;
		return false;
	}
	count(&from->in, len);
	if (!s || !from->up || is_for_bridges(to) || !is_source(source) ||
	    !learn(from, source, now)) {
		from->in.dropped++;
		return true;
	}
	count(&s->through, len);
	owner = is_group(to) ? NULL : owner_of(s, to, now);
	for (unsigned i = 0; i < s->nports; i++)
		if (s->port[i] != from && (!owner || s->port[i] == owner))
			deliver(s->port[i], frame, len);
	return true;
}

bool switch_join(struct vswitch *s, struct port *p)
{
	if (s->nports == SWITCH_PORTS)
		return false;
	s->port[s->nports++] = p;
	p->joined = s;
	return true;
}

void switch_leave(struct port *p)
{
	struct vswitch *s = p->joined;
	unsigned i = 0;

	if (!s)
		return;
	while (s->port[i] != p)
		i++;
	s->port[i] = s->port[--s->nports];
	memset(p->mac, 0, sizeof(p->mac));
	p->joined = NULL;
}
