/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A serial port. Bytes leave at once, so the transmitter is always empty; bytes that
 * arrive raise the receive interrupt at the FIFO's trigger level, or after four character times.
 */
#include "vmm/device/models.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/backend/chardev.h"

#define FIFO_SIZE 16
#define BASE_BAUD 115200ull
#define NS_PER_S  1000000000ull

enum {
	RBR_THR,
	IER,
	IIR_FCR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR
};

#define IER_RX     0x01
#define IER_TX     0x02
#define IER_LINE   0x04
#define IER_MODEM  0x08
#define IIR_NONE   0x01
#define IIR_MODEM  0x00
#define IIR_TX     0x02
#define IIR_RX     0x04
#define IIR_LINE   0x06
#define IIR_IDLE   0x0c /* bytes in the FIFO, and no more came */
#define IIR_FIFOS  0xc0
#define FCR_ENABLE 0x01
#define FCR_RX     0x02
#define FCR_TX     0x04
#define LCR_DLAB   0x80
#define MCR_DTR    0x01
#define MCR_RTS    0x02
#define MCR_OUT1   0x04
#define MCR_OUT2   0x08
#define MCR_LOOP   0x10
#define LSR_DATA   0x01
#define LSR_OVER   0x02
#define LSR_ERRORS 0x1e
#define LSR_TX     0x60 /* holding register and transmitter empty */
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80

struct uart_hw {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t lsr;        /* error bits only; the rest is computed */
	uint8_t msr;        /* lines and their deltas */
	uint8_t tx_pending; /* the transmitter's interrupt has not been seen */
	uint8_t rx_idle;    /* four character times have passed since the last byte */
	uint8_t rx_head, rx_len;
	uint16_t divisor;
	uint8_t rx[FIFO_SIZE];
	uint64_t idle_at; /* VM time at which rx_idle comes; 0: it won't */
};

struct uart {
	struct device dev;
	struct uart_hw hw;
	const struct device_env *env;
	struct irq_line irq;
	struct clock_timer idle;
	struct chardev *chr; /* NULL: output is dropped */
	uint64_t port;
};

static const struct state_field uart_fields[] = {
	ST(1, struct uart_hw, ier),
	ST(2, struct uart_hw, fcr),
	ST(3, struct uart_hw, lcr),
	ST(4, struct uart_hw, mcr),
	ST(5, struct uart_hw, scr),
	ST(6, struct uart_hw, lsr),
	ST(7, struct uart_hw, msr),
	ST(8, struct uart_hw, tx_pending),
	ST(9, struct uart_hw, rx_idle),
	ST(10, struct uart_hw, rx_head),
	ST(11, struct uart_hw, rx_len),
	ST(12, struct uart_hw, divisor),
	ST_ARR(13, struct uart_hw, rx),
	ST(14, struct uart_hw, idle_at),
	ST_END,
};
static const struct state_desc uart_state = {"uart", 1, sizeof(struct uart_hw), uart_fields};
_Static_assert(sizeof(struct uart_hw) == 40, "new field? give it a tag above, then correct this");

/* ---- interrupt ------------------------------------------------------------------------------- */

static bool fifo_on(const struct uart *u)
{
	return u->hw.fcr & FCR_ENABLE;
}

static unsigned fifo_depth(const struct uart *u)
{
	return fifo_on(u) ? FIFO_SIZE : 1;
}

static unsigned fifo_trigger(const struct uart *u)
{
	static const uint8_t levels[4] = {1, 4, 8, 14};

	return fifo_on(u) ? levels[u->hw.fcr >> 6] : 1;
}

/* The most important reason, as the IIR encodes it. */
static uint8_t uart_reason(const struct uart *u)
{
	const struct uart_hw *h = &u->hw;

	if ((h->ier & IER_LINE) && (h->lsr & LSR_ERRORS))
		return IIR_LINE;
	if ((h->ier & IER_RX) && h->rx_len >= fifo_trigger(u))
		return IIR_RX;
	if ((h->ier & IER_RX) && h->rx_len && h->rx_idle)
		return IIR_IDLE;
	if ((h->ier & IER_TX) && h->tx_pending)
		return IIR_TX;
	if ((h->ier & IER_MODEM) && (h->msr & 0x0f))
		return IIR_MODEM;
	return IIR_NONE;
}

static void uart_update(struct uart *u)
{
	irq_set(&u->irq, uart_reason(u) != IIR_NONE);
}

/* Bits on the wire for one character: start, data, parity, stop. */
static uint64_t character_ns(const struct uart *u)
{
	uint64_t bits = 1 + 5 + (u->hw.lcr & 3) + (u->hw.lcr >> 3 & 1) + 1 + (u->hw.lcr >> 2 & 1);
	uint64_t divisor = u->hw.divisor ? u->hw.divisor : 1;

	return bits * divisor * NS_PER_S / BASE_BAUD;
}

static void idle_arm(struct uart *u)
{
	if (u->hw.idle_at)
		clock_timer_set(&u->idle, u->hw.idle_at);
	else
		clock_timer_cancel(&u->idle);
}

static void idle_restart(struct uart *u)
{
	bool waits = u->hw.rx_len && u->hw.rx_len < fifo_trigger(u);

	u->hw.rx_idle = 0;
	u->hw.idle_at = waits ? clock_now(u->env->clock) + 4 * character_ns(u) : 0;
	idle_arm(u);
}

static void uart_idle(void *opaque)
{
	struct uart *u = opaque;

	u->hw.rx_idle = 1;
	u->hw.idle_at = 0;
	uart_update(u);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void rx_push(struct uart *u, uint8_t byte)
{
	struct uart_hw *h = &u->hw;

	if (h->rx_len >= fifo_depth(u)) {
		h->lsr |= LSR_OVER;
		/* Without the FIFO the new byte takes the old one's place. */
		if (!fifo_on(u))
			h->rx[h->rx_head] = byte;
		return;
	}
	h->rx[(h->rx_head + h->rx_len++) % FIFO_SIZE] = byte;
}

static void rx_clear(struct uart *u)
{
	u->hw.rx_len = u->hw.rx_head = 0;
	idle_restart(u);
}

/* The host may have kept bytes back while there was no room. */
static void rx_poll(struct uart *u)
{
	if (u->chr && !(u->hw.mcr & MCR_LOOP))
		u->chr->ops->poll_input(u->chr);
}

static size_t client_room(void *opaque)
{
	struct uart *u = opaque;

	return u->hw.mcr & MCR_LOOP ? 0 : fifo_depth(u) - u->hw.rx_len;
}

static void client_input(void *opaque, const uint8_t *data, size_t len)
{
	struct uart *u = opaque;

	for (size_t i = 0; i < len; i++)
		rx_push(u, data[i]);
	idle_restart(u);
	uart_update(u);
}

static uint8_t rx_read(struct uart *u)
{
	struct uart_hw *h = &u->hw;
	uint8_t byte = h->rx[h->rx_head];

	if (!h->rx_len)
		return 0;
	h->rx_head = (h->rx_head + 1) % FIFO_SIZE;
	h->rx_len--;
	idle_restart(u);
	uart_update(u);
	rx_poll(u);
	return byte;
}

/* ---- transmitting and modem lines ------------------------------------------------------------ */

static void tx_write(struct uart *u, uint8_t byte)
{
	if (u->hw.mcr & MCR_LOOP)
		client_input(u, &byte, 1);
	else if (u->chr)
		u->chr->ops->write(u->chr, &byte, 1);
	u->hw.tx_pending = 1;
}

/* Modem inputs: the other side is always there and ready, or our own outputs in loopback. */
static uint8_t modem_lines(const struct uart *u)
{
	uint8_t mcr = u->hw.mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (mcr & MCR_DTR ? MSR_DSR : 0) | (mcr & MCR_RTS ? MSR_CTS : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* Deltas stay until the MSR is read; that of RI is set by its end only. */
static void modem_update(struct uart *u)
{
	uint8_t lines = modem_lines(u), old = u->hw.msr & 0xf0, delta = (lines ^ old) >> 4;

	if (lines & MSR_RI)
		delta &= ~(MSR_RI >> 4);
	u->hw.msr = lines | (u->hw.msr & 0x0f) | delta;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void fcr_write(struct uart *u, uint8_t val)
{
	/* The other bits count only while bit 0 is set; turning FIFOs on or off empties them. */
	if ((val ^ u->hw.fcr) & FCR_ENABLE)
		val |= FCR_RX | FCR_TX;
	u->hw.fcr = val & FCR_ENABLE ? val & (0xc0 | FCR_ENABLE) : 0;
	if (val & FCR_RX)
		rx_clear(u);
	if (val & FCR_TX)
		u->hw.tx_pending = 1;
}

static void ier_write(struct uart *u, uint8_t val)
{
	/* Enabling the transmitter's interrupt while it is empty raises it at once. */
	if ((val & IER_TX) && !(u->hw.ier & IER_TX))
		u->hw.tx_pending = 1;
	u->hw.ier = val & 0x0f;
}

static void mcr_write(struct uart *u, uint8_t val)
{
	u->hw.mcr = val & 0x1f;
	modem_update(u);
	rx_poll(u);
}

static bool divisor_write(struct uart *u, unsigned reg, uint8_t val)
{
	if (!(u->hw.lcr & LCR_DLAB) || reg > IER)
		return false;
	u->hw.divisor = reg == RBR_THR ? (u->hw.divisor & 0xff00) | val
				       : (uint16_t)((u->hw.divisor & 0xff) | val << 8);
	return true;
}

static void register_write(struct uart *u, unsigned reg, uint8_t val)
{
	if (divisor_write(u, reg, val))
		return;
	switch (reg) {
	case RBR_THR:
		tx_write(u, val);
		break;
	case IER:
		ier_write(u, val);
		break;
	case IIR_FCR:
		fcr_write(u, val);
		rx_poll(u);
		break;
	case LCR:
		u->hw.lcr = val;
		break;
	case MCR:
		mcr_write(u, val);
		break;
	case SCR:
		u->hw.scr = val;
		break;
	}
}

static uint8_t iir_read(struct uart *u)
{
	uint8_t reason = uart_reason(u);

	if (reason == IIR_TX)
		u->hw.tx_pending = 0;
	return reason | (fifo_on(u) ? IIR_FIFOS : 0);
}

static uint8_t lsr_read(struct uart *u)
{
	uint8_t val = u->hw.lsr | LSR_TX | (u->hw.rx_len ? LSR_DATA : 0);

	u->hw.lsr = 0;
	return val;
}

static uint8_t msr_read(struct uart *u)
{
	uint8_t val = u->hw.msr;

	u->hw.msr &= 0xf0;
	return val;
}

static uint8_t register_read(struct uart *u, unsigned reg)
{
	bool dlab = u->hw.lcr & LCR_DLAB;

	switch (reg) {
	case RBR_THR:
		return dlab ? (uint8_t)u->hw.divisor : rx_read(u);
	case IER:
		return dlab ? u->hw.divisor >> 8 : u->hw.ier;
	case IIR_FCR:
		return iir_read(u);
	case LCR:
		return u->hw.lcr;
	case MCR:
		return u->hw.mcr;
	case LSR:
		return lsr_read(u);
	case MSR:
		return msr_read(u);
	default:
		return u->hw.scr;
	}
}

static uint64_t uart_read(void *dev, uint64_t off, unsigned size)
{
	uint8_t val = register_read(dev, (unsigned)off);

	(void)size;
	uart_update(dev);
	return val;
}

static void uart_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)size;
	register_write(dev, (unsigned)off, (uint8_t)val);
	uart_update(dev);
}

static const struct io_ops uart_io = {uart_read, uart_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void uart_reset(struct device *d)
{
	struct uart *u = (struct uart *)d;

	u->hw = (struct uart_hw){.divisor = 1, .lcr = 3};
	u->hw.msr = modem_lines(u);
	clock_timer_cancel(&u->idle);
	uart_update(u);
}

static void uart_destroy(struct device *d)
{
	struct uart *u = (struct uart *)d;

	if (u->chr)
		u->chr->client = (struct chardev_client){0};
	clock_timer_cancel(&u->idle);
	bus_remove(u->env->pio, u->port, u);
	free(u);
}

static void *uart_hw(struct device *d)
{
	return &((struct uart *)d)->hw;
}

static int uart_loaded(struct device *d, struct err *e)
{
	struct uart *u = (struct uart *)d;

	if (u->hw.rx_head >= FIFO_SIZE || u->hw.rx_len > fifo_depth(u))
		return err_set(e, -EINVAL, "uart: rx_len: more bytes than its FIFO holds");
	idle_arm(u);
	uart_update(u);
	rx_poll(u);
	return 0;
}

static int uart_create(struct device **out, const struct device_env *env, struct device_conf *conf,
		       struct err *e)
{
	struct uart *u = calloc(1, sizeof(*u));
	uint64_t irq = 4;
	int rc;

	if (!u)
		return err_set(e, -ENOMEM, "uart: out of memory");
	u->dev.ops = &uart_ops;
	u->env = env;
	clock_timer_init(&u->idle, env->clock, uart_idle, u);
	rc = device_conf_u64(conf, "port", 0x3f8, 0, 0xfff8, &u->port, e);
	if (!rc)
		rc = device_conf_u64(conf, "irq", 4, 0, IRQ_NGSI - 1, &irq, e);
	if (!rc)
		rc = bus_add(env->pio, u->port, 8, &uart_io, u, "uart", e);
	if (rc) {
		uart_destroy(&u->dev);
		return rc;
	}
	u->irq = (struct irq_line){env->irq, (unsigned)irq};
	u->chr = conf->backend;
	if (u->chr)
		u->chr->client = (struct chardev_client){client_room, client_input, u};
	uart_reset(&u->dev);
	*out = &u->dev;
	return 0;
}

const struct device_ops uart_ops = {
	.name = "uart",
	.help = "16550A serial port [port=0x3f8, irq=4, chardev=unix:PATH]",
	.takes_chardev = true,
	.create = uart_create,
	.reset = uart_reset,
	.destroy = uart_destroy,
	.state = &uart_state,
	.hw = uart_hw,
	.loaded = uart_loaded,
};
