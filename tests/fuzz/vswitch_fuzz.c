/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frames through the kernel's network switch: none comes back to its port, changes, or passes
 * a port that is down or has left.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/net/vswitch.h"

#define NPORTS 5

static struct {
	const uint8_t *frame;
	unsigned len, from, taken;
} now;

static struct port ports[NPORTS];

static bool take(struct port *p, const void *frame, unsigned len)
{
	if (p == &ports[now.from] || len != now.len || memcmp(frame, now.frame, len))
		abort();
	now.taken++;
	return len % 7; /* sometimes there is no room */
}

/* Four bytes say from where, how long, between whom, and what becomes of the port before. */
static void one_frame(const uint8_t *step, struct vswitch *s, uint64_t time)
{
	uint8_t frame[FRAME_MAX + 2] = {
		step[2] & 3, [5] = step[3] & 7, [6] = step[2] >> 4, [11] = step[3] >> 4};
	struct port *from;

	now.from = step[0] % NPORTS;
	now.frame = frame;
	now.len = step[1] < 250 ? step[1] : FRAME_MAX - 252u + step[1];
	now.taken = 0;
	from = &ports[now.from];
	if (step[0] & 0x80 && from->joined)
		switch_leave(from);
	else if (step[0] & 0x80)
		switch_join(s, from);
	from->up = !(step[0] & 0x40);
	if (switch_forward(from, frame, now.len, time) !=
	    (now.len >= FRAME_MIN && now.len <= FRAME_MAX))
		abort();
	if (now.taken && (!from->joined || !from->up))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vswitch s = {0};
	uint64_t time = 1;

	memset(ports, 0, sizeof(ports));
	ports[0].uplink = true;
	for (unsigned i = 0; i < NPORTS; i++) {
		ports[i].send = take;
		switch_join(&s, &ports[i]);
	}
	for (; size >= 5; data += 5, size -= 5) {
		time += (uint64_t)data[4] << 30;
		one_frame(data, &s, time);
	}
	return 0;
}
