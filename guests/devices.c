/* SPDX-License-Identifier: Apache-2.0 */
/* Legacy devices as a guest sees them: clock, serial port, keyboard controller, timer, PCI. */
#include "guests/lib/guest.h"
#include "guests/lib/pci.h"

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_write(uint8_t reg, uint8_t val)
{
	outb(0x70, reg);
	outb(0x71, val);
}

static bool rtc_runs(void)
{
	uint8_t before;
	unsigned waited = 0;

	while (cmos(0x0a) & 0x80)
		;
	before = cmos(0x00);
	while (cmos(0x00) == before && waited++ < 20000)
		delay_us(100);
	return expect("a second passed", waited <= 15000, true) &
	       expect("battery", cmos(0x0d) & 0x80, 0x80) &
	       expect("BCD, 24 hours", cmos(0x0b) & 0x87, 0x02) &
	       expect("century", cmos(0x32), 0x20);
}

static bool rtc_periodic(void)
{
	unsigned ticks = 0;
	uint8_t a = cmos(0x0a);

	cmos_write(0x0a, (a & 0xf0) | 0x6); /* 1024 Hz */
	cmos_write(0x0b, cmos(0x0b) | 0x40);
	cmos(0x0c);
	for (unsigned i = 0; i < 1000 && ticks < 20; i++) {
		delay_us(500);
		ticks += cmos(0x0c) >> 6 & 1;
	}
	cmos_write(0x0b, cmos(0x0b) & ~0x40);
	cmos(0x0c);
	return expect("ticks", ticks, 20);
}

static bool rtc_update(void)
{
	bool came = false;

	cmos_write(0x0b, cmos(0x0b) | 0x10);
	cmos(0x0c);
	for (unsigned i = 0; i < 1500 && !came; i++) {
		delay_us(1000);
		came = (cmos(0x0c) & 0x90) == 0x90;
	}
	cmos_write(0x0b, cmos(0x0b) & ~0x10);
	return expect("update-ended interrupt", came, true);
}

static bool cmos_memory(void)
{
	uint8_t old = cmos(0x60);
	bool good;

	cmos_write(0x60, 0xa5);
	good = expect("kept", cmos(0x60), 0xa5);
	cmos_write(0x60, old);
	return good & expect("base memory", cmos(0x15) | cmos(0x16) << 8, 640);
}

#define COM 0x3f8

static bool uart_loopback(void)
{
	bool good;

	outb(COM + 4, 0x10);
	inb(COM + 6);
	outb(COM, 0x5a);
	good = expect("data ready", inb(COM + 5) & 1, 1) & expect("byte", inb(COM), 0x5a);
	outb(COM + 4, 0x1f);
	good &= expect("modem lines", inb(COM + 6) & 0xf0, 0xf0);
	outb(COM + 4, 0x08);
	return good;
}

static bool uart_registers(void)
{
	bool good;

	outb(COM + 7, 0x3c);
	good = expect("scratch", inb(COM + 7), 0x3c);
	outb(COM + 3, 0x83);
	outb(COM, 0x0c);
	outb(COM + 1, 0x01);
	good &= expect("divisor low", inb(COM), 0x0c) & expect("divisor high", inb(COM + 1), 0x01);
	outb(COM, 0x01);
	outb(COM + 1, 0x00);
	outb(COM + 3, 0x03);
	good &= expect("line control", inb(COM + 3), 0x03);
	outb(COM + 2, 0x01);
	good &= expect("FIFOs", inb(COM + 2) & 0xc0, 0xc0);
	outb(COM + 2, 0x00);
	return good & expect("no FIFOs", inb(COM + 2) & 0xc0, 0);
}

static bool uart_interrupt_id(void)
{
	bool good;

	outb(COM + 1, 0x02);
	good = expect("transmitter empty", inb(COM + 2) & 0x0f, 0x02);
	good &= expect("cleared by the read", inb(COM + 2) & 0x0f, 0x01);
	outb(COM + 1, 0);
	return good;
}

static void kbd_wait(bool output)
{
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t status = inb(0x64);

		if (output ? status & 1 : !(status & 2))
			return;
		delay_us(100);
	}
}

static uint8_t kbd_command(uint8_t command)
{
	kbd_wait(false);
	outb(0x64, command);
	kbd_wait(true);
	return inb(0x60);
}

static uint8_t kbd_send(uint8_t val)
{
	kbd_wait(false);
	outb(0x60, val);
	kbd_wait(true);
	return inb(0x60);
}

static bool keyboard(void)
{
	bool good;

	for (unsigned i = 0; i < 32 && (inb(0x64) & 1); i++)
		inb(0x60);
	outb(0x64, 0xa7); /* mouse off */
	good = expect("self-test", kbd_command(0xaa), 0x55) &
	       expect("keyboard line", kbd_command(0xab), 0x00);
	outb(0x64, 0xae);
	good &= expect("identify", kbd_send(0xf2), 0xfa);
	kbd_wait(true);
	inb(0x60);
	kbd_wait(true);
	inb(0x60);
	return good & expect("echo", kbd_send(0xee), 0xee);
}

/* PIT channel 2 against the TSC over two times, the best of some: the host may be busy. */
static bool timer_linear(void)
{
	uint64_t ratio = 0;

	for (unsigned i = 0; i < 20 && (ratio < 300 || ratio > 500); i++) {
		uint64_t t0 = rdtsc(), t1;

		delay_us(5000);
		t1 = rdtsc();
		delay_us(20000);
		ratio = (rdtsc() - t1) * 100 / (t1 - t0);
	}
	return expect("four times as long (in %, 300 to 500)", ratio >= 300 && ratio <= 500, true);
}

static bool timer_latch(void)
{
	unsigned a, b;

	outb(0x43, 0xb4); /* channel 2, rate */
	outb(0x61, (inb(0x61) & ~2u) | 1);
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	outb(0x43, 0x80);
	a = inb(0x42);
	a |= (unsigned)inb(0x42) << 8;
	outb(0x43, 0xe8); /* read back: status of channel 2 */
	b = inb(0x42);
	return expect("counts down", a <= 0xffff && a > 0, true) & expect("status", b & 0x3f, 0x34);
}

static bool refresh_toggles(void)
{
	unsigned changes = 0;
	uint8_t last = inb(0x61);

	for (unsigned i = 0; i < 1000000 && changes < 10; i++) {
		uint8_t now = inb(0x61);

		changes += (now ^ last) >> 4 & 1;
		last = now;
	}
	return expect("changes", changes, 10);
}

static bool pci_scan(void)
{
	unsigned found = 0, bridges = 0;
	bool good;

	for (unsigned dev = 0; dev < 32; dev++) {
		if ((uint16_t)pci_read(dev, 0, 0) == 0xffff)
			continue;
		found++;
		bridges += pci_read(dev, 0, 8) >> 16 == 0x0600;
		pci_write(dev, 0, 0, 0); /* the ID is read-only */
		good = expect("ID", (uint16_t)pci_read(dev, 0, 0) != 0, true);
		if (!good)
			return false;
	}
	outl(0xcf8, 0x80000000);
	return expect("a device", found > 0, true) & expect("one host bridge", bridges, 1) &
	       expect("address register", inl(0xcf8), 0x80000000);
}

static bool pci_bars(void)
{
	bool good = true;

	for (unsigned dev = 0; dev < 32; dev++) {
		if ((uint16_t)pci_read(dev, 0, 0) == 0xffff ||
		    (pci_read(dev, 0, 0x0c) >> 16 & 0x7f))
			continue;
		for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
			uint32_t old = pci_read(dev, 0, reg), command = pci_read(dev, 0, 4), mask;

			pci_write(dev, 0, 4, command & ~3u);
			pci_write(dev, 0, reg, 0xffffffff);
			mask = pci_read(dev, 0, reg) & (old & 1 ? ~3u : ~15u);
			pci_write(dev, 0, reg, old);
			pci_write(dev, 0, 4, command);
			if (old & 1)
				mask |= mask ? 0xffff0000 : 0;
			/* the size is a power of two: ones at the top, zeros below */
			good &= expect("size", (~mask + 1) & ~mask, 0);
			good &= expect("restored", pci_read(dev, 0, reg), old);
			if ((old & 7) == 4)
				reg += 4;
		}
	}
	return good;
}

static bool unclaimed(void)
{
	return expect("port", inb(0x2f7), 0xff) & expect("port, 32 bits", inl(0x6f0), 0xffffffff);
}

const struct check checks[] = {
	{1, "MC146818: time goes on", rtc_runs},
	{2, "MC146818: periodic flag", rtc_periodic},
	{3, "MC146818: update-ended flag", rtc_update},
	{4, "CMOS memory", cmos_memory},
	{5, "16550: loopback", uart_loopback},
	{6, "16550: registers", uart_registers},
	{7, "16550: interrupt identification", uart_interrupt_id},
	{8, "8042: self-test, keyboard commands", keyboard},
	{9, "8254: channel 2 is linear", timer_linear},
	{10, "8254: latch and read-back", timer_latch},
	{11, "port 61h: refresh toggle", refresh_toggles},
	{12, "PCI 3.0 6.1: configuration mechanism 1", pci_scan},
	{13, "PCI 3.0 6.2.5: sizing base address registers", pci_bars},
	{14, "unclaimed ports read as ones", unclaimed},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
