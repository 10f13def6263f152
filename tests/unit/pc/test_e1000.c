/* SPDX-License-Identifier: Apache-2.0 */
/* A driver's view of the 82540EM: EEPROM, transceiver, rings, filters, checksums, segmentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio/guest.h"
#include "vmm/device/e1000/e1000.h"

#define RING    8u
#define TX_RING 0x10000
#define RX_RING 0x11000
#define TX_DATA 0x20000
#define RX_DATA 0x30000

static struct guest g;
static struct device *card;
static gpa_t bar;
static unsigned tx_next, rx_next;

/* ---- the wire -------------------------------------------------------------------------------- */

static uint8_t sent[8][2048];
static unsigned nsent, sent_len[8], resumed;

static void wire_send(struct netdev *n, const struct iovec *iov, unsigned niov)
{
	(void)n;
	assert_int_equal(niov, 1);
	assert_true(nsent < 8 && iov->iov_len <= sizeof(sent[0]));
	memcpy(sent[nsent], iov->iov_base, iov->iov_len);
	sent_len[nsent++] = (unsigned)iov->iov_len;
}

static void wire_flush(struct netdev *n)
{
	(void)n;
}

static void wire_resume(struct netdev *n)
{
	(void)n;
	resumed++;
}

static const struct netdev_ops wire_ops = {
	.send = wire_send, .flush = wire_flush, .resume = wire_resume};
static struct netdev wire = {.ops = &wire_ops};

/* ---- the driver ------------------------------------------------------------------------------ */

static uint32_t rd(unsigned reg)
{
	return (uint32_t)guest_read(&g, bar + reg, 4);
}

static void wr(unsigned reg, uint32_t val)
{
	guest_write(&g, bar + reg, 4, val);
}

static void start_rings(void)
{
	wr(E1000_TDBAL, TX_RING);
	wr(E1000_TDLEN, RING * 16);
	wr(E1000_TCTL, 2);
	wr(E1000_RDBAL, RX_RING);
	wr(E1000_RDLEN, RING * 16);
	for (unsigned i = 0; i < RING; i++)
		memcpy(guest_ptr(&g, RX_RING + 16 * i), (uint64_t[]){RX_DATA + 2048 * i, 0}, 16);
	wr(E1000_RCTL, 1u << 1 | 1u << 15 | 1u << 26); /* on, broadcast, no checksum */
	wr(E1000_RDT, RING - 1);
	wr(E1000_IMS, 0xff);
	rd(E1000_ICR);
}

static int setup(void **state)
{
	struct device_conf conf = {.name = "e1000", .backend = &wire};

	(void)state;
	guest_init(&g);
	nsent = tx_next = rx_next = resumed = 0;
	card = guest_add(&g, &e1000_ops, &conf);
	bar = guest_cfg_read(&g, 1, PCI_REG_BAR0, 4) & ~15u;
	start_rings();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_remove(&g, card);
	guest_fini(&g);
	return 0;
}

static void put(uint64_t address, uint32_t command, uint32_t status)
{
	memcpy(guest_ptr(&g, TX_RING + 16 * tx_next), &address, 8);
	memcpy(guest_ptr(&g, TX_RING + 16 * tx_next + 8), (uint32_t[]){command, status}, 8);
	tx_next = (tx_next + 1) % RING;
}

static bool receive(const void *frame, size_t len)
{
	bool taken;

	pthread_mutex_lock(&g.lock);
	taken = wire.client.receive(wire.client.opaque, frame, len);
	wire.client.batch_done(wire.client.opaque);
	pthread_mutex_unlock(&g.lock);
	return taken;
}

/* ---- identity -------------------------------------------------------------------------------- */

static void identity(void **state)
{
	(void)state;
	assert_int_equal(guest_cfg_read(&g, 1, 0, 4), 0x100e8086);
	assert_int_equal(rd(E1000_STATUS) & 0xc3, 0x83);
	assert_int_equal(rd(E1000_RA), 0x12005452);
	assert_int_equal(rd(E1000_RA + 4), 0x80005634);
	/* The I/O BAR answers in all its bits: firmware sizes it so. */
	guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, 0xffffffff);
	assert_int_equal(guest_cfg_read(&g, 1, PCI_REG_BAR0 + 4, 4), 0xffffffc1);
	guest_cfg_write(&g, 1, PCI_REG_BAR0 + 4, 4, 0xc000);
	bus_write(&g.pio, 0xc000, 4, E1000_STATUS);
	assert_int_equal(bus_read(&g.pio, 0xc004, 4), rd(E1000_STATUS));
}

static void transceiver(void **state)
{
	(void)state;
	wr(E1000_MDIC, 2u << 26 | 1u << 21 | 2u << 16);
	assert_int_equal(rd(E1000_MDIC) & 0x1000ffff, 0x10000141);
	wr(E1000_MDIC, 1u << 26 | 1u << 21 | 4u << 16 | 0x0de0);
	wr(E1000_MDIC, 2u << 26 | 1u << 21 | 4u << 16);
	assert_int_equal(rd(E1000_MDIC) & 0xffff, 0x0de0);
	wr(E1000_MDIC, 2u << 26 | 5u << 21);
	assert_int_equal(rd(E1000_MDIC) >> 30 & 1, 1); /* nobody at that address */
}

static void tick(uint32_t pins)
{
	wr(E1000_EECD, pins);
	wr(E1000_EECD, pins | 1);
	wr(E1000_EECD, pins);
}

/* A word over the Microwire pins, as drivers read it. */
static uint16_t eeprom_word(unsigned address)
{
	uint16_t word = 0;

	wr(E1000_EECD, 0x40);
	assert_int_equal(rd(E1000_EECD) & 0x80, 0x80);
	wr(E1000_EECD, 0x42);
	for (int bit = 2; bit >= 0; bit--)
		tick(0x42 | (6u >> bit & 1) << 2);
	for (int bit = 5; bit >= 0; bit--)
		tick(0x42 | (address >> bit & 1) << 2);
	guest_save_load(&g, card);
	for (unsigned i = 0; i < 16; i++) {
		wr(E1000_EECD, 0x43);
		word = (uint16_t)(word << 1 | (rd(E1000_EECD) >> 3 & 1));
		wr(E1000_EECD, 0x42);
	}
	wr(E1000_EECD, 0);
	return word;
}

static void eeprom(void **state)
{
	uint16_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < E1000_EEPROM_WORDS; i++) {
		uint16_t word = eeprom_word(i);

		wr(E1000_EERD, i << 8 | 1);
		assert_int_equal(rd(E1000_EERD), (uint32_t)word << 16 | i << 8 | 0x10);
		sum = (uint16_t)(sum + word);
	}
	assert_int_equal(sum, 0xbaba);
	assert_int_equal(eeprom_word(0), 0x5452);
}

/* ---- to the wire ----------------------------------------------------------------------------- */

static void legacy_packet_in_two_pieces(void **state)
{
	(void)state;
	memset(guest_ptr(&g, TX_DATA), 'a', 100);
	put(TX_DATA, 60, 0);
	wr(E1000_TDT, tx_next);
	assert_int_equal(nsent, 0); /* no end of packet yet */
	assert_int_equal(rd(E1000_TDH), 0);
	guest_save_load(&g, card);
	put(TX_DATA + 60, 40 | 1u << 24 | 1u << 27, 0);
	wr(E1000_TDT, tx_next);
	assert_int_equal(nsent, 1);
	assert_int_equal(sent_len[0], 100);
	assert_int_equal(rd(E1000_TDH), 2);
	assert_int_equal(*(uint8_t *)guest_ptr(&g, TX_RING + 16 + 12) & 1, 1);
	assert_true(g.line[PCI_INTX_GSI(1, 0)]);
	assert_int_equal(rd(E1000_ICR) & 3, 3);
	assert_false(g.line[PCI_INTX_GSI(1, 0)]);
}

static uint16_t sum_of(const uint8_t *p, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += (uint32_t)(p[i] << 8) | (i + 1 < len ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* TCP's sum over pseudo header and segment must come to all ones. */
static void check_tcp(const uint8_t *frame, unsigned len)
{
	uint8_t check[2048];
	unsigned tcp = len - 34;

	assert_int_equal(sum_of(frame + 14, 20), 0xffff);
	memcpy(check, frame + 26, 8);
	memcpy(check + 8, (uint8_t[]){0, 6, (uint8_t)(tcp >> 8), (uint8_t)tcp}, 4);
	memcpy(check + 12, frame + 34, tcp);
	assert_int_equal(sum_of(check, 12 + tcp), 0xffff);
}

#define HEAD 54

static void build_tcp(uint8_t *f)
{
	static const uint8_t head[HEAD] =
		{
			2,    0,  0,    0,    0,    1,    2,    0,    0,  0,
			0,    2,  8,    0, /* Ethernet */
			0x45, 0,  0,    0,    0x12, 0x34, 0x40, 0,    64, 6,
			0,    0,  10,   0,    0,    1,    10,   0,    0,  2,
			0,    80, 0x12, 0x34, 0xff, 0xff, 0xff, 0xf0, 0,  0,
			0,    1,  0x50, 0x19, 1,    0,    0,    0,    0,  0,
		};
	uint8_t pseudo[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 0};
	uint16_t sum = sum_of(pseudo, 12);

	memcpy(f, head, HEAD);
	f[50] = (uint8_t)(sum >> 8);
	f[51] = (uint8_t)sum;
	for (unsigned i = 0; i < 2500; i++)
		f[HEAD + i] = (uint8_t)i;
}

static void segmentation(void **state)
{
	uint8_t context[16] = {14, 24,   33,   0,   34, 50,
			       0,  0,    0,    0,   0,  1u << 0 | 1u << 1 | 1u << 2 | 1u << 5,
			       0,  HEAD, 0xe8, 0x03};

	(void)state;
	build_tcp(guest_ptr(&g, TX_DATA));
	memcpy(guest_ptr(&g, TX_RING), context, 16);
	tx_next = 1;
	put(TX_DATA, HEAD | 1u << 20 | 1u << 26 | 1u << 29, 0x300);
	put(TX_DATA + HEAD, 2500 | 1u << 20 | 1u << 24 | 1u << 26 | 1u << 27 | 1u << 29, 0x300);
	wr(E1000_TDT, tx_next);
	assert_int_equal(nsent, 3);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t sequence;

		assert_int_equal(sent_len[i], HEAD + (i < 2 ? 1000 : 500));
		check_tcp(sent[i], sent_len[i]);
		memcpy(&sequence, sent[i] + 38, 4);
		assert_int_equal(__builtin_bswap32(sequence), 0xfffffff0 + 1000 * i);
		assert_int_equal(sent[i][19], 0x34 + i);
		assert_int_equal(sent[i][47], i < 2 ? 0x10 : 0x19); /* FIN and PSH with the last */
		assert_int_equal(sent[i][HEAD + 7], (uint8_t)(1000 * i + 7));
	}
}

static void bad_packets(void **state)
{
	uint8_t context[16] = {200, 24, 33, 0, 34, 255, 0, 0, 0, 0, 0, 0x27, 0, 10, 0, 0};

	(void)state;
	put(1ull << 40, 60 | 1u << 24, 0); /* outside the RAM */
	put(TX_DATA, 5 | 1u << 24, 0);     /* no header */
	memcpy(guest_ptr(&g, TX_RING + 16 * tx_next), context, 16);
	tx_next++;
	put(TX_DATA, 1000 | 1u << 20 | 1u << 24 | 1u << 26 | 1u << 29, 0x300);
	wr(E1000_TDT, tx_next);
	assert_int_equal(nsent, 0);
	assert_int_equal(rd(E1000_TDH), 4);
	wr(E1000_TDT, 0xffff); /* beyond the ring */
	wr(E1000_TDBAH, 0xffffffff);
	wr(E1000_TDT, 6);
	assert_int_equal(nsent, 0);
}

/* ---- from the wire --------------------------------------------------------------------------- */

static const uint8_t *received(unsigned *len)
{
	const uint8_t *d = guest_ptr(&g, RX_RING + 16 * rx_next), *data;

	*len = d[12] & 1 ? d[8] | (unsigned)d[9] << 8 : 0;
	data = guest_ptr(&g, RX_DATA + 2048 * rx_next);
	rx_next += *len != 0;
	return data;
}

static void filters(void **state)
{
	uint8_t frame[100] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0, 'x'};
	unsigned len;

	(void)state;
	assert_true(receive(frame, sizeof(frame)));
	assert_int_equal(received(&len)[14], 'x');
	assert_int_equal(len, 100);
	assert_true(g.line[PCI_INTX_GSI(1, 0)]);
	frame[5] = 0x57; /* somebody else */
	assert_true(receive(frame, sizeof(frame)));
	received(&len);
	assert_int_equal(len, 0);
	memset(frame, 0xff, 6);
	assert_true(receive(frame, 20)); /* short: padded */
	received(&len);
	assert_int_equal(len, 60);
	memcpy(frame, "\x01\x00\x5e\x00\x00\xfb", 6);
	assert_true(receive(frame, 64));
	received(&len);
	assert_int_equal(len, 0);
	wr(E1000_MTA + 4 * (0xfb0 >> 5), 1u << (0xfb0 & 31));
	assert_true(receive(frame, 64));
	received(&len);
	assert_int_equal(len, 64);
}

static void full_ring_keeps_frames(void **state)
{
	uint8_t frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < RING - 1; i++)
		assert_true(receive(frame, sizeof(frame)));
	assert_false(receive(frame, sizeof(frame)));
	before = resumed;
	wr(E1000_RDT, 3);
	assert_int_equal(resumed, before + 1);
	assert_true(receive(frame, sizeof(frame)));
	wr(E1000_RCTL, 0);
	assert_true(receive(frame, sizeof(frame))); /* off: lost as on a wire */
}

static void made_up_states(void **state)
{
	struct e1000_hw *hw = card->ops->hw(card), good = *hw;
	struct err e;

	(void)state;
	hw->eeprom_count = 200;
	assert_int_not_equal(card->ops->loaded(card, &e), 0);
	*hw = good;
	hw->pci.cfg[2] ^= 1;
	assert_int_not_equal(card->ops->loaded(card, &e), 0);
	*hw = good;
	hw->tx_head = hw->rx_head = 0xffffffff;
	hw->rx_tail = 77777;
	assert_int_equal(card->ops->loaded(card, &e), 0);
	wr(E1000_TDT, 1);
	assert_false(receive("\xff\xff\xff\xff\xff\xff......................", 28));
	*hw = good;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),       TEST(transceiver),
		TEST(eeprom),         TEST(legacy_packet_in_two_pieces),
		TEST(segmentation),   TEST(bad_packets),
		TEST(filters),        TEST(full_ring_keeps_frames),
		TEST(made_up_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
