/* SPDX-License-Identifier: Apache-2.0 */
/* Whole machines saved and loaded, and the tables that this stands on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/state/machine.h"
#include "vmm/snapshot/load.h"
#include "vmm/snapshot/objects.h"
#include "vmm/state/cpu.h"

/* ---- tables --------------------------------------------------------------------------------- */

/* Devices without anything that a save would have to hold. */
static const char *const stateless[] = {"debug-exit", "debugcon"};

static bool is_stateless(const char *name)
{
	for (size_t i = 0; i < sizeof(stateless) / sizeof(stateless[0]); i++)
		if (!strcmp(stateless[i], name))
			return true;
	return false;
}

static void check_table(const struct state_desc *d)
{
	for (const struct state_field *f = d->fields; f->tag; f++) {
		assert_in_range(f->offset + (uint64_t)f->size * f->count, 1, d->size);
		for (const struct state_field *g = f + 1; g->tag; g++)
			if (f->tag == g->tag)
				fail_msg("%s: tag %u is there twice", d->name, f->tag);
	}
}

static void every_device_has_a_state_table(void **state)
{
	(void)state;
	for (const struct device_ops *const *d = device_models; *d; d++) {
		if (is_stateless((*d)->name))
			continue;
		if (!(*d)->state || !(*d)->hw || !(*d)->loaded)
			fail_msg("device %s has no state table, or no hw() or loaded()",
				 (*d)->name);
		assert_string_equal((*d)->state->name, (*d)->name);
		assert_ptr_equal(state_desc_find((*d)->name), (*d)->state);
		check_table((*d)->state);
	}
	check_table(&cpu_state_desc);
	check_table(&clock_state_desc);
}

/* A register that is added to the struct but not to the table would be lost in silence. */
static void the_processor_s_table_leaves_nothing_out(void **state)
{
	struct x86_cpu_state a, b;
	struct state_buf buf = {0};
	size_t used, lost = 0;
	size_t padding =
		8 * (sizeof(struct x86_segment) - 18) + 2 * (sizeof(struct x86_table) - 10);
	struct err e;

	(void)state;
	padding += offsetof(struct x86_cpu_state, exception_error) -
		   offsetof(struct x86_cpu_state, exception_has_error) - 1;
	padding += offsetof(struct x86_cpu_state, xsave) - offsetof(struct x86_cpu_state, lapic) -
		   sizeof(a.lapic);
	memset(&a, 0xff, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_int_equal(state_save(&cpu_state_desc, &a, &buf), 0);
	assert_int_equal(buf.len, state_size(&cpu_state_desc));
	assert_int_equal(state_load(&cpu_state_desc, &b, buf.data, buf.len, &used, &e), 0);
	for (size_t i = 0; i < sizeof(b); i++)
		lost += !((const uint8_t *)&b)[i];
	assert_int_equal(lost, padding);
	free(buf.data);
}

/* ---- machines ------------------------------------------------------------------------------- */

#define DEVICES "{\"name\": \"virtio-console\"}"

static int load(struct small_machine *s, struct memory_stream *m, struct err *e)
{
	m->pos = 0;
	return machine_load(s->machine, memory_read, m, e);
}

static void a_loaded_machine_is_the_saved_one(void **state)
{
	struct small_machine a, b;
	struct memory_stream saved, again;
	struct err e = {0};

	(void)state;
	small_create(&a, 2, DEVICES);
	mem_write(&a.machine->mem, 0x180000, "kept", 4);
	a.machine->clock.paused_at = 12345678901;
	a.machine->clock.kvmclock_offset = -77;
	small_save(&a, &saved);
	small_create(&b, 2, DEVICES);
	memset(b.machine->mem.slot[0].host, 0, b.machine->mem.slot[0].size);
	assert_int_equal(load(&b, &saved, &e), 0);
	assert_int_equal(clock_now(&b.machine->clock), 12345678901);
	assert_int_equal(b.machine->clock.kvmclock_offset, -77);
	assert_memory_equal(a.machine->mem.slot[0].host, b.machine->mem.slot[0].host,
			    a.machine->mem.slot[0].size);
	small_save(&b, &again);
	/* The times of the two saves may differ, which changes the description's length. */
	assert_in_range(again.len, saved.len - 64, saved.len + 64);
	free(saved.data);
	free(again.data);
	small_destroy(&a);
	small_destroy(&b);
}

static void another_machine_is_refused(void **state)
{
	static const struct {
		unsigned cpus;
		const char *devices, *words;
	} rows[] = {
		{1, DEVICES, "machine.cpus: the saved machine has 2, this one has 1"},
		{2, "{\"name\": \"debugcon\"}", "machine.devices["},
		{2, "", "machine.devices["},
		{2, DEVICES ", " DEVICES, "machine.devices["},
	};
	struct small_machine a, b;
	struct memory_stream saved;
	struct err e;

	(void)state;
	small_create(&a, 2, DEVICES);
	small_save(&a, &saved);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		small_create(&b, rows[i].cpus, rows[i].devices);
		assert_int_equal(load(&b, &saved, &e), -EINVAL);
		if (!strstr(e.text, rows[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, rows[i].words);
		small_destroy(&b);
	}
	free(saved.data);
	small_destroy(&a);
}

/* Copies a saved state section by section; `change` may drop or double one, or add others. */
struct copy {
	struct state_writer *w;
	unsigned index;
};

typedef void change_fn(struct copy *c, const struct state_section *s, void *data);

static void put(struct copy *c, enum state_section_type type, uint64_t where, const void *data,
		size_t len)
{
	struct err e;

	assert_int_equal(state_put(c->w, type, where, data, len, &e), 0);
}

static void copy_changed(struct memory_stream *from, struct memory_stream *to, change_fn *change)
{
	struct copy c = {0};
	struct state_section s;
	struct state_reader *r;
	struct err e;

	from->pos = 0;
	memset(to, 0, sizeof(*to));
	assert_int_equal(state_reader_open(&r, memory_read, from, &e), 0);
	assert_int_equal(state_writer_open(&c.w, memory_write, to, &e), 0);
	do {
		void *data;

		assert_int_equal(state_next(r, &s, &e), 0);
		data = malloc(s.len + 1);
		assert_int_equal(state_take(r, data, &e), 0);
		change(&c, &s, data);
		c.index++;
		free(data);
	} while (s.type != STATE_END);
	state_writer_close(c.w);
	state_reader_close(r);
}

static void same(struct copy *c, const struct state_section *s, void *data)
{
	put(c, s->type, s->where, data, s->len);
}

static bool is_record(const struct state_section *s, const void *data, const char *name)
{
	char found[STATE_MAX_NAME];

	return s->type == STATE_RECORD && !state_record_name(data, s->len, found, NULL) &&
	       !strcmp(found, name);
}

static void drop_rtc(struct copy *c, const struct state_section *s, void *data)
{
	if (!is_record(s, data, "rtc"))
		same(c, s, data);
}

static void double_rtc(struct copy *c, const struct state_section *s, void *data)
{
	same(c, s, data);
	if (is_record(s, data, "rtc"))
		same(c, s, data);
}

static void third_cpu(struct copy *c, const struct state_section *s, void *data)
{
	put(c, s->type, is_record(s, data, "cpu") && s->where ? 2 : s->where, data, s->len);
}

static void stranger(struct copy *c, const struct state_section *s, void *data)
{
	static const char record[] = "\6\0floppy\1\0\0\0\0\0";

	if (s->type == STATE_END)
		put(c, STATE_RECORD, 0, record, sizeof(record) - 1);
	same(c, s, data);
}

static void long_record(struct copy *c, const struct state_section *s, void *data)
{
	static uint8_t much[1 << 20];

	if (s->type == STATE_END)
		put(c, STATE_RECORD, 0, much, sizeof(much));
	same(c, s, data);
}

static void memory_elsewhere(struct copy *c, const struct state_section *s, void *data)
{
	put(c, s->type, s->type == STATE_MEMORY ? s->where + (1 << 21) : s->where, data, s->len);
}

static void memory_across_the_end(struct copy *c, const struct state_section *s, void *data)
{
	put(c, s->type, s->type == STATE_MEMORY ? s->where + (2 << 20) - 4096 : s->where, data,
	    s->len);
}

static void memory_of_no_slot(struct copy *c, const struct state_section *s, void *data)
{
	put(c, s->type, s->type == STATE_MEMORY ? ~0ull : s->where, data, s->len);
}

static void memory_twice(struct copy *c, const struct state_section *s, void *data)
{
	same(c, s, data);
	if (s->type == STATE_MEMORY)
		same(c, s, data);
}

static void impossible_cr0(struct copy *c, const struct state_section *s, void *data)
{
	const struct x86_cpu_state bad = {.cr0 = 0x80000000};
	struct state_buf b = {0};

	if (!is_record(s, data, "cpu")) {
		same(c, s, data);
		return;
	}
	assert_int_equal(state_save(&cpu_state_desc, &bad, &b), 0);
	put(c, STATE_RECORD, s->where, b.data, b.len);
	free(b.data);
}

static void what_does_not_fit_is_named(void **state)
{
	static const struct {
		change_fn *change;
		const char *words;
	} rows[] = {
		{drop_rtc, "lacks the record of \"rtc\" 0"},
		{double_rtc, "two records of \"rtc\" 0"},
		{third_cpu, "a record of \"cpu\" 2, which this machine lacks"},
		{stranger, "a record of \"floppy\" 0, which this machine lacks"},
		{long_record, "a record of 1048576 bytes"},
		{memory_elsewhere, "where there is none"},
		{memory_across_the_end, "where there is none"},
		{memory_of_no_slot, "where there is none"},
		{memory_twice, "twice"},
		{impossible_cr0, "cpu 0: state: CR0"},
	};
	struct small_machine a;
	struct memory_stream saved, changed;
	struct err e;

	(void)state;
	small_create(&a, 2, DEVICES);
	small_save(&a, &saved);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		copy_changed(&saved, &changed, rows[i].change);
		assert_int_equal(load(&a, &changed, &e), -EINVAL);
		if (!strstr(e.text, rows[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, rows[i].words);
		free(changed.data);
	}
	copy_changed(&saved, &changed, same);
	assert_int_equal(load(&a, &changed, &e), 0);
	free(changed.data);
	free(saved.data);
	small_destroy(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_device_has_a_state_table),
		cmocka_unit_test(the_processor_s_table_leaves_nothing_out),
		cmocka_unit_test(a_loaded_machine_is_the_saved_one),
		cmocka_unit_test(another_machine_is_refused),
		cmocka_unit_test(what_does_not_fit_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
