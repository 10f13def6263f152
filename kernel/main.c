/* SPDX-License-Identifier: Apache-2.0 */
/* From the boot loader to the first program. */
#include "kernel/boot/bootinfo.h"
#include "kernel/cpu/acpi.h"
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/entry.h"
#include "kernel/cpu/smp.h"
#include "kernel/drivers/console.h"
#include "kernel/drivers/pci.h"
#include "kernel/drivers/screen.h"
#include "kernel/hv/hv.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pagetable.h"
#include "kernel/net/netif.h"
#include "kernel/net/tun.h"
#include "kernel/sys/cgroup.h"
#include "kernel/sys/dev.h"
#include "kernel/sys/process.h"
#include "kernel/sys/tty.h"
#include "kernel/sys/vfs.h"

#define MIN_PAGES 256u /* 1 MiB: so much is taken before there is anything to say */

/* NULL, or what is wrong with it. */
static const char *unpack_initramfs(void)
{
	uint64_t size = boot.initramfs.end - boot.initramfs.start;
	int rc;

	if (!size)
		return "the boot loader gave no initramfs (module)";
	rc = initramfs_unpack(map_device(boot.initramfs.start, size), size);
	if (rc)
		return rc == -ENOMEM ? "not enough memory for the initramfs"
				     : "the initramfs is damaged; it must be a whole, uncompressed "
				       "cpio archive (newc)";
	page_reclaim(boot.initramfs.start, boot.initramfs.end);
	return NULL;
}

static void start_interrupts(void)
{
	apic_setup();
	cpus[0].apic_id = apic_id();
	if (!acpi_init(boot.rsdp))
		klog("no ACPI tables: one CPU, no power-off");
	outb(0x21, 0xff); /* the old interrupt controllers stay silent */
	outb(0xa1, 0xff);
	apic_timer_init();
}

/* A framebuffer can be drawn on when there are files, as the font is one. */
static void start_screen(void)
{
	const struct screen *s = vgatext_open();
	struct node *font;

	if (!s && root_node && !vfs_walk(root_node, "/boot/font.psf", 0, &font, NULL) &&
	    font->obj) {
		static uint8_t psf[16384];
		size_t len = MIN(font->obj->size, sizeof(psf));

		if (!memobj_read(font->obj, psf, 0, len))
			s = framebuffer_open(psf, len);
		node_put(font);
	}
	if (!s)
		return;
	vt_open(s);
	tty_set_size(s->rows, s->cols);
	klog("screen of %u by %u characters", s->cols, s->rows);
}

static char init_path[64] = "/init";

static void read_options(void)
{
	const char *at = boot_value(&boot, "init=");

	for (size_t i = 0; at && i < sizeof(init_path) - 1; i++) {
		init_path[i] = at[i] == ' ' ? 0 : at[i];
		if (!init_path[i])
			break;
	}
}

static void start_files(void)
{
	const char *problem;

	vfs_init();
	problem = unpack_initramfs();
	start_screen(); /* so that a problem is seen */
	if (problem)
		panic("%s", problem);
	dev_init();
	tty_init();
	proc_init();
	cgroup_init();
	net_init();
	tun_init();
}

/* Drivers wait for their devices, so a thread starts them, and then the first program. */
static void start_programs(void *opaque)
{
	pci_init();
	process_start_init(init_path);
}

void kmain(unsigned protocol, uint64_t info)
{
	serial_init();
	ncpus = 1;
	idt_init();
	if (!bootinfo_read(&boot, protocol, info))
		panic("the boot loader gave no memory map");
	page_init(&boot);
	heap_init();
	pagetable_init();
	page_init_high(&boot);
	cpu_setup(&cpus[0]);
	clock_init();
	klog("Baton kernel, %lu MiB of memory", page_stats().total >> 8);
	if (boot.unused)
		klog("%lu MiB more are not used: they lie in more than %u ranges",
		     boot.unused >> 20, BOOT_MAX_RANGES);
	if (page_stats().total < MIN_PAGES) {
		start_screen();
		panic("not enough memory beside the kernel and the initramfs");
	}
	sched_init();
	sched_init_cpu(&cpus[0]);
	cpus[0].online = true;
	start_interrupts();
	start_files();
	keyboard_init();
	read_options();
	hv_init();
	serial_listen();
	smp_start();
	must(kthread_start("start", start_programs, NULL), "the first thread");
	sched_run_idle(&cpus[0]);
}
