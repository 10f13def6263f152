// SPDX-License-Identifier: Apache-2.0
/*
 * A program for Linux's KVM interface, and nothing of Baton's: one VM, one vCPU, a page of
 * real-mode code that adds two numbers and writes the digit to a port, as small users of the
 * interface do. It is built for Linux and runs on Baton's kernel as it is.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CHECK(x)                    \
	do {                        \
		if ((x) < 0) {      \
			perror(#x); \
			return 1;   \
		}                   \
	} while (0)

/* mov dx, 3f8h; add al, bl; add al, '0'; out dx, al; mov al, 10; out dx, al; hlt */
static const uint8_t code[] = {0xba, 0xf8, 0x03, 0x00, 0xd8, 0x04,
			       '0',  0xee, 0xb0, '\n', 0xee, 0xf4};

static int run(int vcpu, struct kvm_run *r)
{
	for (;;) {
		CHECK(ioctl(vcpu, KVM_RUN, 0));
		if (r->exit_reason == KVM_EXIT_HLT)
			return 0;
		if (r->exit_reason != KVM_EXIT_IO || r->io.direction != KVM_EXIT_IO_OUT ||
		    r->io.port != 0x3f8) {
			fprintf(stderr, "exit reason %u\n", r->exit_reason);
			return 1;
		}
		putchar(*((char *)r + r->io.data_offset));
	}
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu, size;
	struct kvm_userspace_memory_region region = {.guest_phys_addr = 0x1000,
						     .memory_size = 0x1000};
	struct kvm_regs regs = {.rip = 0x1000, .rax = 2, .rbx = 2, .rflags = 2};
	struct kvm_sregs sregs;
	void *page, *shared;

	CHECK(kvm);
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != 12)
		return 1;
	CHECK(vm = ioctl(kvm, KVM_CREATE_VM, 0));
	page = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy(page, code, sizeof(code));
	region.userspace_addr = (uintptr_t)page;
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	CHECK(vcpu = ioctl(vm, KVM_CREATE_VCPU, 0));
	CHECK(size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	shared = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	CHECK(ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs));
	CHECK(ioctl(vcpu, KVM_SET_REGS, &regs));
	return run(vcpu, shared);
}
