/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manage/choices.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "manager/net/net.h"

/* NULL when there is no room. */
static struct choice *add(struct choices *c, const char *value)
{
	struct choice *item = &c->item[c->n];
	size_t len = strlen(value);

	if (c->n == MAX_CHOICES || len >= sizeof(item->value))
		return NULL;
	c->n++;
	memcpy(item->value, value, len + 1);
	return item;
}

void choices_cpus(struct choices *c, struct manage *m)
{
	unsigned all = m->host.ncpus, used = rows_running_cpus(m);

	snprintf(c->summary, sizeof(c->summary),
		 "%u of %u processors free; the VMs that run have %u together",
		 used < all ? all - used : 0, all, used);
}

void choices_memory(struct choices *c, struct manage *m)
{
	snprintf(c->summary, sizeof(c->summary), "%llu of %llu MiB free",
		 (unsigned long long)(m->host.available / MIB),
		 (unsigned long long)(m->host.memory / MIB));
}

/* ---- disks ----------------------------------------------------------------------------------- */

/* Is `part` ("sda1", "nvme0n1p1") a partition of `disk` ("sda", "nvme0n1")? */
static bool is_partition(const char *part, const char *disk)
{
	size_t len = strlen(disk);
	const char *rest = part + len;

	if (strncmp(part, disk, len) || !*rest)
		return false;
	if (isdigit((unsigned char)disk[len - 1]) && *rest++ != 'p')
		return false;
	return *rest && rest[strspn(rest, "0123456789")] == 0;
}

/* The device, or a part of it, or what it is a part of, is used by somebody. */
static void take(struct choices *c, const char *path, const char *how, const char *who)
{
	if (strncmp(path, "/dev/", 5))
		return;
	for (unsigned i = 0; i < c->n; i++) {
		struct choice *item = &c->item[i];

		if (strcmp(item->value, path) && !is_partition(item->value, path) &&
		    !is_partition(path, item->value))
			continue;
		if (!item->taken)
			snprintf(item->note + strlen(item->note),
				 sizeof(item->note) - strlen(item->note), ", %s %.32s", how, who);
		item->taken = true;
	}
}

static void take_mounted(struct choices *c)
{
	FILE *f = fopen("/proc/mounts", "re");
	char device[256], folder[256];

	while (f && fscanf(f, "%255s %255s%*[^\n]", device, folder) == 2)
		take(c, device, "mounted on", folder);
	if (f)
		fclose(f);
}

static void take_disks_of(struct choices *c, struct manager *m, const char *name)
{
	struct definition d;
	struct err e = {0};

	definition_init(&d);
	if (!vm_load(m, name, &d, &e)) {
		for (unsigned i = 0; i < d.machine.ndisks; i++)
			take(c, d.machine.disks[i].path ? d.machine.disks[i].path : "",
			     "disk of VM", name);
	}
	definition_free(&d);
}

/* Memory and discs of the host, which nobody wants to give away. */
static bool is_disk(const char *name)
{
	static const char *const others[] = {"ram*", "loop*", "sr*", "fd*", "zram*", "dm-*"};

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!fnmatch(others[i], name, 0))
			return false;
	}
	return true;
}

/* Two lines of heading, then "major minor blocks name" with blocks of 1 KiB. */
static void read_partitions(struct choices *c)
{
	FILE *f = fopen("/proc/partitions", "re");
	char line[256], name[64], path[80];
	unsigned long long blocks;
	struct choice *item;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*u %*u %llu %63s", &blocks, name) != 2 || !is_disk(name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", name);
		item = add(c, path);
		if (item)
			snprintf(item->note, sizeof(item->note), "%.1f GiB",
				 (double)blocks * 1024 / GIB);
	}
	if (f)
		fclose(f);
}

void choices_disks(struct choices *c, struct manage *m)
{
	read_partitions(c);
	take_mounted(c);
	for (size_t i = 0; i < m->n; i++)
		take_disks_of(c, m->manager, m->row[i].status.name);
	for (unsigned i = 0; i < c->n; i++) {
		if (!c->item[i].taken)
			strncat(c->item[i].note, ", free",
				sizeof(c->item[i].note) - strlen(c->item[i].note) - 1);
	}
	snprintf(c->summary, sizeof(c->summary), "A size makes a new one (20G), %s",
		 m->host.metal ? "in memory; or:" : "in the VM's folder; or:");
}

/* ---- networks -------------------------------------------------------------------------------- */

static void add_bridge(void *opaque, const char *name)
{
	char text[288];

	snprintf(text, sizeof(text), "bridge=%.120s", name);
	add(opaque, text);
}

void choices_networks(struct choices *c, struct manage *m)
{
	add(c, "none");
	if (!m->host.metal)
		add(c, "user");
	net_each_bridge(add_bridge, c);
	snprintf(c->summary, sizeof(c->summary), "%s",
		 m->host.metal ? "none, bridge=NAME (with its network card) or internal=NAME"
			       : "none, user, bridge=NAME, network=NAME or internal=NAME");
}

/* ---- files ----------------------------------------------------------------------------------- */

static void add_matching(struct choices *c, const char *folder, const char *pattern)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	struct choice *item;
	struct stat st;
	char path[512];

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%.250s", folder, e->d_name);
		if (fnmatch(pattern, e->d_name, 0) || stat(path, &st) || !S_ISREG(st.st_mode))
			continue;
		item = add(c, path);
		if (item)
			snprintf(item->note, sizeof(item->note), "%.1f MiB",
				 (double)st.st_size / MIB);
	}
	if (d)
		closedir(d);
}

static void choices_files(struct choices *c, const struct manage *m, const char *const patterns[])
{
	const char *folder = m->host.metal ? "/guests" : ".";

	for (unsigned i = 0; patterns[i]; i++)
		add_matching(c, folder, patterns[i]);
	snprintf(c->summary, sizeof(c->summary), c->n ? "%s:" : "%s: none",
		 m->host.metal ? "Files of the boot medium" : "Files of this folder");
}

void choices_cdroms(struct choices *c, struct manage *m)
{
	choices_files(c, m, (const char *const[]){"*.iso", NULL});
}

void choices_kernels(struct choices *c, struct manage *m)
{
	choices_files(c, m, (const char *const[]){"vmlinu*", "bzImage*", "*kernel*", NULL});
}

void choices_initrds(struct choices *c, struct manage *m)
{
	choices_files(c, m, (const char *const[]){"initr*", "*.cpio*", NULL});
}
