/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/state/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/snapshot/save.h"

/* A multiboot header that says where the file goes: nothing but HLT follows. */
static const uint32_t kernel[] = {0x1badb002, 0x10000,  -(0x1badb002 + 0x10000u),
				  0x100000,   0x100000, 0x100024,
				  0x100024,   0x100020, 0xfeebf4};

static void must(int rc, const struct err *e)
{
	if (!rc)
		return;
	fprintf(stderr, "%s\n", e->text);
	abort();
}

void small_create(struct small_machine *s, unsigned cpus, const char *devices)
{
	char json[1024];
	struct err e;
	int fd;

	strcpy(s->kernel, "/tmp/baton-state-XXXXXX");
	fd = mkstemp(s->kernel);
	must(fd < 0 || write(fd, kernel, sizeof(kernel)) != sizeof(kernel), &e);
	close(fd);
	snprintf(json, sizeof(json),
		 "{\"version\": 1, \"memory\": 2097152, \"cpus\": %u, \"engine\": \"bt\","
		 " \"serial\": \"none\", \"boot\": {\"kernel\": \"%s\"}, \"devices\": [%s]}",
		 cpus, s->kernel, devices);
	spec_init(&s->spec);
	must(spec_parse(&s->spec, json, strlen(json), &e), &e);
	must(machine_create(&s->machine, &s->spec, &e), &e);
}

void small_destroy(struct small_machine *s)
{
	machine_destroy(s->machine);
	spec_free(&s->spec);
	unlink(s->kernel);
}

void small_save(const struct small_machine *s, struct memory_stream *out)
{
	struct image i;
	struct err e;

	memset(out, 0, sizeof(*out));
	must(image_take(s->machine, &i, true, &e), &e);
	must(image_write(&i, memory_write, out, NULL, NULL, &e), &e);
	image_free(&i);
}
