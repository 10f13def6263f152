/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of a saved machine: what is written comes back, and nothing else is taken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/state/memory_stream.h"
#include "vmm/state/wire.h"

static const char description[] = "{\"machine\": {}, \"about\": {}}";

static void fill(struct memory_stream *m)
{
	static uint8_t memory[STATE_CHUNK];
	struct state_writer *w;
	struct err e;

	memset(memory, 7, sizeof(memory));
	memset(m, 0, sizeof(*m));
	assert_int_equal(state_writer_open(&w, memory_write, m, &e), 0);
	assert_int_equal(state_put(w, STATE_DESCRIPTION, 0, description, strlen(description), &e),
			 0);
	assert_int_equal(state_put(w, STATE_RECORD, 3, "record", 6, &e), 0);
	assert_int_equal(
		state_put(w, STATE_MEMORY, STATE_MEMORY_AT(1, 4096), memory, STATE_CHUNK, &e), 0);
	assert_int_equal(state_put(w, STATE_END, 0, NULL, 0, &e), 0);
	state_writer_close(w);
}

/* Reads everything; the first error's code. */
static int read_through(struct memory_stream *m, struct err *e)
{
	static uint8_t buf[STATE_CHUNK];
	struct state_reader *r;
	struct state_section s = {0};
	int rc;

	m->pos = 0;
	e->text[0] = '\0';
	rc = state_reader_open(&r, memory_read, m, e);
	if (rc)
		return rc;
	while (!rc && s.type != STATE_END) {
		rc = state_next(r, &s, e);
		if (!rc && s.len <= sizeof(buf))
			rc = state_take(r, buf, e);
	}
	state_reader_close(r);
	return rc;
}

static void sections_come_back(void **state)
{
	static uint8_t buf[STATE_CHUNK];
	struct memory_stream m;
	struct state_reader *r;
	struct state_section s;
	struct err e;

	(void)state;
	fill(&m);
	assert_true(m.len < 1000); /* compressed */
	assert_int_equal(state_reader_open(&r, memory_read, &m, &e), 0);
	assert_int_equal(state_next(r, &s, &e), 0);
	assert_int_equal(s.type, STATE_DESCRIPTION);
	assert_int_equal(state_take(r, buf, &e), 0);
	assert_memory_equal(buf, description, s.len);
	assert_int_equal(state_next(r, &s, &e), 0); /* and is passed over */
	assert_int_equal(s.where, 3);
	assert_int_equal(state_next(r, &s, &e), 0);
	assert_int_equal(STATE_MEMORY_SLOT(s.where), 1);
	assert_int_equal(STATE_MEMORY_OFFSET(s.where), 4096);
	assert_int_equal(state_take(r, buf, &e), 0);
	assert_int_equal(buf[s.len - 1], 7);
	assert_int_equal(state_next(r, &s, &e), 0);
	assert_int_equal(s.type, STATE_END);
	assert_int_equal(state_take(r, buf, &e), 0);
	assert_int_equal(state_next(r, &s, &e), -EINVAL);
	state_reader_close(r);
	free(m.data);
}

static void each_cut_is_noticed(void **state)
{
	struct memory_stream m;
	struct err e;

	(void)state;
	fill(&m);
	for (size_t len = m.len; len--;) {
		m.len = len;
		assert_int_equal(read_through(&m, &e), -EINVAL);
		assert_true(e.text[0]);
	}
	free(m.data);
}

static void each_changed_bit_is_noticed(void **state)
{
	struct memory_stream m;
	struct err e;

	(void)state;
	fill(&m);
	for (size_t i = 0; i < m.len * 8; i++) {
		m.data[i / 8] ^= 1 << i % 8;
		assert_true(read_through(&m, &e) < 0);
		m.data[i / 8] ^= 1 << i % 8;
	}
	assert_int_equal(read_through(&m, &e), 0);
	free(m.data);
}

/* One section with a right checksum, whatever its head says. */
static void craft(struct memory_stream *m, struct wire_section h, const void *stored)
{
	const struct wire_header head = {.magic = WIRE_MAGIC, .version = STATE_VERSION};

	m->len = 0;
	memory_write(m, &head, sizeof(head), NULL);
	h.check = wire_check(&h, stored);
	memory_write(m, &h, sizeof(h), NULL);
	memory_write(m, stored, h.stored, NULL);
}

static void impossible_sections_are_refused(void **state)
{
	static const struct {
		struct wire_section head;
		const char *words;
	} rows[] = {
		{{.type = 0}, "unknown type 0"},
		{{.type = 5, .len = 1, .stored = 1}, "unknown type 5"},
		{{.type = ~0u}, "unknown type"},
		{{.type = STATE_RECORD, .len = 4, .stored = 4}, "lacks its machine description"},
		{{.type = STATE_END}, "lacks its machine description"},
		{{.type = STATE_DESCRIPTION}, "of 0 bytes"},
		{{.type = STATE_DESCRIPTION, .len = STATE_MAX_DESCRIPTION + 1, .stored = 1},
		 "of 262145 bytes"},
		{{.type = STATE_DESCRIPTION, .len = 4, .stored = 4, .zero = 1}, "of 4 bytes"},
		{{.type = STATE_DESCRIPTION, .len = 4, .stored = ~0u}, "stored in"},
		{{.type = STATE_DESCRIPTION, .len = 4}, "stored in 0"},
		{{.type = STATE_DESCRIPTION, .len = 4, .stored = 4}, "does not decompress"},
		{{.type = STATE_MEMORY, .len = STATE_CHUNK + 1, .stored = 4}, "bytes"},
		{{.type = STATE_RECORD, .len = STATE_MAX_RECORD + 1, .stored = 4}, "bytes"},
	};
	struct memory_stream m = {0};
	uint8_t *stored = calloc(1, 65536);
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_section h = rows[i].head;
		bool huge = h.stored > 65536;

		if (huge) /* the checksum is not looked at: nothing of that size is read */
			h.stored = 65536;
		craft(&m, h, stored);
		if (huge)
			memset(m.data + sizeof(struct wire_header) +
				       offsetof(struct wire_section, stored),
			       0xff, 4);
		assert_int_equal(read_through(&m, &e), -EINVAL);
		if (!strstr(e.text, rows[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, rows[i].words);
	}
	free(stored);
	free(m.data);
}

static void other_files_and_versions_are_named(void **state)
{
	struct memory_stream m;
	struct err e;

	(void)state;
	fill(&m);
	m.data[8] = 2;
	assert_int_equal(read_through(&m, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "version 2"));
	memset(m.data, 'x', 64);
	assert_int_equal(read_through(&m, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not a saved machine"));
	free(m.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_come_back),
		cmocka_unit_test(each_cut_is_noticed),
		cmocka_unit_test(each_changed_bit_is_noticed),
		cmocka_unit_test(impossible_sections_are_refused),
		cmocka_unit_test(other_files_and_versions_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
