/* SPDX-License-Identifier: Apache-2.0 */
/* The host in a few lines, from /proc: the same files on Linux and on Baton's own kernel. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/metal.h"
#include "base/num.h"
#include "cli/manage/manage.h"
#include "manager/hostcheck.h"

static void read_cpu_name(struct host_view *h)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(h->cpu, sizeof(h->cpu), "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10))
			continue;
		colon[strcspn(colon, "\n")] = 0;
		snprintf(h->cpu, sizeof(h->cpu), "%.63s", colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

static void append(char *to, size_t size, const char *separator, const char *text)
{
	size_t len = strlen(to);

	snprintf(to + len, size - len, "%s%s", len ? separator : "", text);
}

/* The first thing that is wrong, and the first remedy. */
static void find_reason(struct host_view *h, const struct host_report *r)
{
	const struct finding *remedy = NULL;

	for (unsigned i = 0; i < r->n; i++) {
		if (r->finding[i].kind != FINDING_BAD)
			continue;
		if (!h->reason[0])
			append(h->reason, sizeof(h->reason), "", r->finding[i].text);
		if (!remedy && r->finding[i].remedy[0])
			remedy = &r->finding[i];
	}
	if (remedy)
		append(h->reason, sizeof(h->reason), "; ", remedy->remedy);
}

static void read_virtualization(struct host_view *h)
{
	struct host_report r;
	struct err e = {0};
	const char *name;

	if (host_check(&r, "", &e)) {
		snprintf(h->virtualization, sizeof(h->virtualization), "unknown");
		snprintf(h->reason, sizeof(h->reason), "%.399s", e.text);
		return;
	}
	name = r.kvm.vmx ? "VT-x" : r.kvm.svm ? "AMD-V" : NULL;
	if (r.hardware) {
		snprintf(h->virtualization, sizeof(h->virtualization),
			 "%s on: VMs run on the processor (engine kvm)", name ? name : "KVM");
		return;
	}
	snprintf(h->virtualization, sizeof(h->virtualization),
		 "%s off: VMs run by translation (engine bt)", name ? name : "VT-x and AMD-V");
	find_reason(h, &r);
}

void host_view_init(struct host_view *h)
{
	struct utsname u;
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	memset(h, 0, sizeof(*h));
	uname(&u);
	h->metal = on_bare_metal();
	snprintf(h->name, sizeof(h->name), "%.63s", u.nodename);
	snprintf(h->version, sizeof(h->version), "%s %s%.40s", "Baton", BATON_VERSION,
		 h->metal ? " on the bare machine" : "");
	h->ncpus = n > 0 ? (unsigned)n : 1;
	read_cpu_name(h);
	read_virtualization(h);
	host_view_refresh(h);
}

void host_view_refresh(struct host_view *h)
{
	unsigned long long t[8] = {0};
	FILE *f = fopen("/proc/stat", "re");
	uint64_t total = 0, idle;

	if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
			&t[3], &t[4], &t[5], &t[6], &t[7]) < 4)
		memset(t, 0, sizeof(t));
	if (f)
		fclose(f);
	for (unsigned i = 0; i < 8; i++)
		total += t[i];
	idle = t[3] + t[4];
	if (total > h->total_ticks)
		h->busy = 1 - (double)(idle - h->idle_ticks) / (double)(total - h->total_ticks);
	h->total_ticks = total;
	h->idle_ticks = idle;
	h->memory = file_number("/proc/meminfo", "MemTotal:") * 1024;
	h->available = file_number("/proc/meminfo", "MemAvailable:") * 1024;
	h->uptime = file_number("/proc/uptime", "");
}
