/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual network at work: bridge with an address, NAT by nftables, addresses and names by
 * dnsmasq. What a keeper that was killed left behind is taken over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/net/net.h"

#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"
#define LEASE_TIME "12h"

struct member {
	struct keeper *keeper;
	int fd;
	unsigned slot;
};

struct network {
	struct netdef def;
	struct member member[KEEPER_MAX_VMS];
};

/* ---- the bridge ----------------------------------------------------------------------------- */

static int set_address(int s, const struct netdef *d, unsigned long request, struct in_addr a)
{
	struct ifreq r = {0};
	struct sockaddr_in *to = (struct sockaddr_in *)&r.ifr_addr;

	strcpy(r.ifr_name, d->bridge);
	to->sin_family = AF_INET;
	to->sin_addr = a;
	return ioctl(s, request, &r);
}

static int set_flags(int s, const struct netdef *d, short flags)
{
	struct ifreq r = {0};

	strcpy(r.ifr_name, d->bridge);
	r.ifr_flags = flags;
	return ioctl(s, SIOCSIFFLAGS, &r);
}

static int make_bridge(const struct netdef *d, struct err *e)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	if (ioctl(s, SIOCBRADDBR, d->bridge) && errno != EEXIST)
		rc = err_set(e, -errno,
			     "network %s: a bridge cannot be made: %s; virtual networks need root "
			     "(CAP_NET_ADMIN): use --net user or --net internal=NAME otherwise",
			     d->name, strerror(errno));
	if (!rc && (set_address(s, d, SIOCSIFADDR, netdef_host(d)) ||
		    set_address(s, d, SIOCSIFNETMASK, netdef_mask(d)) || set_flags(s, d, IFF_UP)))
		rc = err_set(e, -errno, "network %s: bridge %s: %s", d->name, d->bridge,
			     strerror(errno));
	close(s);
	return rc;
}

static void remove_bridge(const struct netdef *d)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_flags(s, d, 0);
	ioctl(s, SIOCBRDELBR, d->bridge);
	close(s);
}

/* ---- packet filter -------------------------------------------------------------------------- */

static int run_nft(const char *script, struct err *e)
{
	char *argv[] = {"nft", "-f", "-", NULL};

	return net_run(argv, script, -1, e);
}

/* Out with a borrowed address, in only what belongs to that; isolated ones neither. */
static int add_rules(const struct netdef *d, struct err *e)
{
	char script[1024], subnet[INET_ADDRSTRLEN];
	const char *b = d->bridge;

	inet_ntop(AF_INET, &d->subnet, subnet, sizeof(subnet));
	if (d->isolated)
		snprintf(script, sizeof(script),
			 "table ip %s\ndelete table ip %s\ntable ip %s {\n"
			 "chain forward { type filter hook forward priority filter;\n"
			 "iifname \"%s\" oifname != \"%s\" drop\n"
			 "oifname \"%s\" iifname != \"%s\" drop\n}\n}\n",
			 b, b, b, b, b, b, b);
	else
		snprintf(script, sizeof(script),
			 "table ip %s\ndelete table ip %s\ntable ip %s {\n"
			 "chain forward { type filter hook forward priority filter;\n"
			 "oifname \"%s\" iifname != \"%s\" ct state != { established, related } "
			 "drop\n}\n"
			 "chain postrouting { type nat hook postrouting priority srcnat;\n"
			 "ip saddr %s/%u ip daddr != %s/%u masquerade\n}\n}\n",
			 b, b, b, b, b, subnet, d->prefix, subnet, d->prefix);
	return run_nft(script, e);
}

static void remove_rules(const struct netdef *d)
{
	char script[64];

	snprintf(script, sizeof(script), "delete table ip %s\n", d->bridge);
	run_nft(script, NULL);
}

/* It stays on: other networks of the host may have come to need it. */
static int forward_packets(struct err *e)
{
	int fd = open(IP_FORWARD, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0 || write(fd, "1\n", 2) != 2)
		rc = err_set(e, -errno, IP_FORWARD ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- DHCP and DNS --------------------------------------------------------------------------- */

/* The process in the pid file, if it is still a dnsmasq. */
static void stop_dnsmasq(struct keeper *k)
{
	char path[PATH_SIZE], comm[64], name[16] = "";
	FILE *f;
	int pid = 0;

	if (netdef_path(k->manager, k->name, "pid", path, NULL))
		return;
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	snprintf(comm, sizeof(comm), "/proc/%d/comm", pid);
	f = pid > 1 ? fopen(comm, "re") : NULL;
	if (f && fgets(name, sizeof(name), f) && !strcmp(name, "dnsmasq\n"))
		kill(pid, SIGTERM);
	if (f)
		fclose(f);
	unlink(path);
}

static int start_dnsmasq(struct keeper *k, const struct netdef *d, struct err *e)
{
	char interface[40], listen[40], range[100], leases[PATH_SIZE + 20], pid[PATH_SIZE + 20];
	char file[PATH_SIZE], address[3][INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN];
	struct in_addr a[3] = {netdef_host(d), netdef_first(d), netdef_last(d)};
	struct in_addr m = netdef_mask(d);
	char *argv[] = {"dnsmasq",
			"--conf-file=/dev/null",
			"--bind-interfaces",
			"--no-hosts",
			"--except-interface=lo",
			"--dhcp-authoritative",
			"--domain-needed",
			interface,
			listen,
			range,
			leases,
			pid,
			d->isolated ? "--dhcp-option=3" : NULL, /* no router */
			d->isolated ? "--no-resolv" : NULL,
			NULL};

	for (unsigned i = 0; i < 3; i++)
		inet_ntop(AF_INET, &a[i], address[i], sizeof(address[i]));
	inet_ntop(AF_INET, &m, mask, sizeof(mask));
	snprintf(interface, sizeof(interface), "--interface=%s", d->bridge);
	snprintf(listen, sizeof(listen), "--listen-address=%s", address[0]);
	snprintf(range, sizeof(range), "--dhcp-range=%s,%s,%s," LEASE_TIME, address[1], address[2],
		 mask);
	if (netdef_path(k->manager, d->name, "leases", file, e))
		return e->code;
	snprintf(leases, sizeof(leases), "--dhcp-leasefile=%s", file);
	if (netdef_path(k->manager, d->name, "pid", file, e))
		return e->code;
	snprintf(pid, sizeof(pid), "--pid-file=%s", file);
	return net_run(argv, NULL, -1, e);
}

/* ---- the keeper's functions ----------------------------------------------------------------- */

static void down(struct keeper *k)
{
	struct network *n = k->opaque;

	stop_dnsmasq(k);
	remove_rules(&n->def);
	remove_bridge(&n->def);
	free(n);
}

static int up(struct keeper *k, struct err *e)
{
	struct network *n = calloc(1, sizeof(*n));

	k->opaque = n;
	if (!n)
		return err_set(e, -ENOMEM, "out of memory");
	if (netdef_load(k->manager, k->name, &n->def, e) || make_bridge(&n->def, e)) {
		free(n);
		return e->code;
	}
	stop_dnsmasq(k);
	if (add_rules(&n->def, e) || (!n->def.isolated && forward_packets(e)) ||
	    start_dnsmasq(k, &n->def, e)) {
		down(k);
		return e->code;
	}
	return 0;
}

/* Nothing is said on the connection: its end is the message. */
static void hung_up(void *opaque, uint32_t events)
{
	struct member *m = opaque;
	char byte;

	(void)events;
	if (recv(m->fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_unwatch(m->keeper->loop, m->fd);
	keeper_leave(m->keeper, m->slot);
}

static int joined(struct keeper *k, unsigned slot, int fd)
{
	struct member *m = &((struct network *)k->opaque)->member[slot];

	*m = (struct member){k, fd, slot};
	return loop_watch(k->loop, fd, EPOLLIN, hung_up, m);
}

static void left(struct keeper *k, unsigned slot)
{
	close(((struct network *)k->opaque)->member[slot].fd);
}

const struct keeper_kind keeper_network = {"network", up, down, joined, left};
