/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a VM's snapshots: what is taken can be changed and removed without harm. */
#include <stdint.h>
#include <stdlib.h>

#include "manager/snaptree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot_tree t;
	struct err e = {0};

	if (snapshot_tree_parse(&t, (const char *)data, size, &e))
		return 0;
	if (t.n)
		snapshot_set_name(&t, &t.list[0], "renamed");
	while (t.n)
		snapshot_remove(&t, &t.list[t.n / 2]);
	if (*t.current)
		abort();
	snapshot_tree_free(&t);
	return 0;
}
