/* SPDX-License-Identifier: Apache-2.0 */
/* Small VMs for programs that try Linux's KVM interface: RAM, vCPUs in real mode, code from the
 * program's own text. */
#ifndef TESTS_METAL_TINYVM_H
#define TESTS_METAL_TINYVM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(x)                                                                         \
	do {                                                                             \
		if (!(x)) {                                                              \
			fprintf(stderr, "line %d: %s: errno %d\n", __LINE__, #x, errno); \
			exit(1);                                                         \
		}                                                                        \
	} while (0)

/* 16-bit code between two labels, to be copied to where it runs. */
#define CODE16(name, text)                                                                       \
	__asm__(".pushsection .rodata\n.code16\n" #name ":\n" text "\n" #name "_end:\n.code64\n" \
		".popsection");                                                                  \
	extern const uint8_t name[], name##_end[]

struct tinyvm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	uint8_t *ram;
};

/* RAM from address 0 in slot 0, no vCPU yet. */
static inline struct tinyvm tinyvm_new(size_t ram, uint32_t flags)
{
	struct tinyvm t = {.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), .vcpu = -1};
	struct kvm_userspace_memory_region r = {.memory_size = ram, .flags = flags};

	CHECK(t.kvm >= 0);
	CHECK((t.vm = ioctl(t.kvm, KVM_CREATE_VM, 0)) >= 0);
	t.ram = mmap(NULL, ram, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(t.ram != MAP_FAILED);
	r.userspace_addr = (uintptr_t)t.ram;
	CHECK(!ioctl(t.vm, KVM_SET_USER_MEMORY_REGION, &r));
	return t;
}

static inline struct kvm_run *tinyvm_map(int vcpu)
{
	struct kvm_run *r = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	CHECK(r != MAP_FAILED);
	return r;
}

/* vCPU 0 at `at` in the first 64 KiB, stack below it. */
static inline void tinyvm_start(struct tinyvm *t, uint16_t at, const uint8_t *code,
				const uint8_t *end)
{
	struct kvm_regs regs = {.rip = at, .rsp = at, .rflags = 2};
	struct kvm_sregs s;

	memcpy(t->ram + at, code, (size_t)(end - code));
	CHECK((t->vcpu = ioctl(t->vm, KVM_CREATE_VCPU, 0)) >= 0);
	t->run = tinyvm_map(t->vcpu);
	CHECK(!ioctl(t->vcpu, KVM_GET_SREGS, &s));
	s.cs.base = s.cs.selector = 0;
	CHECK(!ioctl(t->vcpu, KVM_SET_SREGS, &s));
	CHECK(!ioctl(t->vcpu, KVM_SET_REGS, &regs));
}

static inline struct kvm_regs tinyvm_regs(const struct tinyvm *t)
{
	struct kvm_regs r;

	CHECK(!ioctl(t->vcpu, KVM_GET_REGS, &r));
	return r;
}

static inline void tinyvm_end(struct tinyvm *t)
{
	close(t->vcpu);
	close(t->vm);
	close(t->kvm);
}

#endif
