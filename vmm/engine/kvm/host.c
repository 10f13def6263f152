/* SPDX-License-Identifier: Apache-2.0 */
/* Times a tiny guest under /dev/kvm and judges by it whether KVM is to be used. */
#include "vmm/engine/kvm/host.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/metal.h"
#include "base/num.h"
#include "vmm/engine/kvm/kvm.h"

#define LOOPS    300u /* of two instructions */
#define ATTEMPTS 2

/* dec ecx; jnz 0; hlt */
static const uint8_t countdown[] = {0x49, 0x75, 0xfd, 0xf4};

struct probe_vm {
	int kvm_fd, fd, vcpu_fd;
	uint8_t *page;
	struct kvm_run *run;
	size_t run_size;
};

static void probe_close(struct probe_vm *p)
{
	if (p->run)
		munmap(p->run, p->run_size);
	if (p->page)
		munmap(p->page, MEM_PAGE_SIZE);
	if (p->vcpu_fd >= 0)
		close(p->vcpu_fd);
	if (p->fd >= 0)
		close(p->fd);
	if (p->kvm_fd >= 0)
		close(p->kvm_fd);
}

static void *map(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* As in vm.c, Intel's helpers for code without paging lie beside the guest's memory. */
static int give_memory(struct probe_vm *p)
{
	struct kvm_userspace_memory_region r = {.memory_size = MEM_PAGE_SIZE};
	__u64 identity = 0xfeffc000;
	int rc;

	p->page = map(MEM_PAGE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!p->page)
		return -ENOMEM;
	memcpy(p->page, countdown, sizeof(countdown));
	r.userspace_addr = (uintptr_t)p->page;
	rc = kvm_ioctl(p->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (!rc)
		rc = kvm_ioctl_val(p->fd, KVM_SET_TSS_ADDR, 0xfeffd000);
	return rc ? rc : kvm_ioctl(p->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

/* 32-bit protected mode with flat segments: runs on the processor itself even where real mode
 * doesn't. */
static int set_flat_mode(struct probe_vm *p)
{
	struct kvm_segment data = {.limit = 0xffffffff,
				   .selector = 0x10,
				   .type = 3,
				   .s = 1,
				   .present = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_sregs s;
	int rc = kvm_ioctl(p->vcpu_fd, KVM_GET_SREGS, &s);

	if (rc)
		return rc;
	s.ds = s.es = s.fs = s.gs = s.ss = s.cs = data;
	s.cs.type = 0xb;
	s.cs.selector = 8;
	s.cr0 |= 1;
	return kvm_ioctl(p->vcpu_fd, KVM_SET_SREGS, &s);
}

static int give_vcpu(struct probe_vm *p)
{
	int rc = kvm_ioctl_val(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (rc < (int)sizeof(struct kvm_run))
		return rc < 0 ? rc : -EINVAL;
	p->run_size = (size_t)rc;
	rc = p->vcpu_fd = kvm_ioctl_val(p->fd, KVM_CREATE_VCPU, 0);
	if (rc < 0)
		return rc;
	p->run = map(p->run_size, MAP_SHARED, p->vcpu_fd);
	return p->run ? set_flat_mode(p) : -ENOMEM;
}

static int probe_open(struct probe_vm *p)
{
	int rc = p->fd = kvm_ioctl_val(p->kvm_fd, KVM_CREATE_VM, 0);

	if (rc >= 0)
		rc = give_memory(p);
	return rc ? rc : give_vcpu(p);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One countdown; nanoseconds, or a negative errno. */
static int64_t time_once(struct probe_vm *p)
{
	struct kvm_regs regs = {.rflags = 2, .rcx = LOOPS};
	uint64_t start;
	int rc = kvm_ioctl(p->vcpu_fd, KVM_SET_REGS, &regs);

	if (rc)
		return rc;
	start = now_ns();
	rc = kvm_ioctl(p->vcpu_fd, KVM_RUN, NULL);
	if (rc)
		return rc;
	if (p->run->exit_reason != KVM_EXIT_HLT)
		return -EIO;
	return (int64_t)(now_ns() - start) + 1;
}

/* The first run also pays for the first touch of the page: the best one counts. */
static int64_t best_time(struct probe_vm *p)
{
	const int64_t fast = 2ll * LOOPS * 1000000000 / KVM_HOST_SLOW;
	int64_t best = INT64_MAX;

	for (int i = 0; i < ATTEMPTS && best > fast; i++) {
		int64_t t = time_once(p);

		if (t < 0)
			return t;
		if (t < best)
			best = t;
	}
	return best;
}

static void time_guest(struct kvm_host *h)
{
	struct probe_vm p = {.fd = -1, .vcpu_fd = -1};
	int64_t t;

	p.kvm_fd = kvm_open(&h->failure);
	if (p.kvm_fd < 0)
		return;
	t = probe_open(&p);
	if (t >= 0)
		t = best_time(&p);
	if (t < 0)
		err_set(&h->failure, (int)t, "/dev/kvm cannot run a guest: %s", strerror((int)-t));
	else
		h->instr_per_second = 2ull * LOOPS * 1000000000 / (uint64_t)(t ? t : 1);
	probe_close(&p);
}

void kvm_host_measure(struct kvm_host *h)
{
	unsigned a, b, c, d;

	memset(h, 0, sizeof(*h));
	h->own_kernel = on_bare_metal();
	if (__get_cpuid(1, &a, &b, &c, &d)) {
		h->vmx = c >> 5 & 1;
		h->in_vm = c >> 31;
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		h->svm = c >> 2 & 1;
	if (!kvm_probe(&h->failure))
		time_guest(h);
}

bool kvm_host_emulates(const struct kvm_host *h)
{
	return !h->own_kernel &&
	       h->instr_per_second < (h->vmx || h->svm ? KVM_HOST_SLOW_HW : KVM_HOST_SLOW);
}

bool kvm_host_advice(const struct kvm_host *h, char *why, size_t len)
{
	const char *kind = h->vmx ? "vmx" : h->svm ? "svm" : "no vmx or svm flag";
	double millions = (double)h->instr_per_second / 1e6;

	if (h->failure.code) {
		snprintf(why, len, "engine bt: %s", h->failure.text);
		return false;
	}
	if (kvm_host_emulates(h)) {
		snprintf(why, len,
			 "engine bt: /dev/kvm only emulates here (%s; %.1f million instructions a "
			 "second, measured)",
			 kind, millions);
		return false;
	}
	snprintf(why, len,
		 "engine kvm: /dev/kvm runs guests on the processor (%s; at least %.0f million "
		 "instructions a second, measured)",
		 kind, millions);
	return true;
}
