/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the files a guest starts from, finds the kernel's format and lets it load. */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/firmware.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/smbios.h"
#include "vmm/device/pci/layout.h"

/* Multiboot before PVH: a kernel with both headers has the modules of the former. */
static const struct boot_format *const formats[] = {&boot_linux, &boot_multiboot, &boot_pvh};

static const struct boot_format *find_format(const struct boot_image *i)
{
	for (unsigned n = 0; n < sizeof(formats) / sizeof(formats[0]); n++)
		if (formats[n]->claims(i))
			return formats[n];
	return NULL;
}

int boot_put_cmdline(struct boot_job *j, const char *text, uint64_t max, struct err *e)
{
	uint64_t len;

	if (!text)
		text = "";
	if (max > BOOT_CMDLINE_MAX)
		max = BOOT_CMDLINE_MAX;
	len = strlen(text) + 1;
	if (len > max)
		return err_set(e, -E2BIG,
			       "the kernel's command line has %llu bytes, this kernel takes %llu",
			       (unsigned long long)len - 1, (unsigned long long)max - 1);
	if (!mem_write(j->mem, BOOT_CMDLINE, text, len))
		return err_set(e, -ENOSPC, "boot: no RAM for the command line");
	return 0;
}

int boot_place(const struct boot_job *j, const char *what, uint64_t len, uint64_t floor,
	       uint64_t ceiling, gpa_t *out, struct err *e)
{
	uint64_t end = boot_low_end(j->mem);

	if (end > ceiling)
		end = ceiling;
	if (floor > end || len > end - floor || align_down(end - len, MEM_PAGE_SIZE) < floor)
		return err_set(e, -ENOSPC,
			       "%s: %llu KiB do not fit behind the kernel, which leaves %llu KiB; "
			       "give more with --memory",
			       what, (unsigned long long)(len / KIB),
			       (unsigned long long)(floor < end ? (end - floor) / KIB : 0));
	*out = align_down(end - len, MEM_PAGE_SIZE);
	return 0;
}

static int check_extras(const struct boot_job *j, const struct boot_format *f, struct err *e)
{
	if (j->has_initrd && !f->takes_initrd)
		return err_set(e, -EINVAL, "%s: a %s kernel takes no initrd; use --module",
			       j->kernel.path, f->name);
	if (j->cfg->nmodules && !f->takes_modules)
		return err_set(e, -EINVAL, "%s: a %s kernel takes no modules; use --initrd",
			       j->kernel.path, f->name);
	return 0;
}

int boot_load_images(struct boot_job *j, struct err *e)
{
	const struct boot_format *f = find_format(&j->kernel);

	if (!f)
		return err_set(e, -EINVAL,
			       "%s: not a kernel Baton can start: it has neither a Linux boot "
			       "header (HdrS at 202h), nor a multiboot header in its first 8 KiB, "
			       "nor is it an ELF file",
			       j->kernel.path);
	if (check_extras(j, f, e))
		return e->code;
	struct acpi_config acpi = {
		.nvcpus = j->cfg->nvcpus, .ecam = PCI_ECAM_BASE, .ram_end = boot_ram_end(j->mem)};

	if (acpi_build(j->mem, &acpi, &j->rsdp, e) || smbios_build(j->mem, j->cfg->uuid, e))
		return e->code;
	return f->load(j, e);
}

void boot_open(const struct boot_config *b, struct boot_files *f)
{
	const char *files[] = {b->kernel, b->initrd,
			       b->firmware ? firmware_code(b->firmware) : NULL};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i])
			boot_files_add(f, files[i], strlen(files[i]));
	for (unsigned i = 0; i < b->nmodules; i++)
		boot_files_add(f, b->modules[i], strcspn(b->modules[i], " "));
}

static int load_kernel(struct boot_job *j, struct err *e)
{
	int rc = image_open(&j->kernel, j->cfg->files, j->cfg->kernel, e);

	if (rc)
		return rc;
	j->has_initrd = j->cfg->initrd;
	if (j->has_initrd) {
		rc = image_open(&j->initrd, j->cfg->files, j->cfg->initrd, e);
		if (rc)
			goto close_kernel;
	}
	rc = boot_load_images(j, e);
	if (j->has_initrd)
		image_close(&j->initrd);
close_kernel:
	image_close(&j->kernel);
	return rc;
}

int boot_load(const struct boot_config *b, struct guest_memory *m, struct x86_cpu_state *bsp,
	      struct err *e)
{
	struct boot_job j = {.cfg = b, .mem = m, .bsp = bsp};

	if (b->firmware)
		return firmware_load(b, m, bsp, e);
	if (!b->kernel)
		return err_set(e, -EINVAL, "nothing to start: give --kernel or --firmware");
	return load_kernel(&j, e);
}
