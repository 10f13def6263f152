/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the KVM engine makes of a debugger's points, and of the exits they bring. The kernel is
 * played: no KVM is needed, and few hosts of tests have one that emulates debug registers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/engine/kvm/kvm.h"

/* ---- the kernel ----------------------------------------------------------------------------- */

static struct kvm_guest_debug told;
static struct kvm_regs regs;

int __wrap_kvm_ioctl(int fd, unsigned long request, void *arg);
int __wrap_kvm_ioctl_val(int fd, unsigned long request, unsigned long arg);

int __wrap_kvm_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	if (request == KVM_SET_GUEST_DEBUG)
		told = *(struct kvm_guest_debug *)arg;
	else if (request == KVM_GET_REGS)
		*(struct kvm_regs *)arg = regs;
	else if (request == KVM_SET_REGS)
		regs = *(struct kvm_regs *)arg;
	return 0;
}

int __wrap_kvm_ioctl_val(int fd, unsigned long request, unsigned long arg)
{
	(void)fd, (void)arg;
	return request == KVM_CHECK_EXTENSION ? KVM_GUESTDBG_BLOCKIRQ : 0;
}

/* ---- the vCPU ------------------------------------------------------------------------------- */

static struct engine_vm vm;
static struct kvm_run run;
static struct engine_vcpu cpu = {.vm = &vm, .run = &run};

static void set(const struct engine_point *point, unsigned n, bool step, bool pass)
{
	struct engine_debug d = {.point = point, .npoints = n, .step = step, .pass = pass};
	struct err e;

	memset(&told, 0, sizeof(told));
	assert_int_equal(kvm_vcpu_debug(&cpu, &d, &e), 0);
}

static bool debug_exit(uint32_t exception, uint64_t pc, uint64_t dr6)
{
	run.debug.arch = (struct kvm_debug_exit_arch){.exception = exception, .pc = pc, .dr6 = dr6};
	return kvm_debug_exit(&cpu);
}

static const struct engine_point points[] = {
	{0x1000, 1, POINT_CODE},   {0x2000, 8, POINT_WRITE}, {0x3000, 2, POINT_READ},
	{0x4004, 4, POINT_ACCESS}, {0x5000, 1, POINT_INT3},
};

/* Intel SDM 3B, figure 18-1: enable bits 2n+1, RW 16+4n, LEN 18+4n (0: 1, 1: 2, 2: 8, 3: 4). */
static void points_become_debug_registers(void **state)
{
	(void)state;
	set(points, 5, false, false);
	assert_int_equal(told.control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_USE_SW_BP);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(told.arch.debugreg[i], points[i].addr);
	assert_int_equal(told.arch.debugreg[7],
			 0x200 | 0xaa | 0x0ull << 16 | 0x9ull << 20 | 0x7ull << 24 | 0xfull << 28);
	assert_int_equal(kvm_vcpu_debug(&cpu, NULL, NULL), 0);
	assert_int_equal(told.control, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct engine_point odd = {0x1001, 2, POINT_WRITE},
					 long_ = {0x1000, 16, POINT_WRITE};
	struct engine_point five[5];
	struct engine_debug d = {.point = &odd, .npoints = 1};
	struct err e;

	(void)state;
	assert_true(kvm_vcpu_debug(&cpu, &d, &e) < 0);
	d.point = &long_;
	assert_true(kvm_vcpu_debug(&cpu, &d, &e) < 0);
	for (unsigned i = 0; i < 5; i++)
		five[i] = (struct engine_point){0x1000 + i, 1, POINT_CODE};
	d = (struct engine_debug){.point = five, .npoints = 5};
	assert_true(kvm_vcpu_debug(&cpu, &d, &e) < 0);
}

static void exits_tell_their_point(void **state)
{
	struct engine_stop stop;

	(void)state;
	set(points, 5, false, false);
	assert_true(debug_exit(1, 0x1234, 0xffff0ff2)); /* B1 */
	kvm_vcpu_stop(&cpu, &stop);
	assert_true(stop.cause == STOP_POINT && stop.kind == POINT_WRITE && stop.addr == 0x2000);
	assert_true(debug_exit(3, 0x5000, 0));
	kvm_vcpu_stop(&cpu, &stop);
	assert_true(stop.kind == POINT_INT3 && stop.addr == 0x5000);
}

/* The guest's own INT3 and single step are its own business. */
static void the_guests_exceptions_go_on_to_it(void **state)
{
	(void)state;
	set(points, 5, false, false);
	assert_false(debug_exit(3, 0x6000, 0));
	assert_true(told.control & KVM_GUESTDBG_INJECT_BP);
	assert_false(debug_exit(1, 0x6000, 1u << 14));
	assert_true(told.control & KVM_GUESTDBG_INJECT_DB);
	assert_int_equal(told.arch.debugreg[0], 0x1000); /* the points stay */
}

static void steps_block_interrupts(void **state)
{
	struct engine_stop stop;

	(void)state;
	set(NULL, 0, true, false);
	assert_int_equal(told.control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ);
	assert_true(debug_exit(1, 0x1001, 1u << 14));
	kvm_vcpu_stop(&cpu, &stop);
	assert_true(stop.cause == STOP_STEP && stop.addr == 0x1001);
}

static void a_reported_point_is_passed_by_rf(void **state)
{
	(void)state;
	regs.rflags = 2;
	set(points, 1, false, false);
	assert_int_equal(regs.rflags, 2);
	set(points, 1, false, true);
	assert_int_equal(regs.rflags, 0x10002);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_become_debug_registers),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(exits_tell_their_point),
		cmocka_unit_test(the_guests_exceptions_go_on_to_it),
		cmocka_unit_test(steps_block_interrupts),
		cmocka_unit_test(a_reported_point_is_passed_by_rf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
