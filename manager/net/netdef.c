/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of virtual networks: JSON files, checked when they are read. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/net/net.h"

#define FILE_MAX    4096
#define PREFIX_MIN  16
#define PREFIX_MAX  29
#define AUTO_SUBNET 0x0a4d0000u /* 10.77.0.0, and 255 more */

/* ---- addresses ------------------------------------------------------------------------------ */

static struct in_addr at(const struct netdef *d, uint32_t n)
{
	return (struct in_addr){htonl(ntohl(d->subnet.s_addr) + n)};
}

struct in_addr netdef_mask(const struct netdef *d)
{
	return (struct in_addr){htonl(UINT32_MAX << (32 - d->prefix))};
}

struct in_addr netdef_host(const struct netdef *d)
{
	return at(d, 1);
}

struct in_addr netdef_first(const struct netdef *d)
{
	return at(d, 2);
}

struct in_addr netdef_last(const struct netdef *d)
{
	return at(d, (1u << (32 - d->prefix)) - 2);
}

static bool overlap(const struct netdef *d, struct in_addr other, struct in_addr mask)
{
	uint32_t m = netdef_mask(d).s_addr & mask.s_addr;

	return ((d->subnet.s_addr ^ other.s_addr) & m) == 0;
}

static int parse_subnet(struct netdef *d, const char *text, struct err *e)
{
	char address[INET_ADDRSTRLEN] = "";
	unsigned prefix;
	int used = 0;

	if (!text || sscanf(text, "%15[0-9.]/%2u%n", address, &prefix, &used) != 2 || text[used] ||
	    inet_pton(AF_INET, address, &d->subnet) != 1)
		return err_set(e, -EINVAL, "subnet: must be of the form 10.77.0.0/24");
	if (prefix < PREFIX_MIN || prefix > PREFIX_MAX)
		return err_set(e, -ERANGE,
			       "subnet: the length behind the stroke must be from %d to "
			       "%d",
			       PREFIX_MIN, PREFIX_MAX);
	d->prefix = prefix;
	if (d->subnet.s_addr & ~netdef_mask(d).s_addr)
		return err_set(e, -EINVAL, "subnet: %s/%u has bits behind its prefix", address,
			       prefix);
	return 0;
}

/* ---- text ----------------------------------------------------------------------------------- */

static int unpack(struct netdef *d, json_t *o, struct err *e)
{
	const char *name, *bridge, *subnet;
	int version, isolated;
	json_error_t why;

	if (json_unpack_ex(o, &why, JSON_STRICT, "{s:i, s:s, s:s, s:s, s:b}", "version", &version,
			   "name", &name, "bridge", &bridge, "subnet", &subnet, "isolated",
			   &isolated))
		return err_set(e, -EINVAL, "%s", why.text);
	if (version != 1)
		return err_set(e, -EINVAL, "version: must be 1, the one that this Baton reads");
	if (!spec_name_ok(name) || strlen(name) > NETDEF_NAME_MAX)
		return err_set(e, -EINVAL, "name: \"%.80s\" does not do", name);
	if (!spec_name_ok(bridge) || strlen(bridge) >= sizeof(d->bridge))
		return err_set(e, -EINVAL, "bridge: \"%.80s\" is no interface's name", bridge);
	strcpy(d->name, name);
	strcpy(d->bridge, bridge);
	d->isolated = isolated;
	return parse_subnet(d, subnet, e);
}

int netdef_parse(struct netdef *d, const char *text, size_t len, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	int rc;

	if (!o)
		return err_set(e, -EINVAL, "line %d: %s", why.line, why.text);
	rc = unpack(d, o, e);
	json_decref(o);
	return rc;
}

static char *print(const struct netdef *d)
{
	char subnet[INET_ADDRSTRLEN + 4];
	json_t *o;
	char *text;

	inet_ntop(AF_INET, &d->subnet, subnet, sizeof(subnet));
	sprintf(subnet + strlen(subnet), "/%u", d->prefix);
	o = json_pack("{s:i, s:s, s:s, s:s, s:b}", "version", 1, "name", d->name, "bridge",
		      d->bridge, "subnet", subnet, "isolated", d->isolated);
	text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	return text;
}

/* ---- files ---------------------------------------------------------------------------------- */

int netdef_path(struct manager *m, const char *name, const char *suffix, char out[PATH_SIZE],
		struct err *e)
{
	int n = snprintf(out, PATH_SIZE, "%s/networks", m->state);

	if (!spec_name_ok(name) || strlen(name) > NETDEF_NAME_MAX)
		return err_set(e, -EINVAL,
			       "\"%.80s\" is no name for a network; take up to %d "
			       "letters, digits, dots, dashes and underscores",
			       name, NETDEF_NAME_MAX);
	if (n > 0 && n < PATH_SIZE && mkdir(out, 0700) && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", out, strerror(errno));
	if (snprintf(out, PATH_SIZE, "%s/networks/%s.%s", m->state, name, suffix) >= PATH_SIZE)
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", m->state);
	return 0;
}

int netdef_load(struct manager *m, const char *name, struct netdef *d, struct err *e)
{
	char path[PATH_SIZE], text[FILE_MAX];
	ssize_t n;
	int fd, rc = netdef_path(m, name, "json", path, e);

	if (rc)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, -ENOENT,
			       "there is no network \"%s\"; `baton net create %s` makes "
			       "it",
			       name, name);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n < 0)
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (!rc && netdef_parse(d, text, (size_t)n, e))
		rc = err_prefix(e, "%s", path);
	return rc;
}

/* Written beside it and linked: a network that is there already stays. */
int netdef_save(struct manager *m, const struct netdef *d, struct err *e)
{
	char path[PATH_SIZE], temporary[PATH_SIZE + 8];
	char *text = print(d);
	int fd, rc = netdef_path(m, d->name, "json", path, e);

	if (rc || !text)
		goto free_text;
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
		goto free_text;
	}
	if (dprintf(fd, "%s\n", text) < 0 || fsync(fd))
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	close(fd);
	if (!rc && link(temporary, path))
		rc = errno == EEXIST
			     ? err_set(e, -EEXIST, "there is a network \"%s\" already", d->name)
			     : err_set(e, -errno, "%s: %s", path, strerror(errno));
	unlink(temporary);
free_text:
	free(text);
	return rc;
}

int netdef_remove(struct manager *m, const char *name, struct err *e)
{
	static const char *const suffixes[] = {"leases", "pid", "json"};
	char path[PATH_SIZE];
	struct netdef d;

	if (netdef_load(m, name, &d, e) == -ENOENT)
		return e->code; /* one that cannot be read can be removed */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (netdef_path(m, name, suffixes[i], path, e))
			return e->code;
		if (unlink(path) && errno != ENOENT)
			return err_set(e, -errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}

int netdef_each(struct manager *m, netdef_fn *fn, void *opaque, struct err *e)
{
	char folder[PATH_SIZE];
	struct dirent **entry;
	int n, rc = 0;

	if (snprintf(folder, sizeof(folder), "%s/networks", m->state) >= PATH_SIZE)
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", m->state);
	n = scandir(folder, &entry, NULL, versionsort);
	for (int i = 0; i < n; i++) {
		char *dot = strrchr(entry[i]->d_name, '.');
		struct netdef d;

		if (!rc && dot && !strcmp(dot, ".json")) {
			*dot = '\0';
			rc = netdef_load(m, entry[i]->d_name, &d, e);
			if (!rc)
				rc = fn(opaque, &d, e);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return rc;
}

/* ---- a new one ------------------------------------------------------------------------------ */

static int refuse_overlap(void *opaque, const struct netdef *other, struct err *e)
{
	const struct netdef *d = opaque;

	if (!overlap(d, other->subnet, netdef_mask(other)))
		return 0;
	return err_set(e, -EADDRINUSE, "its addresses are those of network \"%s\"", other->name);
}

/* Interfaces of the host count as well: what is behind them could not be reached any more. */
static int refuse_host(const struct netdef *d, struct err *e)
{
	struct ifaddrs *list, *i;
	int rc = 0;

	if (getifaddrs(&list))
		return err_set(e, -errno, "interfaces: %s", strerror(errno));
	for (i = list; i && !rc; i = i->ifa_next) {
		const struct sockaddr_in *a = (const void *)i->ifa_addr;
		const struct sockaddr_in *mask = (const void *)i->ifa_netmask;

		if (a && mask && a->sin_family == AF_INET && strcmp(i->ifa_name, d->bridge) &&
		    overlap(d, a->sin_addr, mask->sin_addr))
			rc = err_set(e, -EADDRINUSE, "the host has these addresses at %s",
				     i->ifa_name);
	}
	freeifaddrs(list);
	return rc;
}

static int check_free(struct manager *m, struct netdef *d, struct err *e)
{
	int rc = netdef_each(m, refuse_overlap, d, e);

	return rc ? rc : refuse_host(d, e);
}

static int pick_subnet(struct manager *m, struct netdef *d, struct err *e)
{
	int rc = -EADDRINUSE;

	d->prefix = 24;
	for (uint32_t n = 0; n < 256 && rc == -EADDRINUSE; n++) {
		d->subnet.s_addr = htonl(AUTO_SUBNET + (n << 8));
		rc = check_free(m, d, e);
	}
	return rc == -EADDRINUSE ? err_set(e, rc, "no subnet is free; give one with --subnet") : rc;
}

/* Interfaces have at most 15 characters: a long name is replaced by a number made of it. */
static void name_bridge(struct netdef *d)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	if (strlen(d->name) <= 12) {
		snprintf(d->bridge, sizeof(d->bridge), "bt-%.12s", d->name);
		return;
	}
	for (const char *c = d->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 1099511628211u;
	snprintf(d->bridge, sizeof(d->bridge), "bt-%012llx",
		 (unsigned long long)(hash & 0xffffffffffff));
}

int netdef_make(struct manager *m, struct netdef *d, const char *name, const char *subnet,
		struct err *e)
{
	char path[PATH_SIZE];

	memset(d, 0, sizeof(*d));
	if (netdef_path(m, name, "json", path, e))
		return e->code;
	strcpy(d->name, name);
	name_bridge(d);
	if (!subnet)
		return pick_subnet(m, d, e);
	return parse_subnet(d, subnet, e) ? e->code : check_free(m, d, e);
}
