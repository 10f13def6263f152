/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port's commands from the list to their end: tables, received FISes, interrupts, resets.
 * (AHCI 1.3.1 chapters 4 to 6; section numbers below are its.)
 */
#include "vmm/device/ahci/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SSTS_UP    0x133 /* device present, generation 3, active */
#define SIG_DISK   0x00000101
#define SIG_CDROM  0xeb140101
#define TFD_ABSENT 0x7f

/* Command header and table (4.2). */
#define HEADER_SIZE  32
#define HEADER_WRITE (1u << 6)
#define HEADER_PRDBC 4
#define TABLE_PACKET 0x40
#define TABLE_PRDT   0x80
#define PRD_LEN_MASK 0x3fffff

/* Where FISes are received (4.2.1), and their types. */
#define FB_PIO_SETUP 0x20
#define FB_D2H       0x40
#define FB_SDB       0x58
#define FIS_H2D      0x27
#define FIS_D2H      0x34
#define FIS_PIO      0x5f
#define FIS_SDB      0xa1
#define FIS_COMMAND  0x80 /* H2D flags: command register written, not device control */
#define FIS_IRQ      0x40
#define CONTROL_SRST 0x04

void ahci_update_irq(struct ahci *a)
{
	for (unsigned p = 0; p < AHCI_PORTS; p++)
		if (a->hw.pis[p] & a->hw.pie[p])
			a->hw.is |= 1u << p;
	pci_intx(&a->fn, a->hw.is && (a->hw.ghc & GHC_IE));
}

/* ---- received FISes -----------------------------------------------------------------------------
 */

static void receive_fis(struct ahci *a, unsigned p, unsigned at, const void *fis, unsigned len)
{
	if (a->hw.cmd[p] & CMD_FRE)
		mem_write(a->env.mem, a->hw.fb[p] + at, fis, len);
}

/* The task file as the device left it; `irq_reason` goes where packet commands show it. */
static void send_d2h(struct ahci *a, unsigned p, const struct ahci_fis *f)
{
	uint8_t status = (uint8_t)a->hw.tfd[p], error = (uint8_t)(a->hw.tfd[p] >> 8);
	uint8_t fis[20] = {FIS_D2H,   FIS_IRQ, status,  error,   f->lba0, f->lba1,  f->lba2,
			   f->device, f->lba3, f->lba4, f->lba5, 0,       f->count, f->count_high};

	receive_fis(a, p, FB_D2H, fis, sizeof(fis));
}

static void send_pio_setup(struct ahci *a, unsigned p, const struct ahci_fis *f, uint64_t len)
{
	uint8_t fis[20] = {FIS_PIO,  FIS_IRQ | 0x20, ATA_READY | ATA_DRQ,
			   0,        f->lba0,        f->lba1,
			   f->lba2,  f->device,      f->lba3,
			   f->lba4,  f->lba5,        0,
			   f->count, f->count_high,  0,
			   ATA_READY};

	fis[16] = (uint8_t)len;
	fis[17] = (uint8_t)(len >> 8);
	receive_fis(a, p, FB_PIO_SETUP, fis, sizeof(fis));
}

static void send_sdb(struct ahci *a, unsigned p, uint32_t tags)
{
	uint8_t status = (uint8_t)a->hw.tfd[p] & 0x77, error = (uint8_t)(a->hw.tfd[p] >> 8);
	uint8_t fis[8] = {FIS_SDB, FIS_IRQ, status, error};

	memcpy(fis + 4, &tags, 4);
	receive_fis(a, p, FB_SDB, fis, sizeof(fis));
}

/* ---- how commands end ---------------------------------------------------------------------------
 */

static void release(struct ahci_cmd *c)
{
	c->busy = false;
	free(c->bounce);
	c->bounce = NULL;
}

static void set_moved(struct ahci_cmd *c, uint64_t moved)
{
	uint32_t n = (uint32_t)moved;

	mem_write(c->ahci->env.mem, c->header + HEADER_PRDBC, &n, sizeof(n));
}

static void end_good(struct ahci_cmd *c, uint32_t reason)
{
	struct ahci *a = c->ahci;
	unsigned p = c->port;

	release(c);
	a->hw.tfd[p] = ATA_READY;
	if (c->queued) {
		a->hw.sact[p] &= ~(1u << c->tag);
		send_sdb(a, p, 1u << c->tag);
		reason = IS_SDB;
	} else {
		a->hw.ci[p] &= ~(1u << c->slot);
		send_d2h(a, p, &c->fis);
	}
	a->hw.pis[p] |= reason;
	ahci_update_irq(a);
}

void ahci_done(struct ahci_cmd *c, uint64_t moved)
{
	set_moved(c, moved);
	end_good(c, IS_D2H);
}

void ahci_done_pio(struct ahci_cmd *c, const void *data, uint64_t len)
{
	uint64_t moved = sg_put(&c->sg, c->ahci->env.mem, 0, data, len);

	set_moved(c, moved);
	send_pio_setup(c->ahci, c->port, &c->fis, len);
	end_good(c, IS_D2H | IS_PIO);
}

static void end_bad(struct ahci_cmd *c, uint8_t error, uint32_t reason)
{
	struct ahci *a = c->ahci;
	unsigned p = c->port;

	release(c);
	a->hw.tfd[p] = ATA_READY | ATA_ERR | (uint32_t)error << 8;
	a->hw.cmd[p] = (a->hw.cmd[p] & ~CMD_CCS) | c->slot << 8;
	a->hw.halted[p] = true;
	if (c->queued) {
		a->hw.failed_tag[p] = c->tag;
		a->hw.failed_status[p] = ATA_READY | ATA_ERR;
		a->hw.failed_error[p] = error;
		a->hw.failed_lba[p] = c->lba;
		send_sdb(a, p, 0);
		reason = IS_SDB;
	} else {
		send_d2h(a, p, &c->fis);
	}
	a->hw.pis[p] |= reason | IS_TFE;
	ahci_update_irq(a);
}

void ahci_fail(struct ahci_cmd *c, uint8_t error)
{
	set_moved(c, 0);
	end_bad(c, error, IS_D2H);
}

/* SFF-8020 section 5.10: the interrupt reason says that this is status, not data. */
void ahci_packet_done(struct ahci_cmd *c, uint64_t moved, uint8_t error)
{
	c->fis.count = 3;
	c->fis.lba1 = (uint8_t)moved;
	c->fis.lba2 = (uint8_t)(moved >> 8);
	set_moved(c, moved);
	if (error)
		end_bad(c, error, IS_D2H);
	else
		end_good(c, IS_D2H);
}

static void io_done(struct disk_req *io, int rc)
{
	struct ahci_cmd *c = io->opaque;
	struct ahci *a = c->ahci;

	a->io_errors += rc != 0;
	if (!rc && io->op == DISK_READ) {
		a->read_bytes += io->len;
		if (!c->bounce)
			sg_written(&c->sg, a->env.mem);
	} else if (!rc && io->op == DISK_WRITE) {
		a->written_bytes += io->len;
	}
	c->then(c, rc);
}

void ahci_io(struct ahci_cmd *c, enum disk_op op, uint64_t offset, uint64_t len,
	     void (*then)(struct ahci_cmd *c, int rc))
{
	struct ahci *a = c->ahci;

	a->reads += op == DISK_READ;
	a->writes += op == DISK_WRITE;
	a->flushes += op == DISK_FLUSH;
	c->busy = true;
	c->then = then;
	c->io.iov = c->bounce ? &c->aside : sg_iov(&c->sg);
	c->io.niov = c->bounce ? 1 : c->sg.n;
	c->io.op = op;
	c->io.offset = offset;
	c->io.len = len;
	c->io.done = io_done;
	c->io.opaque = c;
	disk_submit(ahci_drive_of(c)->disk, &c->io);
}

/* ---- starting commands --------------------------------------------------------------------------
 */

/*
 * Physical region descriptors (4.2.3.3), up to the first that is no RAM: drivers leave nonsense in
 * the table of a command without data. One with data then finds too little room.
 */
static int read_prdt(struct ahci_cmd *c, gpa_t table, unsigned n)
{
	const struct guest_memory *m = c->ahci->env.mem;

	sg_clear(&c->sg);
	for (unsigned i = 0; i < n; i++) {
		uint32_t d[4];

		if (!mem_read(m, table + TABLE_PRDT + 16 * i, d, sizeof(d)))
			return -EFAULT;
		if (sg_add(&c->sg, m, (uint64_t)d[1] << 32 | (d[0] & ~1u),
			   (d[3] & PRD_LEN_MASK) + 1, !c->write))
			break;
	}
	return 0;
}

static bool read_command(struct ahci_cmd *c)
{
	struct ahci *a = c->ahci;
	uint8_t table[TABLE_PACKET + sizeof(c->packet)];
	uint32_t h[HEADER_SIZE / 4];
	gpa_t at;

	c->header = a->hw.clb[c->port] + HEADER_SIZE * c->slot;
	if (!mem_read(a->env.mem, c->header, h, sizeof(h)))
		return false;
	at = (uint64_t)h[3] << 32 | (h[2] & ~0x7fu);
	c->write = h[0] & HEADER_WRITE;
	if (!mem_read(a->env.mem, at, table, sizeof(table)))
		return false;
	memcpy(&c->fis, table, sizeof(c->fis));
	memcpy(c->packet, table + TABLE_PACKET, sizeof(c->packet));
	return !read_prdt(c, at, h[0] >> 16);
}

void ahci_send_signature(struct ahci *a, unsigned p)
{
	struct ahci_fis signature = {.count = 1, .lba0 = 1};

	signature.lba1 = (uint8_t)(a->hw.sig[p] >> 16);
	signature.lba2 = (uint8_t)(a->hw.sig[p] >> 24);
	send_d2h(a, p, &signature);
}

static void device_reset(struct ahci *a, unsigned p)
{
	bool cdrom = a->drive[p].cdrom;

	a->hw.sig[p] = cdrom ? SIG_CDROM : SIG_DISK;
	a->hw.tfd[p] = ATA_READY | 1 << 8; /* error register: diagnostics passed */
	if (cdrom)
		atapi_reset(a, p);
	else
		ata_reset(a, p);
	ahci_send_signature(a, p);
}

/* Device control FISes: software reset, set and released (Serial ATA 3.3 section 11.4). */
static void control_fis(struct ahci_cmd *c)
{
	struct ahci *a = c->ahci;
	bool srst = c->fis.control & CONTROL_SRST;

	a->hw.ci[c->port] &= ~(1u << c->slot);
	if (a->hw.srst[c->port] && !srst)
		device_reset(a, c->port);
	a->hw.srst[c->port] = srst;
}

static void start_command(struct ahci_cmd *c)
{
	struct ahci *a = c->ahci;

	c->queued = false;
	if (!read_command(c)) {
		log_guest_error(&a->guest_errors, "ahci: command outside the RAM");
		memset(&c->fis, 0, sizeof(c->fis));
		ahci_fail(c, ATA_ABRT);
		return;
	}
	if (c->fis.type == FIS_H2D && !(c->fis.flags & FIS_COMMAND)) {
		control_fis(c);
		return;
	}
	if (c->fis.type != FIS_H2D) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	a->hw.tfd[c->port] = ATA_BSY | ATA_DRDY;
	ata_command(c);
	if (c->queued && c->busy)
		a->hw.tfd[c->port] = ATA_READY;
}

static struct ahci_cmd *command(struct ahci *a, unsigned p, unsigned slot)
{
	return &a->cmd[p * AHCI_SLOTS + slot];
}

void ahci_port_run(struct ahci *a, unsigned p)
{
	for (unsigned s = 0; s < AHCI_SLOTS; s++) {
		struct ahci_cmd *c = command(a, p, s);

		if (!(a->hw.cmd[p] & CMD_ST) || a->hw.halted[p])
			break;
		if ((a->hw.ci[p] >> s & 1) && !c->busy)
			start_command(c);
	}
	if (a->drive[p].disk)
		disk_kick(a->drive[p].disk);
}

/* ---- resets -------------------------------------------------------------------------------------
 */

/* All commands end. They may find their port stopped: nobody looks at their slots any more. */
void ahci_port_drain(struct ahci *a, unsigned p)
{
	if (a->drive[p].disk)
		disk_drain(a->drive[p].disk);
}

void ahci_port_stop(struct ahci *a, unsigned p)
{
	ahci_port_drain(a, p);
	a->hw.ci[p] = a->hw.sact[p] = 0;
	a->hw.halted[p] = false;
	a->hw.cmd[p] &= ~CMD_CCS;
}

/* COMRESET (10.4.2). */
void ahci_port_reset(struct ahci *a, unsigned p)
{
	ahci_port_stop(a, p);
	a->hw.srst[p] = false;
	a->hw.tfd[p] = TFD_ABSENT;
	a->hw.sig[p] = UINT32_MAX;
	a->hw.ssts[p] = 0;
	if (!a->drive[p].present)
		return;
	a->hw.ssts[p] = SSTS_UP;
	a->hw.serr[p] |= SERR_X;
	device_reset(a, p);
}
