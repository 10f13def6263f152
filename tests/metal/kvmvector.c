// SPDX-License-Identifier: Apache-2.0
/*
 * A program for Linux's KVM interface: 64-bit code moves vectors from a device to memory that is
 * read-only and to a device. It prints each access that comes to it, in order.
 *
 *     kvmvector [avx]
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
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

#define RAM_SIZE 0x10000
#define ROM      0x100000
#define DEVICE   0x200ff8 /* a vector from here is in two pages */
#define CODE     0x4000
#define SSE      2
#define AVX      7

/* movups xmm1, [rsi]; movups [rdi], xmm1; movaps [rdi+16], xmm1; movups [rsi], xmm1; hlt */
static const uint8_t sse[] = {0x0f, 0x10, 0x0e, 0x0f, 0x11, 0x0f, 0x0f,
			      0x29, 0x4f, 0x10, 0x0f, 0x11, 0x0e, 0xf4};
/* vmovdqu ymm9, [rsi]; vmovdqu [rdi], ymm9; vmovups xmm9, [rsi]; vmovups [rdi], ymm9; hlt */
static const uint8_t avx[] = {0xc5, 0x7e, 0x6f, 0x0e, 0xc5, 0x7e, 0x7f, 0x0f, 0xc5,
			      0x78, 0x10, 0x0e, 0xc5, 0x7c, 0x11, 0x0f, 0xf4};

static int serve(struct kvm_run *r)
{
	static uint8_t next;
	uint64_t val = 0;

	if (r->exit_reason != KVM_EXIT_MMIO) {
		printf("exit reason %u\n", r->exit_reason);
		return r->exit_reason == KVM_EXIT_HLT ? 0 : 1;
	}
	if (!r->mmio.is_write)
		memset(r->mmio.data, ++next, 8);
	memcpy(&val, r->mmio.data, r->mmio.len);
	printf("%s %llx %u %llx\n", r->mmio.is_write ? "write" : "read",
	       (unsigned long long)r->mmio.phys_addr, r->mmio.len, (unsigned long long)val);
	return -1;
}

static int add_memory(int vm, unsigned slot, uint64_t at, void *host, uint64_t size, unsigned flags)
{
	struct kvm_userspace_memory_region r = {slot, flags, at, size, (uintptr_t)host};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

/* Tables at 0x1000, of one page of 1 GiB. */
static void make_memory(char *ram, const uint8_t *code, size_t size)
{
	uint64_t pml4 = 0x2003, pdpt = 0x3003, pd[2] = {0x83, 0x200083};

	memcpy(ram + 0x1000, &pml4, 8);
	memcpy(ram + 0x2000, &pdpt, 8);
	memcpy(ram + 0x3000, pd, sizeof(pd));
	memcpy(ram + CODE, code, size);
}

/* 64-bit mode with SSE, and AVX if it is wanted. */
static int set_up(int vcpu, uint64_t xcr0)
{
	struct kvm_regs regs = {.rip = CODE, .rsi = DEVICE, .rdi = ROM, .rflags = 2};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 8, .type = 3, .present = 1, .s = 1, .g = 1};
	struct kvm_segment code = data;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = xcr0}}};
	struct kvm_sregs s;

	code.type = 11;
	code.l = 1;
	CHECK(ioctl(vcpu, KVM_GET_SREGS, &s));
	s.cs = code;
	s.ds = s.es = s.ss = data;
	s.cr0 = 0x80000033;
	s.cr3 = 0x1000;
	s.cr4 = xcr0 == AVX ? 0x40620 : 0x620; /* OSXSAVE, OSXMMEXCPT, OSFXSR, PAE */
	s.efer = 0x500;
	CHECK(ioctl(vcpu, KVM_SET_SREGS, &s));
	if (xcr0 == AVX)
		CHECK(ioctl(vcpu, KVM_SET_XCRS, &xcrs));
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* The guest may use what the host has. */
static int set_cpuid(int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[100];
	} c = {.head.nent = 100};

	CHECK(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &c));
	return ioctl(vcpu, KVM_SET_CPUID2, &c);
}

int main(int argc, char **argv)
{
	bool wide = argc > 1 && !strcmp(argv[1], "avx");
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu, size, rc;
	char *ram =
		mmap(NULL, 2 * RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_run *run;

	CHECK(kvm);
	CHECK(vm = ioctl(kvm, KVM_CREATE_VM, 0));
	make_memory(ram, wide ? avx : sse, wide ? sizeof(avx) : sizeof(sse));
	CHECK(add_memory(vm, 0, 0, ram, RAM_SIZE, 0));
	CHECK(add_memory(vm, 1, ROM, ram + RAM_SIZE, RAM_SIZE, KVM_MEM_READONLY));
	CHECK(vcpu = ioctl(vm, KVM_CREATE_VCPU, 0));
	CHECK(size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	CHECK(set_cpuid(kvm, vcpu));
	CHECK(set_up(vcpu, wide ? AVX : SSE));
	do {
		CHECK(ioctl(vcpu, KVM_RUN, 0));
		rc = serve(run);
	} while (rc < 0);
	printf("rom %x\n", ram[RAM_SIZE]);
	return rc;
}
