/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the guest to the wire: transmit descriptors (3.3), checksums and segmentation (3.5, 3.6).
 * The head moves over whole packets only, so that a save never holds half of one.
 */
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/device/e1000/e1000.h"

#define TCTL_ENABLE (1u << 1)

/* Third dword of a descriptor: length, type, command. */
#define TX_LEN_LEGACY 0x0000ffffu
#define TX_LEN        0x000fffffu
#define TX_TYPE_DATA  0x00100000u
#define TX_END        (1u << 24)
#define TX_INSERT_SUM (1u << 26) /* legacy */
#define TX_SEGMENT    (1u << 26) /* data, context */
#define TX_REPORT     (1u << 27)
#define TX_EXTENDED   (1u << 29)
#define TX_VLAN       (1u << 30)
/* Fourth. */
#define TX_DONE    0x01u
#define TX_IP_SUM  0x0100u
#define TX_TCP_SUM 0x0200u

#define CONTEXT_TCP  (1u << 24)
#define CONTEXT_IPV4 (1u << 25)

struct tx_descriptor {
	uint64_t address;
	uint32_t command, status;
};

/* Offload parameters (3.3.6). */
struct tx_context {
	uint8_t ip_start, ip_sum;
	uint16_t ip_end;
	uint8_t tcp_start, tcp_sum;
	uint16_t tcp_end;
	uint32_t command; /* payload length, protocol */
	uint8_t status, header_len;
	uint16_t segment;
};

_Static_assert(sizeof(struct tx_context) == 16, "section 3.3.6");

/* ---- checksums ----------------------------------------------------------------------------------
 */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t ones_sum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (; len > 1; len -= 2, p += 2)
		sum += get16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Over [start, end], `end` 0 for the whole rest; the field holds what is summed beforehand. */
static void insert_sum(uint8_t *frame, uint32_t len, uint32_t at, uint32_t start, uint32_t end)
{
	uint32_t stop = end && end + 1 < len ? end + 1 : len;

	if (start < stop && at + 2 <= len)
		put16(frame + at, (uint16_t)~ones_sum(frame + start, stop - start));
}

/* ---- sending ------------------------------------------------------------------------------------
 */

static void send_frame(struct e1000 *n, const uint8_t *frame, uint32_t len)
{
	struct iovec iov = {(void *)frame, len};

	if (len < 14)
		return;
	n->tx_frames++;
	n->tx_bytes += len;
	n->hw.transmitted++;
	if (n->backend)
		n->backend->ops->send(n->backend, &iov, 1);
}

static void send_summed(struct e1000 *n, uint8_t *frame, uint32_t len, const struct tx_context *c,
			uint32_t options)
{
	if (options & TX_TCP_SUM)
		insert_sum(frame, len, c->tcp_sum, c->tcp_start, c->tcp_end);
	if (options & TX_IP_SUM)
		insert_sum(frame, len, c->ip_sum, c->ip_start, c->ip_end);
	send_frame(n, frame, len);
}

/* ---- segmentation -------------------------------------------------------------------------------
 */

#define TCP_FIN_PSH 0x09
#define TCP_FLAGS   13

/* The headers of one segment: lengths, identification, sequence number, and what the sums start
 * with. */
static void fix_headers(uint8_t *frame, uint32_t len, const struct tx_context *c, unsigned index,
			uint32_t offset, bool last)
{
	uint8_t *ip = frame + c->ip_start, *tcp = frame + c->tcp_start;
	bool is_tcp = c->command & CONTEXT_TCP;
	uint32_t payload = len - c->tcp_start, sequence, sum;

	if (c->command & CONTEXT_IPV4) {
		put16(ip + 2, len - c->ip_start);
		put16(ip + 4, get16(ip + 4) + index);
	} else {
		put16(ip + 4, len - c->ip_start - 40);
	}
	if (is_tcp) {
		sequence = (uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6);
		sequence += offset;
		put16(tcp + 4, sequence >> 16);
		put16(tcp + 6, sequence);
		if (!last)
			tcp[TCP_FLAGS] &= (uint8_t)~TCP_FIN_PSH;
	} else {
		put16(tcp + 4, payload);
	}
	/* The pseudo header's sum is there, without the length. */
	sum = get16(frame + c->tcp_sum) + payload;
	put16(frame + c->tcp_sum, (sum & 0xffff) + (sum >> 16));
}

static bool context_ok(const struct tx_context *c, uint32_t len)
{
	uint32_t head = c->header_len;

	return c->segment && head >= 14 && head < len && c->ip_start + 20u <= head &&
	       c->tcp_start + 8u <= head && c->tcp_sum + 2u <= head && c->ip_sum + 2u <= head &&
	       (!(c->command & CONTEXT_TCP) || c->tcp_start + 20u <= head) &&
	       head + c->segment <= 16384;
}

static void send_segments(struct e1000 *n, uint32_t len, const struct tx_context *c,
			  uint32_t options)
{
	uint32_t head = c->header_len;
	uint8_t segment[16384];
	unsigned index = 0;

	if (!context_ok(c, len)) {
		log_guest_error(&n->guest_errors, "e1000: segmentation context out of range");
		return;
	}
	for (uint32_t off = 0; off < len - head; off += c->segment) {
		uint32_t part = len - head - off < c->segment ? len - head - off : c->segment;

		memcpy(segment, n->frame, head);
		memcpy(segment + head, n->frame + head + off, part);
		fix_headers(segment, head + part, c, index++, off, off + part == len - head);
		send_summed(n, segment, head + part, c, options);
	}
}

/* ---- packets ------------------------------------------------------------------------------------
 */

/* A packet on its way from the descriptors. */
struct packet {
	uint32_t len, command, options; /* the first data descriptor's */
	uint16_t tag;
	bool has_data, too_long;
};

static uint32_t put_tag(uint8_t *frame, uint32_t len, uint16_t tag, uint16_t type)
{
	memmove(frame + 16, frame + 12, len - 12);
	put16(frame + 12, type);
	put16(frame + 14, tag);
	return len + 4;
}

static void send_packet(struct e1000 *n, const struct packet *p)
{
	struct tx_context c;
	uint32_t len = p->len;

	memcpy(&c, n->hw.context, sizeof(c));
	if (p->too_long || len < 14) {
		log_guest_error(&n->guest_errors, "e1000: packet of %u bytes", len);
		return;
	}
	if ((p->command & TX_EXTENDED) && (p->command & TX_SEGMENT)) {
		send_segments(n, len, &c, p->options);
		return;
	}
	if (!(p->command & TX_EXTENDED) && (p->command & TX_INSERT_SUM))
		insert_sum(n->frame, len, p->command >> 16 & 0xff, p->options >> 8 & 0xff, 0);
	if ((p->command & TX_VLAN) && (n->hw.ctrl & E1000_CTRL_VLAN))
		len = put_tag(n->frame, len, p->tag, (uint16_t)n->hw.vet);
	send_summed(n, n->frame, len, &c, p->command & TX_EXTENDED ? p->options : 0);
}

static void add_data(struct e1000 *n, struct packet *p, const struct tx_descriptor *d)
{
	bool extended = d->command & TX_EXTENDED;
	uint32_t len = d->command & (extended ? TX_LEN : TX_LEN_LEGACY);

	if (!p->has_data) {
		p->has_data = true;
		p->command = d->command;
		p->options = d->status;
	}
	p->tag = (uint16_t)(d->status >> 16);
	/* Room for a tag is left. */
	if (!range_ok(p->len, len, E1000_FRAME_MAX - 4) ||
	    !mem_read(n->env.mem, d->address, n->frame + p->len, len)) {
		p->too_long = true;
		return;
	}
	p->len += len;
}

static gpa_t descriptor_at(const struct e1000_hw *h, uint32_t i)
{
	return ((uint64_t)h->tx_base_high << 32 | h->tx_base_low) +
	       i * sizeof(struct tx_descriptor);
}

static bool is_context(const struct tx_descriptor *d)
{
	return (d->command & TX_EXTENDED) && !(d->command & TX_TYPE_DATA);
}

static void report(struct e1000 *n, gpa_t at, struct tx_descriptor *d)
{
	if (!(d->command & TX_REPORT))
		return;
	d->status |= TX_DONE;
	mem_write(n->env.mem, at, d, sizeof(*d));
}

/* Takes one packet, or one context, from the ring; false: there is no whole one. */
static bool take_packet(struct e1000 *n, uint32_t size)
{
	struct e1000_hw *h = &n->hw;
	struct packet p = {0};
	struct tx_descriptor d;
	uint32_t i = h->tx_head;

	for (; i != h->tx_tail; i = (i + 1) % size) {
		if (!mem_read(n->env.mem, descriptor_at(h, i), &d, sizeof(d))) {
			h->tctl &= ~TCTL_ENABLE;
			return false;
		}
		if (!is_context(&d))
			add_data(n, &p, &d);
		else if (!p.has_data)
			memcpy(h->context, &d, sizeof(h->context));
		if (is_context(&d) ? !p.has_data : d.command & TX_END)
			break;
	}
	if (i == h->tx_tail)
		return false;
	if (p.has_data)
		send_packet(n, &p);
	for (uint32_t end = (i + 1) % size; h->tx_head != end; h->tx_head = (h->tx_head + 1) % size)
		if (mem_read(n->env.mem, descriptor_at(h, h->tx_head), &d, sizeof(d)))
			report(n, descriptor_at(h, h->tx_head), &d);
	return true;
}

/* One write of the tail sends at most a ring full. */
void e1000_transmit(struct e1000 *n)
{
	struct e1000_hw *h = &n->hw;
	uint32_t size = h->tx_len / sizeof(struct tx_descriptor), budget = size;
	bool any = false;

	if (!(h->tctl & TCTL_ENABLE) || h->tx_head >= size || h->tx_tail >= size)
		return;
	while (budget-- && take_packet(n, size))
		any = true;
	if (n->backend)
		n->backend->ops->flush(n->backend);
	if (any)
		e1000_raise(n, E1000_INT_TXDW | E1000_INT_TXQE);
}
