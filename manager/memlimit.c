/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM may take of a bare machine's memory: its own, and what its process needs beside. There
 * RLIMIT_AS counts pages that are in memory; Linux counts addresses, of which the translator and
 * the caches reserve many, so there no limit is set.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/metal.h"
#include "base/num.h"
#include "manager/manager.h"

/* Displays and what is seen of them by VNC, firmware, buffers of devices. */
#define PROCESS_ROOM (128 * MIB)
/* Tables of an image (vmm/backend/image) and requests under way. */
#define DISK_ROOM (64 * MIB)
/* Of each vCPU: 96 MiB of translated code, which is mapped twice (vmm/engine/bt), its records, and
 * TLBs. */
#define TRANSLATOR_ROOM (512 * MIB)

static uint64_t memory_needed(const struct spec *s)
{
	uint64_t room = PROCESS_ROOM + s->ndisks * DISK_ROOM;

	if (!s->engine || strncmp(s->engine, "kvm", 3))
		room += s->cpus * TRANSLATOR_ROOM;
	return s->memory + s->memory / 8 + room;
}

int manager_limit_memory(const struct spec *s, struct err *e)
{
	struct rlimit limit = {memory_needed(s), memory_needed(s)};

	if (on_bare_metal() && setrlimit(RLIMIT_AS, &limit))
		return err_set(e, -errno, "a limit of memory: %s", strerror(errno));
	return 0;
}
