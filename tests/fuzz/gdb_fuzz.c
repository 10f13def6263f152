/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes to the debugger's stub, with stops in between; byte ffh is a stop. */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/gdb/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct gdb_session *s, struct fake_target *t, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		struct engine_stop stop = {.cause = STOP_POINT,
					   .kind = (enum engine_point_kind)(i % 5),
					   .addr = t->cpu[0].rip};

		if (data[i] == 0xff)
			gdb_stopped(s, (unsigned)i % TARGET_CPUS, &stop);
		else
			gdb_session_input(s, &data[i], 1);
		if (t->out_len > sizeof(t->out) / 2)
			t->out_len = 0;
	}
}

/* Packets without a right checksum would end at the reader: each line is framed as one, too. */
static void feed_framed(struct gdb_session *s, const uint8_t *data, size_t size)
{
	static char frame[GDB_FRAME_SIZE(4096)];

	if (size <= 4096)
		gdb_session_input(s, frame, gdb_frame((const char *)data, size, frame));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake_target t;
	struct gdb_session *s;
	struct err e;

	fake_target_init(&t, size % 3);
	if (gdb_session_open(&s, &t.target, size & 1, fake_target_send, &t, &e))
		abort();
	for (size_t start = 0, i = 0; i <= size; i++) {
		if (i < size && data[i] != '\n')
			continue;
		feed_framed(s, data + start, i - start);
		start = i + 1;
	}
	feed(s, &t, data, size);
	gdb_session_close(s);
	fake_target_fini(&t);
	return 0;
}
