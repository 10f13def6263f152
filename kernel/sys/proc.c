/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: what ps, free and the VMM read. */
#include "kernel/boot/bootinfo.h"
#include "kernel/cpu/cpu.h"
#include "kernel/drivers/block.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/net/netif.h"
#include "kernel/sys/dev.h"
#include "kernel/sys/landlock.h"

#define TEXT_MAX 16384

struct text {
	char *buf;
	size_t len;
};

static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->buf + t->len, TEXT_MAX - t->len, fmt, ap);
	va_end(ap);
	t->len = MIN(t->len, (size_t)TEXT_MAX - 1);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void brand(char name[49])
{
	strlcpy(name, "unknown", 49);
	if (cpuid(0x80000000, 0).eax < 0x80000004)
		return;
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid c = cpuid(0x80000002 + i, 0);

		memcpy(name + i * 16, &c, 16);
	}
	name[48] = 0;
}

/* Flags are what may be used: firmware can switch virtualization off. */
static void cpuinfo(struct text *t)
{
	struct cpuid c = cpuid(0, 0);
	const uint32_t vendor[4] = {c.ebx, c.edx, c.ecx};
	char model[49];
	bool vmx = hv_ops() && cpuid(1, 0).ecx & 1 << 5;
	bool svm = hv_ops() && cpuid(0x80000001, 0).ecx & 1 << 2;

	brand(model);
	for (unsigned i = 0; i < ncpus; i++) {
		put(t, "processor\t: %u\nvendor_id\t: %s\nmodel name\t: %s\n", i,
		    (const char *)vendor, model);
		put(t, "cpu MHz\t\t: %lu.%03lu\n", tsc_khz() / 1000, tsc_khz() % 1000);
		put(t, "flags\t\t: fpu tsc msr apic sse sse2%s%s\n\n", vmx ? " vmx" : "",
		    svm ? " svm" : "");
	}
}

static void meminfo(struct text *t)
{
	struct page_stats p = page_stats();

	put(t, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n",
	    p.total * 4, p.free * 4, p.free * 4);
	put(t, "Buffers: 0 kB\nCached: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
}

static void uptime(struct text *t)
{
	uint64_t ms = now_ns() / 1000000;

	put(t, "%lu.%02lu 0.00\n", ms / 1000, ms % 1000 / 10);
}

static void machine_stat(struct text *t)
{
	uint64_t now, idle = sched_idle_ns(&now);

	put(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", (now * ncpus - idle) / 10000000, idle / 10000000);
	put(t, "btime %lu\n", wall_offset_ns() / NSEC_PER_SEC);
}

static void cmdline(struct text *t)
{
	put(t, "%s\n", boot.cmdline);
}

static void net_dev(struct text *t)
{
	char name[IFNAME_SIZE];
	struct traffic way[2];

	put(t, "Inter-|   Receive                                                |  Transmit\n"
	       " face |bytes    packets errs drop fifo frame compressed multicast|"
	       "bytes    packets errs drop fifo colls carrier compressed\n");
	for (unsigned i = 0; netif_traffic(i, name, way); i++) {
		put(t, "%6s:", name);
		for (unsigned j = 0; j < 2; j++)
			put(t, " %7lu %7lu %4lu %4lu    0     0          0         0", way[j].bytes,
			    way[j].packets, way[j].errors, way[j].dropped);
		put(t, "\n");
	}
}

/* Counts blocks of 1 KiB. */
static void partitions(struct text *t)
{
	put(t, "major minor  #blocks  name\n\n");
	LIST_ITEMS(const struct block_part, p, &block_parts, link) {
		put(t, "%4u  %7u %10lu %s\n", p->major, p->minor,
		    p->sectors * p->dev->sector_size / 1024, p->name);
	}
}

static const struct machine_file {
	const char *name;
	void (*write)(struct text *t);
	const char *text; /* without write() */
} machine_files[] = {
	{"cpuinfo", cpuinfo},
	{"meminfo", meminfo},
	{"uptime", uptime},
	{"version", .text = "Baton kernel 0.1, Linux 6.1 system calls\n"},
	{"stat", machine_stat},
	{"mounts", .text = "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n"
			   "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"},
	{"cmdline", cmdline},
	{"net/dev", net_dev},
	{"partitions", partitions},
};

static char *machine_text(struct node *n, size_t *len)
{
	const struct machine_file *f = n->data;
	struct text t = {kzalloc(TEXT_MAX), 0};

	if (!t.buf)
		return NULL;
	if (f->write)
		f->write(&t);
	else
		put(&t, "%s", f->text);
	*len = t.len;
	return t.buf;
}

/* ---- processes ------------------------------------------------------------------------------- */

static char state_of(const struct process *p)
{
	if (p->zombie)
		return 'Z';
	LIST_ITEMS(struct thread, t, &p->threads, proc_link) {
		if (t->state <= THREAD_RUNNING)
			return 'R';
	}
	return 'S';
}

static const char *name_of(const struct process *p)
{
	return list_empty(&p->threads) ? "?"
				       : CONTAINER(p->threads.next, struct thread, proc_link)->name;
}

static uint64_t resident(const struct process *p)
{
	return p->space ? p->space->resident : 0;
}

static void proc_stat(struct text *t, struct process *p)
{
	put(t, "%d (%s) %c %d %d %d 0 -1 0 0 0 0 0 %lu 0 0 0 20 0 %u 0 %lu %lu %lu", p->pid,
	    name_of(p), state_of(p), p->ppid, p->pgid, p->sid, p->used_ns / 10000000, p->nthreads,
	    p->started_ns / 10000000, resident(p) * PAGE_SIZE, resident(p));
	for (unsigned i = 25; i <= 52; i++)
		put(t, " 0");
	put(t, "\n");
}

static void proc_status(struct text *t, struct process *p)
{
	put(t,
	    "Name:\t%s\nState:\t%c\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nUid:\t0\t0\t0\t0\nGid:"
	    "\t0\t0\t0\t0\n",
	    name_of(p), state_of(p), p->pid, p->pid, p->ppid);
	put(t, "VmSize:\t%8lu kB\nVmRSS:\t%8lu kB\nThreads:\t%u\n", resident(p) * 4,
	    resident(p) * 4, p->nthreads);
}

static void proc_cmdline(struct text *t, struct process *p)
{
	t->len = p->program ? MIN(p->program->len, (size_t)TEXT_MAX) : 0;
	if (t->len)
		memcpy(t->buf, p->program->cmdline, t->len);
}

static void proc_comm(struct text *t, struct process *p)
{
	put(t, "%s\n", name_of(p));
}

static void proc_statm(struct text *t, struct process *p)
{
	put(t, "%lu %lu 0 0 0 %lu 0\n", resident(p), resident(p), resident(p));
}

static void proc_maps(struct text *t, struct process *p)
{
	if (!p->space)
		return;
	SPIN_GUARD(&p->space->lock);
	LIST_ITEMS(const struct vma, v, &p->space->vmas, link) {
		put(t, "%lx-%lx %c%c%c%c %08lx 00:00 0\n", v->start, v->end,
		    v->flags & VMA_READ ? 'r' : '-', v->flags & VMA_WRITE ? 'w' : '-',
		    v->flags & VMA_EXEC ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p', v->offset);
	}
}

static const struct node_ops text_ops, exe_ops, fd_dir_ops;

static const struct process_file {
	const char *name;
	unsigned mode;
	const struct node_ops *ops;
	void (*write)(struct text *t, struct process *p); /* of text_ops */
} process_files[] = {
	{"stat", S_IFREG | 0444, &text_ops, proc_stat},
	{"status", S_IFREG | 0444, &text_ops, proc_status},
	{"cmdline", S_IFREG | 0444, &text_ops, proc_cmdline},
	{"comm", S_IFREG | 0444, &text_ops, proc_comm},
	{"statm", S_IFREG | 0444, &text_ops, proc_statm},
	{"maps", S_IFREG | 0444, &text_ops, proc_maps},
	{"exe", S_IFLNK | 0777, &exe_ops, NULL},
	{"fd", S_IFDIR | 0500, &fd_dir_ops, NULL},
};

/* A node's data: the process and the file in it. */
#define REF(pid, file) ((void *)((uint64_t)(pid) << 16 | (uint64_t)(file)))
#define REF_PID(ref)   ((int)((uint64_t)(ref) >> 16))
#define REF_FILE(ref)  ((int)((uint64_t)(ref)&0xffff))

static void write_locked(struct text *t, int file, struct process *p)
{
	SPIN_GUARD(&p->lock);

	process_files[file].write(t, p);
}

static char *process_text(struct node *n, size_t *len)
{
	struct text t = {kzalloc(TEXT_MAX), 0};
	struct process *p;

	if (!t.buf)
		return NULL;
	LOCKED(&processes_lock) {
		p = process_find(REF_PID(n->data));
		if (p)
			write_locked(&t, REF_FILE(n->data), p);
	}
	*len = t.len;
	return t.buf;
}

static int exe_link(struct node *n, char *buf, size_t size)
{
	SPIN_GUARD(&processes_lock);
	struct process *p = process_find(REF_PID(n->data));

	if (!p || !p->program)
		return -ENOENT;
	strlcpy(buf, p->program->exe, size);
	return 0;
}

/* What a link in /proc/PID/fd stands for. */
static struct file *linked_file(struct node *n)
{
	SPIN_GUARD(&processes_lock);
	struct process *p = process_find(REF_PID(n->data));

	return p ? files_get(p->files, REF_FILE(n->data)) : NULL;
}

static int fd_link(struct node *n, char *buf, size_t size)
{
	struct file *f = linked_file(n);

	if (!f)
		return -ENOENT;
	strlcpy(buf, f->ops->name, size);
	file_put(f);
	return 0;
}

static struct node *fd_follow(struct node *n)
{
	struct file *f = linked_file(n);
	struct node *to = f && f->node ? node_get(f->node) : NULL;

	file_put(f);
	return to;
}

static const struct node_ops text_ops = {.text = process_text};
static const struct node_ops exe_ops = {.readlink = exe_link};
static const struct node_ops fd_link_ops = {.readlink = fd_link, .follow = fd_follow};

static int to_number(const char *s)
{
	int v = 0;

	for (; *s >= '0' && *s <= '9' && v < 100000000; s++)
		v = v * 10 + (*s - '0');
	return *s ? -1 : v;
}

static struct node *fd_lookup(struct node *dir, const char *name)
{
	int fd = to_number(name);

	return fd < 0 || fd >= MAX_FILES
		       ? NULL
		       : node_made(S_IFLNK | 0777, &fd_link_ops, REF(REF_PID(dir->data), fd));
}

static void fd_list(struct node *dir, void (*emit)(void *, const char *, unsigned), void *opaque)
{
	char name[12];

	for (int i = 0; i < MAX_FILES; i++) {
		struct node n = {.data = REF(REF_PID(dir->data), i)};
		struct file *f = linked_file(&n);

		snprintf(name, sizeof(name), "%d", i);
		if (f)
			emit(opaque, name, S_IFLNK);
		file_put(f);
	}
}

static const struct node_ops fd_dir_ops = {.lookup = fd_lookup, .list = fd_list};

static struct node *process_lookup(struct node *dir, const char *name)
{
	int pid = REF_PID(dir->data);

	for (unsigned i = 0; i < ARRAY_SIZE(process_files); i++) {
		const struct process_file *f = &process_files[i];

		if (!strcmp(name, f->name))
			return node_made(f->mode, f->ops, REF(pid, i));
	}
	return NULL;
}

static void process_list(struct node *dir, void (*emit)(void *, const char *, unsigned),
			 void *opaque)
{
	for (unsigned i = 0; i < ARRAY_SIZE(process_files); i++)
		emit(opaque, process_files[i].name, process_files[i].mode);
}

static const struct node_ops process_ops = {.lookup = process_lookup, .list = process_list};

static struct node *proc_lookup(struct node *dir, const char *name)
{
	int pid = !strcmp(name, "self") && current_process() ? current_process()->pid
							     : to_number(name);
	struct process *p;

	if (pid <= 0)
		return NULL;
	LOCKED(&processes_lock) {
		p = process_find(pid);
		p = p && landlock_covers(p) ? p : NULL;
	}
	return p ? node_made(S_IFDIR | 0555, &process_ops, REF(pid, 0)) : NULL;
}

static void proc_list(struct node *dir, void (*emit)(void *, const char *, unsigned), void *opaque)
{
	char name[12];

	emit(opaque, "self", S_IFDIR);
	SPIN_GUARD(&processes_lock);
	LIST_ITEMS(struct process, p, &processes, link) {
		snprintf(name, sizeof(name), "%d", p->pid);
		emit(opaque, name, S_IFDIR);
	}
}

void proc_init(void)
{
	static const struct node_ops root_ops = {.lookup = proc_lookup, .list = proc_list};
	static const struct node_ops file_ops = {.text = machine_text};
	char path[32];

	if (vfs_put("proc", node_made(S_IFDIR | 0555, &root_ops, NULL)))
		panic("cannot make /proc");
	for (unsigned i = 0; i < ARRAY_SIZE(machine_files); i++) {
		snprintf(path, sizeof(path), "proc/%s", machine_files[i].name);
		vfs_put(path, node_made(S_IFREG | 0444, &file_ops, (void *)&machine_files[i]));
	}
}
