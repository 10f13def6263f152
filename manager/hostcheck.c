/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at processor flags, firmware, kernel module and /dev/kvm, and says what to do about them.
 */
#include "manager/hostcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MSR_FEATURE_CONTROL 0x3a /* Intel SDM volume 3C, 23.7 */
#define FEATURE_LOCKED      0x1u
#define FEATURE_VMX         0x4u
#define MSR_VM_CR           0xc0010114u /* AMD APM volume 2, 15.30.1 */
#define VM_CR_SVMDIS        0x10u

/* What the findings are made from. */
struct host {
	const char *root;
	const struct kvm_host *kvm;
	bool flag_vmx, flag_svm; /* /proc/cpuinfo: what the kernel lets be used */
	char vendor[32];
};

static struct finding *add(struct host_report *r, const char *name, enum finding_kind kind,
			   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static struct finding *add(struct host_report *r, const char *name, enum finding_kind kind,
			   const char *fmt, ...)
{
	struct finding *f = &r->finding[r->n++];
	va_list ap;

	f->name = name;
	f->kind = kind;
	f->remedy[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return f;
}

static void remedy(struct finding *f, const char *text)
{
	snprintf(f->remedy, sizeof(f->remedy), "%s", text);
}

static void path_of(const struct host *h, const char *path, char out[512])
{
	snprintf(out, 512, "%s%s", h->root, path);
}

static bool exists(const struct host *h, const char *path)
{
	char full[512];

	path_of(h, path, full);
	return access(full, F_OK) == 0;
}

/* ---- /proc/cpuinfo -------------------------------------------------------------------------- */

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);
	const char *p = line;

	while ((p = strstr(p, word))) {
		if ((p == line || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\n' || !p[len]))
			return true;
		p += len;
	}
	return false;
}

static void read_cpuinfo_line(struct host *h, const char *line)
{
	const char *value = strchr(line, ':');

	if (!value)
		return;
	if (!strncmp(line, "vendor_id", 9)) {
		sscanf(value, ": %31[^\n]", h->vendor);
	} else if (!strncmp(line, "flags", 5)) {
		h->flag_vmx = has_word(value, "vmx");
		h->flag_svm = has_word(value, "svm");
	}
}

/* The first processor speaks for all. */
static int read_cpuinfo(struct host *h, struct err *e)
{
	char path[512], line[8192];
	FILE *f;

	path_of(h, "/proc/cpuinfo", path);
	f = fopen(path, "re");
	if (!f)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f) && *line != '\n')
		read_cpuinfo_line(h, line);
	fclose(f);
	return 0;
}

static bool has_flag(const struct host *h)
{
	return h->flag_vmx || h->flag_svm;
}

static void check_processor(const struct host *h, struct host_report *r)
{
	const char *flag = h->flag_vmx ? "vmx" : "svm";
	struct finding *f;

	if (has_flag(h)) {
		add(r, "processor", FINDING_GOOD, "%s, flag %s in /proc/cpuinfo", h->vendor, flag);
		return;
	}
	if (h->kvm->vmx || h->kvm->svm) {
		f = add(r, "processor", FINDING_BAD,
			"%s, CPUID has %s but /proc/cpuinfo has not: the kernel found it switched "
			"off, or on the bare machine without nested paging",
			h->vendor, h->kvm->vmx ? "vmx" : "svm");
		remedy(f, "switch virtualization (VT-x, SVM) on in the firmware setup");
		return;
	}
	f = add(r, "processor", FINDING_BAD, "%s, neither vmx nor svm in /proc/cpuinfo", h->vendor);
	if (!h->kvm->in_vm)
		remedy(f,
		       "switch virtualization (VT-x, SVM) on in the firmware setup, if it has it");
}

/* ---- inside another VM? --------------------------------------------------------------------- */

static void check_nesting(const struct host *h, struct host_report *r)
{
	struct finding *f;

	if (!h->kvm->in_vm) {
		add(r, "nesting", FINDING_GOOD,
		    "not inside a virtual machine (CPUID's hypervisor bit)");
		return;
	}
	if (has_flag(h)) {
		add(r, "nesting", FINDING_NOTE,
		    "inside a virtual machine that passes hardware virtualization on");
		return;
	}
	f = add(r, "nesting", FINDING_BAD,
		"inside a virtual machine without hardware virtualization of its own");
	remedy(f,
	       "switch nested virtualization on where this machine is run (kvm: nested=1 and its "
	       "CPU model \"host\")");
}

/* ---- firmware lock -------------------------------------------------------------------------- */

/* 0, or a negative errno: -ENOENT without the msr module, -EIO if there is no such
   register. */
static int read_msr(const struct host *h, uint32_t index, uint64_t *value)
{
	char path[512];
	int fd, rc = 0;

	path_of(h, "/dev/cpu/0/msr", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, value, sizeof(*value), index) != sizeof(*value))
		rc = -EIO;
	close(fd);
	return rc;
}

static void firmware_unreadable(struct host_report *r, int rc)
{
	struct finding *f =
		add(r, "firmware", FINDING_NOTE,
		    "whether it locks virtualization is not to be seen: /dev/cpu/0/msr: %s",
		    strerror(-rc));

	if (rc == -ENOENT)
		remedy(f, "to see it, `modprobe msr` and run this as root");
	else if (rc == -EACCES || rc == -EPERM)
		remedy(f, "to see it, run this as root");
}

static void firmware_says(struct host_report *r, bool off, const char *fact)
{
	if (off)
		remedy(add(r, "firmware", FINDING_BAD, "has switched virtualization off (%s)",
			   fact),
		       "switch it on in the firmware setup, then power the machine off and on");
	else
		add(r, "firmware", FINDING_GOOD, "leaves virtualization on (%s)", fact);
}

static void check_firmware(const struct host *h, struct host_report *r)
{
	bool intel = h->kvm->vmx || h->flag_vmx;
	char fact[64];
	uint64_t value;
	int rc;

	if (h->kvm->own_kernel || (!intel && !h->kvm->svm && !h->flag_svm))
		return;
	rc = read_msr(h, intel ? MSR_FEATURE_CONTROL : MSR_VM_CR, &value);
	if (rc) {
		firmware_unreadable(r, rc);
		return;
	}
	snprintf(fact, sizeof(fact), "MSR %#x is %#llx", intel ? MSR_FEATURE_CONTROL : MSR_VM_CR,
		 (unsigned long long)value);
	if (intel)
		firmware_says(r, (value & FEATURE_LOCKED) && !(value & FEATURE_VMX), fact);
	else
		firmware_says(r, value & VM_CR_SVMDIS, fact);
}

/* ---- kernel module and /dev/kvm ------------------------------------------------------------- */

static void check_module(const struct host *h, struct host_report *r)
{
	bool core = exists(h, "/sys/module/kvm"), intel = exists(h, "/sys/module/kvm_intel");
	bool amd = exists(h, "/sys/module/kvm_amd");
	struct finding *f;

	if (h->kvm->own_kernel) {
		add(r, "module", FINDING_GOOD, "none is needed: Baton's own kernel");
		return;
	}
	if (intel || amd) {
		add(r, "module", FINDING_GOOD, "%s is loaded", intel ? "kvm_intel" : "kvm_amd");
		return;
	}
	f = add(r, "module", has_flag(h) ? FINDING_BAD : FINDING_NOTE,
		core ? "kvm is there, but neither kvm_intel nor kvm_amd"
		     : "no kvm module is loaded (nothing in /sys/module)");
	if (has_flag(h))
		remedy(f, h->flag_vmx ? "modprobe kvm_intel" : "modprobe kvm_amd");
}

static void check_device(const struct host *h, struct host_report *r)
{
	const struct err *failure = &h->kvm->failure;

	if (!failure->code) {
		add(r, "device", FINDING_GOOD, "/dev/kvm opens and runs a guest");
		return;
	}
	/* The sentence has its remedy behind the semicolon. */
	const char *semicolon = strstr(failure->text, "; ");
	struct finding *f = add(r, "device", FINDING_BAD, "%.*s",
				semicolon ? (int)(semicolon - failure->text) : 250, failure->text);

	if (semicolon && (failure->code != -ENOENT || has_flag(h)))
		remedy(f, semicolon + 2);
}

static void check_speed(const struct host *h, struct host_report *r)
{
	double millions = (double)h->kvm->instr_per_second / 1e6;
	struct finding *f;

	if (h->kvm->failure.code)
		return;
	if (!kvm_host_emulates(h->kvm)) {
		add(r, "speed", FINDING_GOOD,
		    "at least %.0f million guest instructions a second, measured: on the processor",
		    millions);
		return;
	}
	f = add(r, "speed", FINDING_BAD,
		"%.1f million guest instructions a second, measured: this /dev/kvm only emulates",
		millions);
	remedy(f, "use --engine bt, which translates instead; auto does");
}

/* ---- all of it ------------------------------------------------------------------------------ */

int host_check_with(struct host_report *r, const struct kvm_host *measured, const char *root,
		    struct err *e)
{
	static void (*const checks[])(const struct host *, struct host_report *) = {
		check_processor, check_nesting, check_firmware,
		check_module,    check_device,  check_speed,
	};
	struct host h = {.root = root, .kvm = measured, .vendor = "unknown processor"};
	int rc = read_cpuinfo(&h, e);

	memset(r, 0, sizeof(*r));
	if (rc)
		return rc;
	r->kvm = *measured;
	for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](&h, r);
	r->hardware = kvm_host_advice(measured, r->advice, sizeof(r->advice));
	return 0;
}

int host_check(struct host_report *r, const char *root, struct err *e)
{
	struct kvm_host measured;

	kvm_host_measure(&measured);
	return host_check_with(r, &measured, root, e);
}
