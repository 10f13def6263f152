/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/net/netif.h"

#include <linux/sockios.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sched/timer.h"
#include "kernel/sys/random.h"
#include "kernel/sys/vfs.h"

#define MAX_NETIFS   64
#define MTU          1500
#define ARPHRD_ETHER 1 /* linux/if_arp.h wants a C library */

#define F_UP        1u
#define F_BROADCAST 2u
#define F_RUNNING   0x40u
#define F_MULTICAST 0x1000u

struct spinlock net_lock;
static struct netif *netifs[MAX_NETIFS]; /* by index - 1 */

/* ---- the list -------------------------------------------------------------------------------- */

static struct netif *by_name(const char *name)
{
	struct netif **n =
		ARRAY_FIND(struct netif *, i, netifs, MAX_NETIFS, *i && !strcmp((*i)->name, name));

	return n ? *n : NULL;
}

static struct netif *by_index(int index)
{
	return index > 0 && index <= MAX_NETIFS ? netifs[index - 1] : NULL;
}

/* The name comes from a program, so it is no format. */
static int give_name(struct netif *n, const char *name)
{
	const char *number = strchr(name, '%');
	unsigned i = 0;

	if (!name[0] || strlen(name) >= IFNAME_SIZE || strchr(name, '/') || strchr(name, ' ') ||
	    (number && strcmp(number, "%d")))
		return -EINVAL;
	strlcpy(n->name, name, IFNAME_SIZE);
	while (number && i < MAX_NETIFS && (!i || by_name(n->name)))
		snprintf(n->name, IFNAME_SIZE, "%.*s%u", (int)(number - name), name, i++);
	return by_name(n->name) ? -EBUSY : 0;
}

static int enter(struct netif *n, const char *name)
{
	int slot = 0, rc = n->index ? -EEXIST : give_name(n, name);

	while (slot < MAX_NETIFS && netifs[slot])
		slot++;
	if (rc || slot == MAX_NETIFS)
		return rc ? rc : -ENFILE;
	n->index = slot + 1;
	netifs[slot] = n;
	return 0;
}

int netif_add(struct netif *n, const char *name)
{
	static const uint8_t none[6];

	if (!memcmp(n->mac, none, sizeof(none))) {
		random_bytes(n->mac, sizeof(n->mac));
		n->mac[0] = (n->mac[0] & 0xfc) | 2; /* local, of one station */
	}
	SPIN_GUARD(&net_lock);
	return enter(n, name);
}

void netif_remove(struct netif *n)
{
	SPIN_GUARD(&net_lock);

	switch_leave(&n->port);
	netifs[n->index - 1] = NULL;
	n->index = 0;
}

/* ---- switches and uplinks -------------------------------------------------------------------- */

/* Programs tell a bridge by its folder in /sys. */
static struct netif *bridge_new(void)
{
	struct netif *n = must(kzalloc(sizeof(*n)), "a network switch");
	char path[64];

	n->bridge = must(kzalloc(sizeof(*n->bridge)), "a network switch");
	if (netif_add(n, "br%d"))
		panic("too many networks for a switch");
	n->port.up = n->running = true;
	snprintf(path, sizeof(path), "sys/class/net/%s/bridge", n->name);
	vfs_put(path, node_new(S_IFDIR | 0555));
	return n;
}

void net_init(void)
{
	bridge_new();
}

static void look_at_links(struct ktimer *timer)
{
	SPIN_GUARD(&net_lock);

	for (unsigned i = 0; i < MAX_NETIFS; i++) {
		struct netif *n = netifs[i];

		if (!n || !n->has_link || n->has_link(n) == n->running)
			continue;
		n->running = !n->running;
		klog("%s: link is %s", n->name, n->running ? "up" : "down");
	}
	timer_start(timer, now_ns() + NSEC_PER_SEC);
}

int netif_add_uplink(struct netif *n)
{
	static struct ktimer link_timer = {.fn = look_at_links};
	struct netif *bridge;
	char name[IFNAME_SIZE];
	int rc = netif_add(n, "eth%d");

	if (rc)
		return rc;
	snprintf(name, sizeof(name), "br%s", n->name + 3);
	LOCKED(&net_lock)
		bridge = by_name(name);
	if (!bridge)
		bridge = bridge_new();
	LOCKED(&net_lock) {
		n->port.up = n->port.uplink = true;
		switch_join(bridge->bridge, &n->port);
	}
	klog("%s: %02x:%02x:%02x:%02x:%02x:%02x, uplink of the switch %s", n->name, n->mac[0],
	     n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5], name);
	n->running = !n->has_link(n); /* so that the first look tells it */
	look_at_links(&link_timer);
	return 0;
}

bool netif_receive(struct netif *n, const void *frame, unsigned len)
{
	SPIN_GUARD(&net_lock);

	return switch_forward(&n->port, frame, len, now_ns());
}

bool netif_traffic(unsigned i, char name[IFNAME_SIZE], struct traffic t[2])
{
	SPIN_GUARD(&net_lock);
	struct netif *n = NULL;

	for (unsigned slot = 0; slot < MAX_NETIFS && !n; slot++)
		if (netifs[slot] && !i--)
			n = netifs[slot];
	if (n) {
		strlcpy(name, n->name, IFNAME_SIZE);
		t[0] = n->bridge ? n->bridge->through : n->port.in;
		t[1] = n->port.out;
	}
	return n;
}

/* ---- ioctls: what ifconfig, brctl and the VMM ask -------------------------------------------- */

static int add_port(struct netif *bridge, int index)
{
	struct netif *n = by_index(index);

	if (!bridge->bridge)
		return -EOPNOTSUPP;
	if (!n || n->bridge)
		return n ? -ELOOP : -EINVAL;
	if (n->port.joined)
		return -EBUSY;
	return switch_join(bridge->bridge, &n->port) ? 0 : -EXFULL;
}

/* -ENOTTY: nobody knows this request. */
static int do_request(struct netif *n, unsigned cmd, struct ifreq_k *r)
{
	switch (cmd) {
	case SIOCGIFINDEX:
		r->number = n->index;
		return 0;
	case SIOCGIFMTU:
		r->number = MTU;
		return 0;
	case SIOCGIFFLAGS:
		r->flags = F_BROADCAST | F_MULTICAST | (n->port.up ? F_UP : 0) |
			   (n->running ? F_RUNNING : 0);
		return 0;
	case SIOCSIFFLAGS:
		n->port.up = r->flags & F_UP;
		return 0;
	case SIOCGIFHWADDR:
		r->address.family = ARPHRD_ETHER;
		memcpy(r->address.mac, n->mac, sizeof(n->mac));
		return 0;
	case SIOCSIFHWADDR: /* of a VM's end: its card's, but for the first byte */
		if (n->bridge || n->has_link)
			return -EOPNOTSUPP;
		memcpy(n->mac, r->address.mac, sizeof(n->mac));
		n->port.card = n->mac;
		return 0;
	case SIOCBRADDIF:
		return add_port(n, r->number);
	}
	return -ENOTTY;
}

static int call(unsigned cmd, struct ifreq_k *r)
{
	static struct netif nobody; /* by which is seen whether somebody could be asked at all */
	SPIN_GUARD(&net_lock);
	struct netif *n = by_name(r->name);
	int rc = do_request(n ? n : &nobody, cmd, r);

	return n || rc == -ENOTTY ? rc : -ENODEV;
}

int64_t netif_ioctl(unsigned cmd, uint64_t arg)
{
	struct ifreq_k r;
	int rc, none = 0;

	if (cmd == SIOCGIFCONF) /* those with an IP address */
		return copy_to_user(arg, &none, sizeof(none));
	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	r.name[IFNAME_SIZE - 1] = 0;
	rc = call(cmd, &r);
	return rc ? rc : copy_to_user(arg, &r, sizeof(r));
}
