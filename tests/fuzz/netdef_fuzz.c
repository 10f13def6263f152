/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a network's definition: refused, or with addresses that lie in its subnet. */
#include <stdlib.h>

#include "manager/net/net.h"

static bool lies_inside(const struct netdef *d, struct in_addr a)
{
	return (a.s_addr & netdef_mask(d).s_addr) == d->subnet.s_addr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netdef d = {0};
	struct err e;

	if (!netdef_parse(&d, (const char *)data, size, &e) &&
	    (!lies_inside(&d, netdef_host(&d)) || !lies_inside(&d, netdef_first(&d)) ||
	     !lies_inside(&d, netdef_last(&d)) || d.name[NETDEF_NAME_MAX] || d.bridge[15]))
		abort();
	return 0;
}
