/* SPDX-License-Identifier: Apache-2.0 */
/* TAP interfaces in bridges of the host. (Linux: Documentation/networking/tuntap.rst.) */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/net/net.h"

#define TUN_DEVICE "/dev/net/tun"
#define NET_FOLDER "/sys/class/net"

/* Linux: Documentation/ABI/testing/sysfs-class-net. */
void net_each_bridge(void (*fn)(void *opaque, const char *name), void *opaque)
{
	DIR *d = opendir(NET_FOLDER);
	struct dirent *entry;
	char path[300];

	while (d && (entry = readdir(d))) {
		snprintf(path, sizeof(path), NET_FOLDER "/%s/bridge", entry->d_name);
		if (!access(path, F_OK))
			fn(opaque, entry->d_name);
	}
	if (d)
		closedir(d);
}

/* Names, each with a blank before it. */
struct list {
	char text[256];
	size_t len;
};

static void add_to_list(void *opaque, const char *name)
{
	struct list *l = opaque;

	if (l->len < sizeof(l->text))
		l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, " %s", name);
}

static int no_bridge(const char *name, struct err *e)
{
	struct list l = {0};

	net_each_bridge(add_to_list, &l);
	return err_set(e, -ENODEV, "%s is no bridge of this host; %s%s", name,
		       l.len ? "those it has:" : "it has none", l.text);
}

static int no_right(struct err *e, int code, const char *what)
{
	if (code == -EPERM || code == -EACCES)
		return err_set(e, code,
			       "%s: %s; a TAP interface needs root (CAP_NET_ADMIN): use --net user "
			       "or --net internal=NAME as an ordinary user",
			       what, strerror(-code));
	return err_set(e, code, "%s: %s", what, strerror(-code));
}

static int create(int fd, struct ifreq *r, struct err *e)
{
	memset(r, 0, sizeof(*r));
	r->ifr_flags = IFF_TAP | IFF_NO_PI;
	strcpy(r->ifr_name, "bton%d");
	return ioctl(fd, TUNSETIFF, r) ? no_right(e, -errno, TUN_DEVICE) : 0;
}

/*
 * The card's own address but for the first byte: as the host's end is not the card, it needs
 * another, and FEh is too large to become the bridge's. Our own kernel knows by it what is the
 * VM's.
 */
static int set_address(int s, const struct ifreq *tap, const uint8_t mac[6])
{
	struct ifreq r = *tap;

	memset(&r.ifr_hwaddr, 0, sizeof(r.ifr_hwaddr));
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	r.ifr_hwaddr.sa_data[0] = (char)0xfe;
	return ioctl(s, SIOCSIFHWADDR, &r);
}

/* Into the bridge, and up. */
static int join(const struct ifreq *tap, const char *bridge, const uint8_t mac[6], struct err *e)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;
	struct ifreq r = {0};

	if (s < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	r.ifr_ifindex = (int)if_nametoindex(tap->ifr_name);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", bridge);
	if (ioctl(s, SIOCBRADDIF, &r))
		rc = errno == EOPNOTSUPP ? no_bridge(bridge, e) : no_right(e, -errno, bridge);
	memcpy(r.ifr_name, tap->ifr_name, sizeof(r.ifr_name));
	r.ifr_flags = IFF_UP;
	if (!rc && (set_address(s, tap, mac) || ioctl(s, SIOCSIFFLAGS, &r)))
		rc = no_right(e, -errno, tap->ifr_name);
	close(s);
	return rc;
}

int net_open_tap(const char *bridge, const uint8_t mac[6], int *fd, struct err *e)
{
	struct ifreq tap;

	if (!if_nametoindex(bridge))
		return no_bridge(bridge, e);
	*fd = open(TUN_DEVICE, O_RDWR); /* goes along through exec() */
	if (*fd < 0)
		return no_right(e, -errno, TUN_DEVICE);
	if (create(*fd, &tap, e) || join(&tap, bridge, mac, e)) {
		close(*fd);
		*fd = -1;
		return e->code;
	}
	return 0;
}
