/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved states from nowhere, loaded into a real machine. The input is either the stream itself,
 * or a list of changes to a good one that is wrapped in right checksums: which section, which byte,
 * what it becomes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/state/machine.h"
#include "vmm/snapshot/inspect.h"
#include "vmm/snapshot/load.h"

#define MAX_SECTIONS 64

static struct small_machine machine;
static struct {
	struct state_section head;
	uint8_t *data;
} section[MAX_SECTIONS];
static unsigned nsections;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What only the vCPU's own mapping points to would count as leaked. */
static void end(void)
{
	small_destroy(&machine);
}

/* Keeps the sections of a good state, without the memory that only takes time. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct memory_stream m;
	struct state_reader *r;
	struct state_section s;
	struct err e;

	(void)argc, (void)argv;
	small_create(&machine, 1, "{\"name\": \"virtio-console\"}");
	small_save(&machine, &m);
	if (state_reader_open(&r, memory_read, &m, &e))
		abort();
	do {
		if (nsections == MAX_SECTIONS || state_next(r, &s, &e))
			abort();
		section[nsections].head = s;
		section[nsections].data = malloc(s.len + 1);
		if (state_take(r, section[nsections++].data, &e))
			abort();
	} while (s.type != STATE_END);
	state_reader_close(r);
	free(m.data);
	return atexit(end);
}

static void try(struct memory_stream *m)
{
	json_t *shown = NULL;

	m->pos = 0;
	machine_load(machine.machine, memory_read, m, &(struct err){0});
	m->pos = 0;
	inspect_state(memory_read, m, &shown, &(struct err){0});
	json_decref(shown);
}

/* Each change has 8 bytes: section, kind, offset (4), value, spare. */
static void change(const uint8_t *in, struct state_section *head, uint8_t *data)
{
	uint32_t at;

	memcpy(&at, in + 2, sizeof(at));
	switch (in[1] % 5) {
	case 0:
		if (head->len)
			data[at % head->len] ^= in[6];
		break;
	case 1:
		head->where ^= (uint64_t)in[6] << at % 64;
		break;
	case 2:
		head->type = (enum state_section_type)(1 + in[6] % 4);
		break;
	case 3:
		if (head->len)
			head->len = at % head->len;
		break;
	default:
		head->type = 0; /* left out */
	}
}

static void wrap(const uint8_t *in, size_t size, struct memory_stream *m)
{
	struct state_writer *w;
	struct err e;

	if (state_writer_open(&w, memory_write, m, &e))
		abort();
	for (unsigned i = 0; i < nsections; i++) {
		struct state_section head = section[i].head;
		uint8_t *data = malloc(head.len + 1);

		memcpy(data, section[i].data, head.len);
		for (size_t c = 0; c + 8 <= size; c += 8)
			if (in[c] % nsections == i)
				change(in + c, &head, data);
		if (head.type)
			state_put(w, head.type, head.where, data, head.len, &e);
		free(data);
	}
	state_writer_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_stream m = {0};

	if (!size)
		return 0;
	if (*data & 1)
		memory_write(&m, data + 1, size - 1, NULL);
	else
		wrap(data + 1, size - 1, &m);
	try(&m);
	free(m.data);
	return 0;
}
