/* SPDX-License-Identifier: Apache-2.0 */
/* From the wire to the guest: address filters (3.2.1), receive descriptors (3.2.3). */
#include <string.h>

#include "base/log.h"
#include "vmm/device/e1000/e1000.h"

#define RCTL_ENABLE             (1u << 1)
#define RCTL_ALL_UNICAST        (1u << 3)
#define RCTL_ALL_MULTICAST      (1u << 4)
#define RCTL_LONG               (1u << 5)
#define RCTL_MULTICAST_SHIFT(r) ((r) >> 12 & 3)
#define RCTL_BROADCAST          (1u << 15)
#define RCTL_SIZE(r)            ((r) >> 16 & 3)
#define RCTL_VLAN_FILTER        (1u << 18)
#define RCTL_BIG                (1u << 25)
#define RCTL_STRIP_CRC          (1u << 26)

#define FRAME_MIN 60
#define FRAME_STD 1522 /* longest without RCTL_LONG, CRC included */
#define CRC_LEN   4
#define ADDRESSES 16
#define VLAN_TYPE 0x8100

#define RX_DONE   0x01
#define RX_END    0x02
#define RX_NO_SUM 0x04 /* checksums were not looked at */

struct rx_descriptor {
	uint64_t address;
	uint16_t len, checksum;
	uint8_t status, errors;
	uint16_t special;
};

static uint32_t buffer_size(uint32_t rctl)
{
	uint32_t size = 2048u >> RCTL_SIZE(rctl);

	return rctl & RCTL_BIG && RCTL_SIZE(rctl) ? size * 16 : size;
}

/* ---- filters ------------------------------------------------------------------------------------
 */

static bool is_own(const struct e1000_hw *h, const uint8_t *mac)
{
	for (unsigned i = 0; i < ADDRESSES; i++)
		if ((h->address[2 * i + 1] & E1000_RAH_VALID) &&
		    !memcmp(&h->address[2 * i], mac, 6))
			return true;
	return false;
}

/* Twelve bits of the address's last sixteen choose a bit of the table. */
static bool multicast_matches(const struct e1000_hw *h, const uint8_t *mac)
{
	static const uint8_t shifts[] = {4, 3, 2, 0};
	unsigned bits = (mac[4] | mac[5] << 8) >> shifts[RCTL_MULTICAST_SHIFT(h->rctl)] & 0xfff;

	return h->multicast[bits >> 5] >> (bits & 31) & 1;
}

static bool vlan_matches(const struct e1000_hw *h, const uint8_t *frame)
{
	unsigned id;

	if (!(h->rctl & RCTL_VLAN_FILTER) || (frame[12] << 8 | frame[13]) != VLAN_TYPE)
		return true;
	id = (unsigned)(frame[14] << 8 | frame[15]) & 0xfff;
	return h->vlan[id >> 5] >> (id & 31) & 1;
}

static bool is_wanted(const struct e1000_hw *h, const uint8_t *frame)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (!vlan_matches(h, frame))
		return false;
	if (!memcmp(frame, broadcast, 6))
		return h->rctl & RCTL_BROADCAST || is_own(h, frame);
	if (is_own(h, frame))
		return true;
	if (frame[0] & 1)
		return h->rctl & RCTL_ALL_MULTICAST || multicast_matches(h, frame);
	return h->rctl & RCTL_ALL_UNICAST;
}

/* ---- descriptors --------------------------------------------------------------------------------
 */

static uint32_t ring_size(const struct e1000_hw *h)
{
	return h->rx_len / sizeof(struct rx_descriptor);
}

static uint32_t descriptors_left(const struct e1000_hw *h)
{
	uint32_t size = ring_size(h);

	return size && h->rx_head < size && h->rx_tail < size
		       ? (h->rx_tail + size - h->rx_head) % size
		       : 0;
}

/* Fills the descriptor at the head with [data, data+len); false: it is not in the RAM. */
static bool fill(struct e1000 *n, const uint8_t *data, uint32_t len, bool last)
{
	struct e1000_hw *h = &n->hw;
	gpa_t at = ((uint64_t)h->rx_base_high << 32 | h->rx_base_low) +
		   h->rx_head * sizeof(struct rx_descriptor);
	struct rx_descriptor d;

	if (!mem_read(n->env.mem, at, &d, sizeof(d)))
		return false;
	if (d.address)
		mem_write(n->env.mem, d.address, data, len);
	d.len = (uint16_t)len;
	d.checksum = d.special = 0;
	d.errors = 0;
	d.status = RX_DONE | RX_NO_SUM | (last ? RX_END : 0);
	mem_write(n->env.mem, at, &d, sizeof(d));
	h->rx_head = (h->rx_head + 1) % ring_size(h);
	return true;
}

static bool deliver(struct e1000 *n, const uint8_t *frame, uint32_t len)
{
	uint32_t size = buffer_size(n->hw.rctl), done = 0;

	while (done < len) {
		uint32_t part = len - done < size ? len - done : size;

		if (!fill(n, frame + done, part, done + part == len))
			return false;
		done += part;
	}
	return true;
}

/* A frame as it is on the wire: padded, with a checksum that nobody looks at. */
static uint32_t pad(uint8_t *to, const uint8_t *frame, size_t len, bool with_crc)
{
	uint32_t n = (uint32_t)len;

	memcpy(to, frame, len);
	while (n < FRAME_MIN)
		to[n++] = 0;
	for (unsigned i = 0; with_crc && i < CRC_LEN; i++)
		to[n++] = 0;
	return n;
}

bool e1000_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct e1000 *n = opaque;
	struct e1000_hw *h = &n->hw;
	uint8_t wire[65536 + 64];
	uint32_t total;

	if (!(h->rctl & RCTL_ENABLE) || !is_wanted(h, frame))
		return true;
	if (len + CRC_LEN > (h->rctl & RCTL_LONG ? 16384u : FRAME_STD)) {
		n->rx_dropped++;
		return true;
	}
	total = pad(wire, frame, len, !(h->rctl & RCTL_STRIP_CRC));
	if (descriptors_left(h) < (total + buffer_size(h->rctl) - 1) / buffer_size(h->rctl))
		return !ring_size(h); /* the back end keeps it until there is room */
	if (!deliver(n, wire, total)) {
		log_guest_error(&n->guest_errors, "e1000: receive ring outside the RAM");
		h->rctl &= ~RCTL_ENABLE;
		return true;
	}
	n->rx_frames++;
	n->rx_bytes += len;
	h->received++;
	return true;
}

void e1000_received_batch(void *opaque)
{
	e1000_raise(opaque, E1000_INT_RXT0);
}
