/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "manager/control_client.h"

static FILE *open_proc(pid_t pid, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%d/%.100s", (int)pid, file);
	return fopen(path, "re");
}

/* proc(5): after the name in parentheses, fields 14 and 15 are user and system time in ticks. */
static int read_stat(pid_t pid, struct vm_usage *u)
{
	FILE *f = open_proc(pid, "stat");
	unsigned long long user = 0, system = 0;
	char line[1024] = "", *end;
	int found = 0;

	if (!f)
		return -ESRCH;
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')))
		found = sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			       &user, &system);
	fclose(f);
	u->cpu_ns = (user + system) * (1000000000ull / (unsigned long)sysconf(_SC_CLK_TCK));
	return found == 2 ? 0 : -ESRCH;
}

static void read_resident(pid_t pid, struct vm_usage *u)
{
	FILE *f = open_proc(pid, "statm");
	unsigned long long pages = 0;

	if (!f)
		return;
	if (fscanf(f, "%*u %llu", &pages) == 1)
		u->memory_used = pages * (unsigned long)sysconf(_SC_PAGESIZE);
	fclose(f);
}

/* The second number of each thread's schedstat is the time it waited for a processor, in ns. */
static void read_waits(pid_t pid, struct vm_usage *u)
{
	char path[64], file[100];
	const struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && (entry = readdir(d))) {
		unsigned long long wait;
		FILE *f;

		snprintf(file, sizeof(file), "task/%.64s/schedstat", entry->d_name);
		f = *entry->d_name == '.' ? NULL : open_proc(pid, file);
		if (f && fscanf(f, "%*u %llu", &wait) == 1)
			u->wait_ns += wait;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void add_counter(struct vm_usage *u, const char *name, uint64_t value)
{
	const struct {
		const char *suffix;
		uint64_t *sum;
	} counters[] = {
		{"read_bytes", &u->disk_read},
		{"written_bytes", &u->disk_written},
		{"rx_bytes", &u->net_received},
		{"tx_bytes", &u->net_sent},
	};
	const char *dot = strrchr(name, '.');

	for (unsigned i = 0; dot && i < sizeof(counters) / sizeof(counters[0]); i++)
		if (!strcmp(dot + 1, counters[i].suffix))
			*counters[i].sum += value;
	if (dot && !strcmp(dot, ".actual_bytes") && value < u->memory_given)
		u->memory_given -= value;
}

static void read_counters(const struct vm_info *vm, struct vm_usage *u)
{
	json_t *o = NULL, *value;
	const char *name;

	if (control_ask(vm->control, "status", &o, NULL))
		return;
	u->memory_given = (uint64_t)json_integer_value(json_object_get(o, "memory"));
	json_decref(o);
	if (control_ask(vm->control, "stats", &o, NULL))
		return;
	json_object_foreach(o, name, value)
		add_counter(u, name, (uint64_t)json_integer_value(value));
	json_decref(o);
}

int vm_usage(const struct vm_info *vm, struct vm_usage *out, struct err *e)
{
	struct timespec now;

	memset(out, 0, sizeof(*out));
	read_counters(vm, out);
	read_waits(vm->pid, out);
	read_resident(vm->pid, out);
	if (read_stat(vm->pid, out))
		return err_set(e, -ESRCH, "%s has ended", vm->name);
	clock_gettime(CLOCK_MONOTONIC, &now);
	out->at_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	return 0;
}
