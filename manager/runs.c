/* SPDX-License-Identifier: Apache-2.0 */
/* The number and the first record of each run of a VM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "manager/folders.h"
#include "vmm/record.h"

unsigned long run_next_id(const struct manager *m)
{
	char path[PATH_SIZE], *text, number[24];
	unsigned long id = 1;
	size_t len;

	snprintf(path, sizeof(path), "%s/.next-id", m->runtime);
	if (!file_read(path, sizeof(number), &text, &len, NULL)) {
		id = strtoul(text, NULL, 10) + 1;
		free(text);
	}
	snprintf(number, sizeof(number), "%lu\n", id);
	file_replace(path, number, strlen(number), NULL);
	return id;
}

int run_record(const struct manager *m, const char *name, unsigned long id, const struct spec *s,
	       struct err *e)
{
	struct record r = {.state = "running", .exit_status = -1, .id = id};
	char path[PATH_SIZE];

	strcpy(r.reason, s->restore ? "restored" : "booted");
	return vm_path(m, name, "state.json", path, e) ? e->code : record_write(path, &r, e);
}
