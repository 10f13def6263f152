/* SPDX-License-Identifier: Apache-2.0 */
/* The files of virtual networks' definitions, and what a new one is like. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/net/net.h"

#define FILE_MAX    4096
#define AUTO_SUBNET 0x0a4d0000u /* 10.77.0.0, and 255 more */

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
	char path[PATH_SIZE], *text;
	size_t len;
	int rc = netdef_path(m, name, "json", path, e);

	if (rc)
		return rc;
	if (access(path, F_OK) && errno == ENOENT)
		return err_set(e, -ENOENT,
			       "there is no network \"%s\"; `baton net create %s` makes it", name,
			       name);
	if (file_read(path, FILE_MAX, &text, &len, e))
		return e->code;
	if (netdef_parse(d, text, len, e))
		rc = err_prefix(e, "%s", path);
	free(text);
	return rc;
}

/* Global lock held: two commands that create the same network cannot both succeed. */
static int save_locked(struct manager *m, const struct netdef *d, struct err *e)
{
	char path[PATH_SIZE], *text;
	int rc = netdef_path(m, d->name, "json", path, e);

	if (rc)
		return rc;
	if (!access(path, F_OK))
		return err_set(e, -EEXIST, "there is a network \"%s\" already", d->name);
	text = netdef_print(d);
	rc = text ? file_replace(path, text, strlen(text), e)
		  : err_set(e, -ENOMEM, "out of memory");
	free(text);
	return rc;
}

int netdef_save(struct manager *m, const struct netdef *d, struct err *e)
{
	int rc = manager_lock(m, e);

	if (rc)
		return rc;
	rc = save_locked(m, d, e);
	manager_unlock(m);
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

	if (!netdef_overlaps(d, other->subnet, netdef_mask(other)))
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
		    netdef_overlaps(d, a->sin_addr, mask->sin_addr))
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
	return netdef_set_subnet(d, subnet, e) ? e->code : check_free(m, d, e);
}
