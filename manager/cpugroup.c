/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's part of the host's CPU time: a control group of its own, baton-NAME (Linux's
 * Documentation/admin-guide/cgroup-v2.rst; Baton's kernel has the same files). For root it is at
 * the top, for others in the part that systemd gives to each user.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/metal.h"
#include "manager/folders.h"

#define ROOT   "/sys/fs/cgroup"
#define PERIOD 100000u /* microseconds */

/* The length of the path. */
static size_t find_parent(char out[PATH_SIZE])
{
	unsigned uid = geteuid();

	if (uid)
		snprintf(out, PATH_SIZE, ROOT "/user.slice/user-%u.slice/user@%u.service", uid,
			 uid);
	else
		snprintf(out, PATH_SIZE, ROOT);
	return strlen(out);
}

static void find_group(const char *name, char out[PATH_SIZE])
{
	size_t len = find_parent(out);

	snprintf(out + len, PATH_SIZE - len, "/baton-%s", name);
}

static int write_file(const char *folder, const char *file, const char *text, struct err *e)
{
	char path[PATH_SIZE + 32];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		rc = err_set(e, -errno,
			     "a limit of CPU time: %s: %s; it needs the controller \"cpu\" of "
			     "control groups, version 2",
			     path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_group(const char *group, struct err *e)
{
	char parent[PATH_SIZE];

	find_parent(parent);
	if (write_file(parent, "cgroup.subtree_control", "+cpu", e))
		return e->code;
	if (mkdir(group, 0755) && errno != EEXIST)
		return err_set(e, -errno, "a limit of CPU time: %s: %s", group, strerror(errno));
	return 0;
}

int manager_limit_cpu(const struct spec *s, struct err *e)
{
	char group[PATH_SIZE], shares[16], cap[40];

	if (s->cpu_shares == SPEC_SHARES && !s->cpu_cap)
		return on_bare_metal() ? write_file(ROOT, "cgroup.procs", "0", e) : 0;
	find_group(s->name, group);
	snprintf(shares, sizeof(shares), "%u", s->cpu_shares);
	if (s->cpu_cap)
		snprintf(cap, sizeof(cap), "%u %u", s->cpu_cap * (PERIOD / 100), PERIOD);
	else
		snprintf(cap, sizeof(cap), "max");
	if (make_group(group, e) || write_file(group, "cpu.weight", shares, e) ||
	    write_file(group, "cpu.max", cap, e) || write_file(group, "cgroup.procs", "0", e))
		return e->code;
	return 0;
}

void cpu_group_remove(const char *name)
{
	char group[PATH_SIZE];

	find_group(name, group);
	rmdir(group);
}
