/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's protocol, packet by packet, on a target that only remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gdb/target.h"
#include "vmm/gdb/address.h"
#include "vmm/gdb/memory.h"

struct fixture {
	struct fake_target t;
	struct gdb_session *s;
};

static int open_with(void **state, unsigned max_points)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) & ~63ul);
	struct err e;

	fake_target_init(&f->t, max_points);
	*state = f;
	return gdb_session_open(&f->s, &f->t.target, false, fake_target_send, &f->t, &e);
}

static int open_session(void **state)
{
	return open_with(state, ENGINE_MAX_POINTS);
}

static int open_with_two_points(void **state)
{
	return open_with(state, 2);
}

static int close_session(void **state)
{
	struct fixture *f = *state;

	gdb_session_close(f->s);
	fake_target_fini(&f->t);
	free(f);
	return 0;
}

static void clear(struct fixture *f)
{
	f->t.out_len = 0;
	f->t.out[0] = '\0';
}

static void input(struct fixture *f, const char *data, size_t len)
{
	char *frame = malloc(GDB_FRAME_SIZE(len));

	gdb_session_input(f->s, frame, gdb_frame(data, len, frame));
	free(frame);
}

/* Sends a packet; gives the data of what comes back behind the +. */
static const char *ask(struct fixture *f, const char *data)
{
	char *hash;

	clear(f);
	input(f, data, strlen(data));
	assert_int_equal(f->t.out[0], '+');
	if (f->t.out[1] != '$')
		return NULL;
	hash = strrchr(f->t.out, '#');
	assert_non_null(hash);
	*hash = '\0';
	return f->t.out + 2;
}

#define expect(f, question, answer) assert_string_equal(ask(f, question), answer)

static void packets_are_framed(void **state)
{
	struct fixture *f = *state;
	char frame[32];

	assert_int_equal(gdb_frame("a#b", 3, frame), 8);
	assert_memory_equal(frame, "$a}\003b#", 6);
	gdb_session_input(f->s, "$?#3f", 5);
	assert_string_equal(f->t.out, "+$T05thread:1;#d7");
	clear(f);
	gdb_session_input(f->s, "-", 1); /* once more */
	assert_string_equal(f->t.out, "$T05thread:1;#d7");
	clear(f);
	gdb_session_input(f->s, "$?#40", 5); /* a wrong checksum */
	assert_string_equal(f->t.out, "-");
	clear(f);
	gdb_session_input(f->s, "$gar$?#3f", 9); /* a packet cut off by another */
	assert_string_equal(f->t.out, "+$T05thread:1;#d7");
	assert_string_equal(ask(f, "QStartNoAckMode"), "OK");
	clear(f);
	gdb_session_input(f->s, "$?#3f", 5);
	assert_string_equal(f->t.out, "$T05thread:1;#d7");
}

static void long_packets_are_refused(void **state)
{
	struct fixture *f = *state;
	char *data = malloc(GDB_PACKET_SIZE + 1);

	memset(data, 'm', GDB_PACKET_SIZE + 1);
	input(f, data, GDB_PACKET_SIZE + 1);
	assert_string_equal(f->t.out, "-");
	clear(f);
	input(f, data, GDB_PACKET_SIZE); /* whole, and nonsense */
	assert_int_equal(f->t.out[2], 'E');
	free(data);
}

static void unknown_packets_get_an_empty_reply(void **state)
{
	struct fixture *f = *state;
	static const char *const packets[] = {"qTStatus", "vMustReplyEmpty", "_m10",       "qL1160",
					      "b",        "Z5,0,1",          "QNonStop:1", "vRun;a",
					      "jfoo"};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		expect(f, packets[i], "");
}

static void wrong_packets_get_an_error(void **state)
{
	struct fixture *f = *state;
	static const char *const packets[] = {"m",
					      "m1000",
					      "m1000,",
					      "m1000,zz",
					      "m1000,2001",
					      "m11111111111111111,1",
					      "M1000,2:00",
					      "M1000,1",
					      "X1000,2:a",
					      "p",
					      "pffff",
					      "P0",
					      "P0=12",
					      "Pff=00",
					      "G0",
					      "Z0,",
					      "Z0,1000,",
					      "Z0,1000,0",
					      "z0,1000",
					      "Hg3",
					      "H",
					      "Hgx",
					      "T9",
					      "vCont",
					      "vCont;",
					      "vCont;x",
					      "vCont;c:7",
					      "vCont;C",
					      "qRcmd,0",
					      "qRcmd,zz",
					      "qXfer:features:read:other.xml:0,10",
					      "qXfer:features:read:target.xml:ffffff,10",
					      "qXfer:features:read:target.xml:",
					      "qThreadExtraInfo,9",
					      "c12x",
					      "mffffffff00000000,4"};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		assert_int_equal(*ask(f, packets[i]), 'E');
	assert_int_equal(f->t.resumes, 0);
}

/* ---- registers ------------------------------------------------------------------------------ */

static unsigned number_of(struct fixture *f, const char *name)
{
	for (unsigned i = 0; i < f->s->regs.n; i++)
		if (!strcmp(f->s->regs.reg[i].name, name))
			return i;
	fail_msg("there is no register %s", name);
	return 0;
}

static void set_reg(struct fixture *f, const char *name, const char *hex)
{
	char text[96];

	snprintf(text, sizeof(text), "P%x=%s", number_of(f, name), hex);
	expect(f, text, "OK");
}

static void expect_reg(struct fixture *f, const char *name, const char *hex)
{
	char text[16];

	snprintf(text, sizeof(text), "p%x", number_of(f, name));
	expect(f, text, hex);
}

static void registers_go_both_ways(void **state)
{
	struct fixture *f = *state;
	struct x86_cpu_state *s = &f->t.cpu[0];

	expect_reg(f, "rip", "0010000000000000");
	set_reg(f, "rbx", "8877665544332211");
	assert_int_equal(s->gpr[X86_RBX], 0x1122334455667788);
	set_reg(f, "eflags", "46020000");
	assert_int_equal(s->rflags, 0x246);
	set_reg(f, "ds", "10000000");
	assert_int_equal(s->seg[X86_DS].selector, 0x10);
	set_reg(f, "gs_base", "0000000080ffffff");
	assert_int_equal(s->seg[X86_GS].base, 0xffffff8000000000);
	expect_reg(f, "efer", "000d000000000000");
	expect_reg(f, "fctrl", "7f030000"); /* x87 was not in use: its initial state */
	expect_reg(f, "ftag", "ffff0000");
	set_reg(f, "st1", "0000000000000080ff3f");
	assert_int_equal(s->xsave[512], 1);
	assert_int_equal(s->xsave[0] | s->xsave[1] << 8, 0x37f);
	set_reg(f, "ftag", "f3ff0000");
	assert_int_equal(s->xsave[4], 2);
	expect_reg(f, "ftag", "f3ff0000");
	set_reg(f, "xmm15", "000102030405060708090a0b0c0d0e0f");
	set_reg(f, "ymm15h", "f00102030405060708090a0b0c0d0e0f");
	assert_int_equal(s->xsave[512], 7);
	assert_int_equal(s->xsave[160 + 15 * 16 + 15], 0x0f);
	assert_int_equal(s->xsave[576 + 15 * 16], 0xf0);
	expect_reg(f, "xmm15", "000102030405060708090a0b0c0d0e0f");
	set_reg(f, "k3", "0102030405060708");
	assert_int_equal(s->xsave[832 + 3 * 8], 1);
	set_reg(f, "xmm17", "000102030405060708090a0b0c0d0e0f");
	set_reg(f, "ymm17h", "101112131415161718191a1b1c1d1e1f");
	set_reg(f, "zmm17h", "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(s->xsave[1408 + 64 + i], i);
	set_reg(f, "zmm2h", "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
	assert_int_equal(s->xsave[896 + 2 * 32 + 31], 0x3f);
	assert_int_equal(s->xsave[512], 0xe7);
	expect_reg(f, "xmm14", "00000000000000000000000000000000");
}

static void all_registers_are_those_of_the_chosen_cpu(void **state)
{
	struct fixture *f = *state;
	char *all;
	size_t len = 0;

	for (unsigned i = 0; i < f->s->regs.n; i++)
		len += f->s->regs.reg[i].bits / 4;
	expect(f, "Hg2", "OK");
	f->t.cpu[1].gpr[X86_RAX] = 0x4242;
	all = strdup(ask(f, "g"));
	assert_int_equal(strlen(all), len);
	assert_memory_equal(all, "4242000000000000", 16);
	all = realloc(all, len + 2);
	memmove(all + 1, all, len + 1);
	all[0] = 'G';
	all[1] = '7';
	expect(f, all, "OK");
	assert_int_equal(f->t.cpu[1].gpr[X86_RAX], 0x4272);
	free(all);
}

static void real_mode_selectors_carry_their_base(void **state)
{
	struct fixture *f = *state;

	f->t.cpu[0].cr0 = 0x10;
	set_reg(f, "cs", "00f00000");
	assert_int_equal(f->t.cpu[0].seg[X86_CS].base, 0xf0000);
}

static void the_description_comes_in_parts(void **state)
{
	struct fixture *f = *state;
	char *xml = calloc(1, strlen(f->s->regs.xml) + 1), text[64];
	size_t len = 0;
	const char *part;

	do {
		snprintf(text, sizeof(text), "qXfer:features:read:target.xml:%zx,100", len);
		part = ask(f, text);
		for (const char *p = part + 1; *p; p++)
			xml[len++] = *p == '}' ? *++p ^ 0x20 : *p;
	} while (*part == 'm');
	assert_string_equal(xml, f->s->regs.xml);
	assert_non_null(strstr(xml, "org.gnu.gdb.i386.avx"));
	free(xml);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void memory_is_by_linear_address(void **state)
{
	struct fixture *f = *state;
	uint8_t *high = mem_ptr(&f->t.mem, 0x200000, 16, true);

	expect(f, "Mffffffff80000000,3:010203", "OK");
	assert_memory_equal(high, "\1\2\3", 3);
	expect(f, "mffffffff80000000,4", "01020300");
	clear(f);
	input(f, "Xffffffff80000004,3:#$}", 23);
	assert_string_equal(f->t.out, "+$OK#9a");
	assert_memory_equal(high + 4, "#$}", 3);
	/* Up to where the mapping ends. */
	memset(mem_ptr(&f->t.mem, 0x3ffffe, 2, true), 0x77, 2);
	expect(f, "mffffffff801ffffe,4", "7777");
}

static void tables_of_every_format_are_walked(void **state)
{
	struct fixture *f = *state;
	struct x86_cpu_state *s = &f->t.cpu[0];
	const uint32_t pde = 0x9003, pte = 0x123003, large = 0x800083;
	const uint64_t pdpte = 0xa001, pde2m = 0x400083;
	gpa_t gpa;

	mem_write(&f->t.mem, 0x8000 + 4, &pde, 4); /* 4 MiB..8 MiB */
	mem_write(&f->t.mem, 0x9000 + 8, &pte, 4);
	mem_write(&f->t.mem, 0x8000 + 8, &large, 4);
	mem_write(&f->t.mem, 0xb000 + 8, &pdpte, 8); /* 1 GiB..2 GiB */
	mem_write(&f->t.mem, 0xa000, &pde2m, 8);
	s->efer = 0;
	s->cr4 = 0x10;
	s->cr3 = 0x8000;
	assert_true(gdb_translate(&f->t.mem, s, 0x402345, &gpa));
	assert_int_equal(gpa, 0x123345);
	assert_true(gdb_translate(&f->t.mem, s, 0x812345, &gpa));
	assert_int_equal(gpa, 0x812345);
	assert_false(gdb_translate(&f->t.mem, s, 0x403000, &gpa));
	s->cr4 = 0x20;
	s->cr3 = 0xb000;
	assert_true(gdb_translate(&f->t.mem, s, 0x40012345, &gpa));
	assert_int_equal(gpa, 0x412345);
	assert_false(gdb_translate(&f->t.mem, s, 0x12345, &gpa));
	s->cr0 = 1;
	assert_true(gdb_translate(&f->t.mem, s, 0x12345, &gpa));
	assert_int_equal(gpa, 0x12345);
}

/* ---- running -------------------------------------------------------------------------------- */

static void actions_are_per_thread(void **state)
{
	struct fixture *f = *state;
	const struct engine_stop step = {.cause = STOP_STEP, .addr = 0x2001};

	expect(f, "vCont?", "vCont;c;C;s;S");
	assert_null(ask(f, "vCont;s:2"));
	assert_int_equal(f->t.action[0], GDB_STAY);
	assert_int_equal(f->t.action[1], GDB_STEP);
	clear(f);
	gdb_stopped(f->s, 1, &step);
	assert_string_equal(f->t.out, "$T05thread:2;#d8");
	expect(f, "qC", "QC2");
	assert_null(ask(f, "vCont;s:1;c"));
	assert_int_equal(f->t.action[0], GDB_STEP);
	assert_int_equal(f->t.action[1], GDB_RUN);
	assert_null(ask(f, "g")); /* it runs */
	clear(f);
	gdb_session_input(f->s, "\003", 1);
	assert_int_equal(f->t.interrupts, 1);
	assert_string_equal(f->t.out, "$T02thread:2;#d5");
	assert_null(ask(f, "c4000"));
	assert_int_equal(f->t.cpu[1].rip, 0x4000);
	clear(f);
	gdb_exited(f->s, 3);
	assert_string_equal(f->t.out, "$W03#ba");
}

static void stops_tell_their_point(void **state)
{
	struct fixture *f = *state;
	struct engine_stop stop = {.cause = STOP_POINT, .kind = POINT_CODE, .addr = 0x1234};

	ask(f, "qSupported:swbreak+;hwbreak+;xmlRegisters=i386");
	expect(f, "Z0,1234,1", "OK");
	expect(f, "Z0,1234,1", "OK"); /* again: the same one */
	expect(f, "Z2,5000,8", "OK");
	ask(f, "c");
	assert_int_equal(f->t.npoints, 2);
	assert_int_equal(f->t.passed, -1);
	clear(f);
	gdb_stopped(f->s, 0, &stop);
	assert_non_null(strstr(f->t.out, "T05swbreak:;thread:1;"));
	ask(f, "c");
	assert_int_equal(f->t.passed, 0);
	clear(f);
	stop = (struct engine_stop){.cause = STOP_POINT, .kind = POINT_WRITE, .addr = 0x5000};
	gdb_stopped(f->s, 1, &stop);
	assert_non_null(strstr(f->t.out, "T05watch:5000;thread:2;"));
	ask(f, "c");
	clear(f);
	gdb_stopped(f->s, 1, &(struct engine_stop){.cause = STOP_CRASH});
	assert_non_null(strstr(f->t.out, "T0bthread:2;"));
	expect(f, "z0,1234,1", "OK");
	expect(f, "z0,1234,1", "OK"); /* is gone */
	expect(f, "D", "OK");
	assert_int_equal(f->t.npoints, 0);
	assert_int_equal(f->t.action[0], GDB_RUN);
}

/* An engine of two points: the third software breakpoint becomes INT3, and does not show. */
static void breakpoints_beyond_the_engines_go_to_memory(void **state)
{
	struct fixture *f = *state;
	uint8_t *at = mem_ptr(&f->t.mem, 0x10000, 4, true);

	memset(at, 0x90, 4);
	expect(f, "Z0,10000,1", "OK");
	expect(f, "Z0,10001,1", "OK");
	expect(f, "Z0,10002,1", "OK");
	assert_int_equal(at[0] | at[1], 0x90);
	assert_int_equal(at[2], 0xcc);
	expect(f, "m10000,4", "90909090");
	expect(f, "Z2,20000,8", "OK"); /* takes the place of a software breakpoint */
	expect(f, "Z1,10003,1", "OK");
	assert_memory_equal(at, "\xcc\xcc\xcc\x90", 4);
	assert_int_equal(*ask(f, "Z4,20008,8"), 'E');
	expect(f, "M10001,2:aabb", "OK"); /* beneath the breakpoints */
	expect(f, "m10000,4", "90aabb90");
	assert_memory_equal(at, "\xcc\xcc\xcc\x90", 4);
	ask(f, "c");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(f->t.point[i].kind, POINT_INT3);
	gdb_stopped(f->s, 0, &(struct engine_stop){.cause = STOP_STEP});
	expect(f, "z0,10002,1", "OK");
	assert_int_equal(at[2], 0xbb);
	ask(f, "D");
	assert_memory_equal(at, "\x90\xaa\xbb\x90", 4);
}

static void threads_and_the_monitor(void **state)
{
	struct fixture *f = *state;

	expect(f, "qfThreadInfo", "m1,2");
	expect(f, "qsThreadInfo", "l");
	expect(f, "T2", "OK");
	expect(f, "qAttached", "1");
	f->t.cpu[1].activity = X86_HALTED;
	expect(f, "qThreadExtraInfo,2",
	       "7643505520312028"
	       "68616c74656429");
	clear(f);
	input(f, "qRcmd,68656c70", 14);
	assert_non_null(strstr(f->t.out, "$O68656c70#"));
	assert_non_null(strstr(f->t.out, "$OK#9a"));
	ask(f, "k");
	expect(f, "vKill;1", "OK");
	assert_int_equal(f->t.kills, 2);
}

static void addresses_are_parsed(void **state)
{
	struct gdb_address a;
	struct err e;

	(void)state;
	assert_int_equal(gdb_address_parse(&a, "1234,wait,i386", &e), 0);
	assert_true(a.port == 1234 && a.wait && a.i386 && !*a.path);
	assert_int_equal(gdb_address_parse(&a, "unix:/a/b", &e), 0);
	assert_string_equal(a.path, "/a/b");
	assert_false(a.wait);
	for (const char *const *bad = (const char *const[]){"", "0", "65536", "12a", "unix:",
							    "1234,", "1234,stop", "-1", NULL};
	     *bad; bad++)
		assert_true(gdb_address_parse(&a, *bad, &e) < 0);
}

int main(void)
{
#define T(name)  cmocka_unit_test_setup_teardown(name, open_session, close_session)
#define T2(name) cmocka_unit_test_setup_teardown(name, open_with_two_points, close_session)
	const struct CMUnitTest tests[] = {
		T(packets_are_framed),
		T(long_packets_are_refused),
		T(unknown_packets_get_an_empty_reply),
		T(wrong_packets_get_an_error),
		T(registers_go_both_ways),
		T(all_registers_are_those_of_the_chosen_cpu),
		T(real_mode_selectors_carry_their_base),
		T(the_description_comes_in_parts),
		T(memory_is_by_linear_address),
		T(tables_of_every_format_are_walked),
		T(actions_are_per_thread),
		T(stops_tell_their_point),
		T2(breakpoints_beyond_the_engines_go_to_memory),
		T(threads_and_the_monitor),
		cmocka_unit_test(addresses_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
