// SPDX-License-Identifier: Apache-2.0
/*
 * A program for Linux's KVM interface: VMs and vCPUs that come and go while something else still
 * has to do with them. It prints what was tried; what goes wrong ends it.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "tinyvm.h"

#define RAM  0x200000
#define PAGE 0x1000
#define USED 0x4000000u

/* The mapping is not touched before all descriptors are closed; then others take the memory. */
static void mapping_outlives_vcpu(void)
{
	struct kvm_run *old, *next[8];

	for (unsigned round = 0; round < 4; round++) {
		struct tinyvm t = tinyvm_new(RAM, 0), u[8];

		t.vcpu = ioctl(t.vm, KVM_CREATE_VCPU, 0);
		old = tinyvm_map(t.vcpu);
		tinyvm_end(&t);
		for (unsigned i = 0; i < 8; i++) {
			u[i] = tinyvm_new(RAM, 0);
			u[i].vcpu = ioctl(u[i].vm, KVM_CREATE_VCPU, 0);
			next[i] = tinyvm_map(u[i].vcpu);
		}
		memset(old, 0xaa, 2 * PAGE);
		for (unsigned i = 0; i < 8; i++) {
			CHECK(!next[i]->exit_reason && !((char *)next[i])[PAGE]);
			munmap(next[i], 2 * PAGE);
			tinyvm_end(&u[i]);
		}
		munmap(old, 2 * PAGE);
	}
	puts("mapping");
}

/* A vCPU is there as long as its VM; without a descriptor for it there is none. */
static void creation(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct rlimit r;
	int fd[4096], n = 0, vcpu = ioctl(t.vm, KVM_CREATE_VCPU, 0);

	CHECK(ioctl(t.vm, KVM_CREATE_VCPU, 0) < 0 && errno == EEXIST);
	CHECK(ioctl(t.vm, KVM_CREATE_IRQCHIP, 0) < 0);
	close(vcpu);
	CHECK(ioctl(t.vm, KVM_CREATE_VCPU, 0) < 0 && errno == EEXIST);
	CHECK(!getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = r.rlim_cur < 4096 ? r.rlim_cur : 4096;
	setrlimit(RLIMIT_NOFILE, &r);
	while (n < 4096 && (fd[n] = dup(0)) >= 0)
		n++;
	CHECK(n < 4096);
	CHECK(ioctl(t.kvm, KVM_CREATE_VM, 0) < 0 && errno == EMFILE);
	CHECK(ioctl(t.vm, KVM_CREATE_VCPU, 1) < 0 && errno == EMFILE);
	while (n)
		close(fd[--n]);
	CHECK((t.vcpu = ioctl(t.vm, KVM_CREATE_VCPU, 1)) >= 0);
	tinyvm_end(&t);
	puts("creation");
}

static unsigned long free_kib(void)
{
	struct sysinfo s;

	CHECK(!sysinfo(&s));
	return s.freeram * s.mem_unit / 1024;
}

static void memory_returns(void)
{
	unsigned long before = free_kib(), after;

	for (unsigned n = 0; n < 200; n++) {
		struct tinyvm t = tinyvm_new(RAM, KVM_MEM_LOG_DIRTY_PAGES);
		struct kvm_run *r;

		t.vcpu = ioctl(t.vm, KVM_CREATE_VCPU, n % 8);
		r = tinyvm_map(t.vcpu);
		r->immediate_exit = 1;
		munmap(r, 2 * PAGE);
		munmap(t.ram, RAM);
		tinyvm_end(&t);
	}
	after = free_kib();
	CHECK(after + 4096 > before); /* what others took meanwhile */
	puts("memory");
}

/* Interrupts are sent to vCPUs that are closed and made. */
static volatile bool stop;

static void *send(void *opaque)
{
	int vm = *(int *)opaque;
	struct kvm_msi m = {.address_lo = 0xfeeff000, .data = 0x4031};

	while (!stop) {
		struct kvm_irq_level l = {.irq = 2, .level = 1};

		ioctl(vm, KVM_SIGNAL_MSI, &m);
		ioctl(vm, KVM_IRQ_LINE, &l);
		l.level = 0;
		ioctl(vm, KVM_IRQ_LINE, &l);
	}
	return NULL;
}

static void interrupts_to_closed_vcpus(void)
{
	for (unsigned round = 0; round < 20; round++) {
		struct tinyvm t = tinyvm_new(RAM, 0);
		pthread_t thread;

		CHECK(!ioctl(t.vm, KVM_CREATE_IRQCHIP, 0));
		stop = false;
		CHECK(!pthread_create(&thread, NULL, send, &t.vm));
		for (unsigned n = 0; n < 16; n++)
			close(ioctl(t.vm, KVM_CREATE_VCPU, n));
		stop = true;
		pthread_join(thread, NULL);
		tinyvm_end(&t);
	}
	puts("interrupts");
}

/* The guest writes to each page once: what is missing in the log stays so. */
CODE16(touch_code, "1: addr32 incl (%edi)\n"
		   "add $0x1000, %edi\n"
		   "cmp $0x4000000, %edi\n"
		   "jb 1b\n"
		   "out %al, $0x80");

static void *run(void *opaque)
{
	struct tinyvm *t = opaque;

	CHECK(!ioctl(t->vcpu, KVM_RUN, 0) && t->run->exit_reason == KVM_EXIT_IO);
	stop = true;
	return NULL;
}

static unsigned take_log(const struct tinyvm *t, uint64_t *seen)
{
	static uint64_t bits[USED / PAGE / 64];
	struct kvm_dirty_log log = {.dirty_bitmap = bits}, lost = {.dirty_bitmap = (void *)PAGE};
	unsigned n = 0;

	CHECK(ioctl(t->vm, KVM_GET_DIRTY_LOG, &lost) && errno == EFAULT); /* takes no bit away */
	CHECK(!ioctl(t->vm, KVM_GET_DIRTY_LOG, &log));
	for (unsigned i = 0; i < USED / PAGE / 64; i++) {
		n += (unsigned)__builtin_popcountl(bits[i] & ~seen[i]);
		seen[i] |= bits[i];
	}
	return n;
}

static void dirty_log_is_whole(void)
{
	struct tinyvm t = tinyvm_new(USED, KVM_MEM_LOG_DIRTY_PAGES);
	static uint64_t seen[USED / PAGE / 64];
	struct kvm_sregs s;
	pthread_t thread;
	unsigned n = 0;

	tinyvm_start(&t, 0x800, touch_code, touch_code_end);
	CHECK(!ioctl(t.vcpu, KVM_GET_SREGS, &s));
	s.ds.limit = ~0u;
	s.ds.g = 1;
	CHECK(!ioctl(t.vcpu, KVM_SET_SREGS, &s));
	stop = false;
	CHECK(!pthread_create(&thread, NULL, run, &t));
	while (!stop)
		n += take_log(&t, seen);
	pthread_join(thread, NULL);
	n += take_log(&t, seen);
	CHECK(n == USED / PAGE);
	tinyvm_end(&t);
	puts("dirty log");
}

/* What the processor would not take is refused before it comes there: XCR0 with AVX but no SSE, a
 * memory type that does not exist, an address of no form. */
static void impossible_registers(void)
{
	static const struct {
		uint32_t index;
		uint64_t data;
	} msrs[] = {{0x277, 2},
		    {0x2ff, 7},
		    {0x268, 0x0700000000000000},
		    {0x175, 1ul << 47},
		    {0xc0000084, 1ul << 32}};
	struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs[0].value = 5};
	struct tinyvm t = tinyvm_new(RAM, 0);

	t.vcpu = ioctl(t.vm, KVM_CREATE_VCPU, 0);
	CHECK(ioctl(t.vcpu, KVM_SET_XCRS, &x) && errno == EINVAL);
	x.xcrs[0].value = 0x21;
	CHECK(ioctl(t.vcpu, KVM_SET_XCRS, &x) && errno == EINVAL);
	x.xcrs[0].value = 3;
	CHECK(!ioctl(t.vcpu, KVM_SET_XCRS, &x));
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry e;
		} m = {{.nmsrs = 1}, {.index = msrs[i].index, .data = msrs[i].data}};

		CHECK(!ioctl(t.vcpu, KVM_SET_MSRS, &m));
		m.e.data = 0;
		CHECK(ioctl(t.vcpu, KVM_SET_MSRS, &m) == 1);
	}
	tinyvm_end(&t);
	puts("registers");
}

/* NMIs that KVM_SET_VCPU_EVENTS masks come after the next IRET. */
CODE16(masked_code, "movw $0x900, 8\n" /* vector 2 */
		    "movw $0, 10\n"
		    "out %al, $0x80\n"
		    "pushf\n"
		    "push %cs\n"
		    "push $0x880\n"
		    "iret");
CODE16(after_code, "out %al, $0x81\n"
		   "hlt");
CODE16(nmi_code, "out %al, $0x82\n"
		 "hlt");

static unsigned port(const struct tinyvm *t)
{
	CHECK(!ioctl(t->vcpu, KVM_RUN, 0) && t->run->exit_reason == KVM_EXIT_IO);
	return t->run->io.port;
}

static void nmis_are_masked(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_vcpu_events e;

	memcpy(t.ram + 0x880, after_code, (size_t)(after_code_end - after_code));
	memcpy(t.ram + 0x900, nmi_code, (size_t)(nmi_code_end - nmi_code));
	tinyvm_start(&t, 0x800, masked_code, masked_code_end);
	CHECK(port(&t) == 0x80);
	CHECK(!ioctl(t.vcpu, KVM_GET_VCPU_EVENTS, &e));
	e.nmi.masked = 1;
	CHECK(!ioctl(t.vcpu, KVM_SET_VCPU_EVENTS, &e));
	CHECK(!ioctl(t.vcpu, KVM_NMI, 0));
	CHECK(port(&t) == 0x82);
	CHECK(!ioctl(t.vcpu, KVM_GET_VCPU_EVENTS, &e) && e.nmi.masked);
	tinyvm_end(&t);
	puts("NMI");
}

/* Arithmetic on a device: what it writes, and the flags. NOT leaves them alone. */
CODE16(arithmetic_code, "xor %eax, %eax\n" /* ZF and PF */
			"notl 0x9000\n"
			"pushf\n"
			"pop %ax\n"
			"out %ax, $0x80\n"
			"stc\n"
			"adcl $0x7fffffff, 0x9000\n"
			"pushf\n"
			"pop %ax\n"
			"out %ax, $0x80\n"
			"btrw $4, 0x9000\n"
			"pushf\n"
			"pop %ax\n"
			"out %ax, $0x80\n"
			"hlt");

/* Gives `val` to the read, and tells what is written; then the flags are told at a port. */
static uint32_t operate(const struct tinyvm *t, unsigned len, uint32_t val, unsigned *flags)
{
	struct kvm_run *r = t->run;
	uint32_t result = 0;

	CHECK(!ioctl(t->vcpu, KVM_RUN, 0) && r->exit_reason == KVM_EXIT_MMIO);
	CHECK(r->mmio.phys_addr == 0x9000 && r->mmio.len == len && !r->mmio.is_write);
	memcpy(r->mmio.data, &val, sizeof(val));
	CHECK(!ioctl(t->vcpu, KVM_RUN, 0) && r->exit_reason == KVM_EXIT_MMIO && r->mmio.is_write);
	memcpy(&result, r->mmio.data, len);
	CHECK(port(t) == 0x80);
	memcpy(flags, (char *)r + r->io.data_offset, 2);
	*flags &= 0x8d5;
	return result;
}

static void arithmetic_on_devices(void)
{
	struct tinyvm t = tinyvm_new(0x8000, 0); /* and no memory behind it */
	unsigned flags = 0;

	tinyvm_start(&t, 0x800, arithmetic_code, arithmetic_code_end);
	CHECK(operate(&t, 4, 0x0f0f0f0f, &flags) == 0xf0f0f0f0 && flags == 0x44);
	CHECK(operate(&t, 4, 0, &flags) == 0x80000000 && flags == 0x894);
	CHECK(operate(&t, 2, 0x1234, &flags) == 0x1224 && flags & 1);
	tinyvm_end(&t);
	puts("arithmetic");
}

int main(void)
{
	mapping_outlives_vcpu();
	creation();
	memory_returns();
	interrupts_to_closed_vcpus();
	dirty_log_is_whole();
	impossible_registers();
	arithmetic_on_devices();
	nmis_are_masked();
	return 0;
}
