/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states, random register accesses, time and input on the board of legacy devices. */
#include <string.h>

#include "tests/unit/device/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* One step from six bytes of input. Ports are drawn from where the devices are. */
static struct step step_from(const uint8_t *d)
{
	static const uint32_t base[16] = {0x20,  0xa0,  0x4d0, 0x40,      0x40,  0x61,
					  0x64,  0x60,  0x70,  0x70,      0x3f8, 0x3f8,
					  0x600, 0x608, 0x620, 0xfec00000};
	static const enum step_op ops[8] = {WR, WR, WR, RD, RD, ADV, LINE, IN};
	static const uint8_t sizes[4] = {1, 1, 2, 4};
	struct step s = {.op = ops[d[0] & 7], .size = sizes[d[0] >> 3 & 3]};

	s.at = base[d[1] & 15] + (d[1] >> 4);
	memcpy(&s.val, d + 2, 4);
	if ((d[1] & 15) == 15) {
		s.at = base[15] + (d[1] & 0x10);
		s.size = 4;
	}
	if ((d[1] & 15) == 14) { /* the HPET, in place of the last port block's rest */
		s.at = 0xfed00000 + (d[1] >> 4) * 4 + (d[0] & 0x80 ? 0xf0 : 0);
		s.size = 4;
	}
	if (s.op == ADV)
		s.val &= 0xffffff;
	if (s.op == LINE)
		s.at = d[1];
	if (s.op == IN && (d[0] & 0x20))
		s.op = d[0] & 0x40 ? ACK : EOI;
	return s;
}

/* The input's first byte may say that a saved state comes first: which device's, and 64 bytes. */
#define STATE_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct board *b = board_create();
	bool good = true;

	if (len > 1 + STATE_BYTES && (data[0] & 0x80)) {
		good = board_load(b, data[0] & 0x7f, data + 1, STATE_BYTES);
		data += 1 + STATE_BYTES;
		len -= 1 + STATE_BYTES;
	}
	if (!good)
		len = 0; /* a device that refuses its state is not used */
	for (size_t at = 0; at + 6 <= len && at < 6 * 512; at += 6) {
		struct step s = step_from(data + at);

		board_poke(b, &s);
	}
	board_destroy(b);
	return 0;
}
