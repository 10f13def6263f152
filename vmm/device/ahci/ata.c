/* SPDX-License-Identifier: Apache-2.0 */
/* ATA commands of a hard disk, and the few that a CD-ROM drive shares. (ATA8-ACS; sections are
 * its.)
 */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/ahci/port.h"

enum {
	ATA_DSM = 0x06,
	ATA_DEVICE_RESET = 0x08,
	ATA_READ_SECTORS = 0x20,
	ATA_READ_SECTORS_EXT = 0x24,
	ATA_READ_DMA_EXT = 0x25,
	ATA_READ_NATIVE_MAX_EXT = 0x27,
	ATA_READ_MULTIPLE_EXT = 0x29,
	ATA_READ_LOG_EXT = 0x2f,
	ATA_WRITE_SECTORS = 0x30,
	ATA_WRITE_SECTORS_EXT = 0x34,
	ATA_WRITE_DMA_EXT = 0x35,
	ATA_WRITE_MULTIPLE_EXT = 0x39,
	ATA_WRITE_DMA_FUA_EXT = 0x3d,
	ATA_VERIFY = 0x40,
	ATA_VERIFY_EXT = 0x42,
	ATA_READ_LOG_DMA_EXT = 0x47,
	ATA_READ_QUEUED = 0x60,
	ATA_WRITE_QUEUED = 0x61,
	ATA_DIAGNOSTIC = 0x90,
	ATA_PARAMETERS = 0x91,
	ATA_PACKET = 0xa0,
	ATA_IDENTIFY_PACKET = 0xa1,
	ATA_READ_MULTIPLE = 0xc4,
	ATA_WRITE_MULTIPLE = 0xc5,
	ATA_SET_MULTIPLE = 0xc6,
	ATA_READ_DMA = 0xc8,
	ATA_WRITE_DMA = 0xca,
	ATA_STANDBY_NOW = 0xe0,
	ATA_IDLE_NOW = 0xe1,
	ATA_STANDBY = 0xe2,
	ATA_IDLE = 0xe3,
	ATA_CHECK_POWER = 0xe5,
	ATA_SLEEP = 0xe6,
	ATA_FLUSH = 0xe7,
	ATA_FLUSH_EXT = 0xea,
	ATA_IDENTIFY = 0xec,
	ATA_SET_FEATURES = 0xef,
	ATA_READ_NATIVE_MAX = 0xf8,
};

#define MULTIPLE_MAX  16
#define DSM_TRIM      0x01
#define LOG_NCQ_ERROR 0x10
#define DEVICE_LBA    0x40
#define POWER_ACTIVE  0xff
#define TRIM_ENTRIES  64 /* of 8 bytes in a sector */
#define LBA28_MAX     0x0fffffffu
#define FUA           0x80 /* device register of queued writes */

/* ---- identification (7.16) ----------------------------------------------------------------------
 */

static void put_word(uint8_t *id, unsigned word, uint16_t val)
{
	id[2 * word] = (uint8_t)val;
	id[2 * word + 1] = (uint8_t)(val >> 8);
}

void ata_put_string(uint8_t *to, const char *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		to[i ^ 1] = (uint8_t)(*text ? *text++ : ' ');
}

static void put_capacity(uint8_t *id, uint64_t sectors)
{
	uint32_t low = sectors < LBA28_MAX ? (uint32_t)sectors : LBA28_MAX;
	uint64_t cylinders = sectors / (16 * 63);

	put_word(id, 1, cylinders < 16383 ? (uint16_t)cylinders : 16383);
	put_word(id, 3, 16);
	put_word(id, 6, 63);
	memcpy(id + 2 * 60, &low, 4);
	memcpy(id + 2 * 100, &sectors, 8);
}

/* Words that are the same for every disk. */
static const struct {
	uint8_t word;
	uint16_t value;
} disk_words[] = {
	{0, 0x0040}, /* a fixed device */
	{47, 0x8000 | MULTIPLE_MAX},
	{49, 0x0f00}, /* LBA, DMA, standby timer */
	{50, 0x4000},
	{53, 0x0006}, /* words 64-70 and 88 are valid */
	{63, 0x0007}, /* multiword DMA 0-2 */
	{64, 0x0003}, /* PIO 3 and 4 */
	{65, 120},
	{66, 120},
	{67, 120},
	{68, 120},
	{75, AHCI_SLOTS - 1},
	{76, 0x010e}, /* NCQ, 1.5, 3 and 6 Gbit/s */
	{80, 0x01f0}, /* ATA-4 to ATA8-ACS */
	{82, 0x4020}, /* NOP, write cache */
	{83, 0x7400}, /* 48-bit addresses, both flushes */
	{84, 0x4060}, /* general purpose logging, write FUA */
	{85, 0x4020},
	{86, 0x3400},
	{87, 0x4060},
	{88, 0x407f}, /* UDMA 0-6, 6 is on */
	{106, 0x4000},
	{217, 1},      /* no rotation */
	{222, 0x1020}, /* serial transport */
};

static void identify(struct ahci_cmd *c)
{
	const struct disk *d = ahci_drive_of(c)->disk;
	uint8_t id[ATA_SECTOR] = {0}, multiple = c->ahci->hw.multiple[c->port];

	for (unsigned i = 0; i < sizeof(disk_words) / sizeof(disk_words[0]); i++)
		put_word(id, disk_words[i].word, disk_words[i].value);
	ata_put_string(id + 2 * 10, d->id, 20);
	ata_put_string(id + 2 * 23, "1.0", 8);
	ata_put_string(id + 2 * 27, "BATON HARDDISK", 40);
	put_capacity(id, d->size / ATA_SECTOR);
	if (multiple)
		put_word(id, 59, 0x0100 | multiple);
	if (d->can_discard && !d->readonly) {
		put_word(id, 69, 0x4000); /* zeroes are not promised after it */
		put_word(id, 105, 1);
		put_word(id, 169, 1);
	}
	ahci_done_pio(c, id, sizeof(id));
}

static void identify_packet(struct ahci_cmd *c)
{
	uint8_t id[ATA_SECTOR] = {0};

	ata_identify_packet(c, id);
	ahci_done_pio(c, id, sizeof(id));
}

/* ---- reading and writing ------------------------------------------------------------------------
 */

static uint64_t lba48(const struct ahci_fis *f)
{
	return f->lba0 | (uint64_t)f->lba1 << 8 | (uint64_t)f->lba2 << 16 |
	       (uint64_t)f->lba3 << 24 | (uint64_t)f->lba4 << 32 | (uint64_t)f->lba5 << 40;
}

static uint64_t lba28(const struct ahci_fis *f)
{
	return f->lba0 | (uint64_t)f->lba1 << 8 | (uint64_t)f->lba2 << 16 |
	       (uint64_t)(f->device & 15) << 24;
}

static uint32_t count16(const struct ahci_fis *f)
{
	uint32_t n = f->count | (uint32_t)f->count_high << 8;

	return n ? n : 0x10000;
}

/* Which half of the register set a command uses. */
enum range {
	LBA28,
	LBA48
};

static bool range_of(struct ahci_cmd *c, enum range kind, uint32_t *sectors)
{
	const struct disk *d = ahci_drive_of(c)->disk;

	c->lba = kind == LBA48 ? lba48(&c->fis) : lba28(&c->fis);
	*sectors = kind == LBA48 ? count16(&c->fis) : c->fis.count ? c->fis.count : 256;
	return c->fis.device & DEVICE_LBA && range_ok(c->lba, *sectors, d->size / ATA_SECTOR);
}

static void transferred(struct ahci_cmd *c, int rc)
{
	if (rc)
		ahci_fail(c, ATA_UNC);
	else
		ahci_done(c, c->io.len);
}

static void flushed(struct ahci_cmd *c, int rc)
{
	if (rc)
		ahci_fail(c, ATA_ABRT);
	else
		ahci_done(c, 0);
}

/* A write that must be on the medium when it ends is followed by a flush. */
static void written_through(struct ahci_cmd *c, int rc)
{
	if (rc) {
		ahci_fail(c, ATA_UNC);
		return;
	}
	ahci_io(c, DISK_FLUSH, 0, 0, flushed);
	disk_kick(ahci_drive_of(c)->disk);
}

static void transfer(struct ahci_cmd *c, uint32_t sectors, bool write, bool through)
{
	uint64_t len = (uint64_t)sectors * ATA_SECTOR;

	if (c->write != write || c->sg.len < len || (write && ahci_drive_of(c)->disk->readonly)) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	sg_trim(&c->sg, len);
	ahci_io(c, write ? DISK_WRITE : DISK_READ, c->lba * ATA_SECTOR, len,
		through ? written_through : transferred);
}

static void simple_transfer(struct ahci_cmd *c, enum range kind, bool write, bool through)
{
	uint32_t sectors;

	if (range_of(c, kind, &sectors))
		transfer(c, sectors, write, through);
	else
		ahci_fail(c, ATA_IDNF);
}

static void read28(struct ahci_cmd *c)
{
	simple_transfer(c, LBA28, false, false);
}

static void read48(struct ahci_cmd *c)
{
	simple_transfer(c, LBA48, false, false);
}

static void write28(struct ahci_cmd *c)
{
	simple_transfer(c, LBA28, true, false);
}

static void write48(struct ahci_cmd *c)
{
	simple_transfer(c, LBA48, true, false);
}

static void write_fua(struct ahci_cmd *c)
{
	simple_transfer(c, LBA48, true, true);
}

/* Sections 13.6.4 and 13.6.5 of Serial ATA: the count is in the features, the tag in the count. */
static void queued(struct ahci_cmd *c)
{
	struct ahci *a = c->ahci;
	uint32_t sectors = c->fis.feature | (uint32_t)c->fis.feature_high << 8;
	bool write = c->fis.command == ATA_WRITE_QUEUED;

	sectors = sectors ? sectors : 0x10000;
	c->lba = lba48(&c->fis);
	c->tag = c->fis.count >> 3;
	if (c->tag != c->slot) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->queued = true;
	a->hw.ci[c->port] &= ~(1u << c->slot); /* accepted */
	if (range_ok(c->lba, sectors, ahci_drive_of(c)->disk->size / ATA_SECTOR))
		transfer(c, sectors, write, write && (c->fis.device & FUA));
	else
		ahci_fail(c, ATA_IDNF);
}

static void verify(struct ahci_cmd *c)
{
	uint32_t sectors;

	if (range_of(c, c->fis.command == ATA_VERIFY_EXT ? LBA48 : LBA28, &sectors))
		ahci_done(c, 0);
	else
		ahci_fail(c, ATA_IDNF);
}

static void flush(struct ahci_cmd *c)
{
	ahci_io(c, DISK_FLUSH, 0, 0, flushed);
}

/* ---- trim (7.10): ranges of 48 bits address and 16 bits count -----------------------------------
 */

static void trim_next(struct ahci_cmd *c, int rc)
{
	const struct disk *d = ahci_drive_of(c)->disk;
	uint64_t entry;

	if (rc) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	while (sg_get(&c->sg, c->lba, &entry, sizeof(entry)) == sizeof(entry)) {
		uint64_t at = entry & ((1ull << 48) - 1), n = entry >> 48;

		c->lba += sizeof(entry);
		if (!n)
			continue;
		if (!range_ok(at, n, d->size / ATA_SECTOR)) {
			ahci_fail(c, ATA_IDNF);
			return;
		}
		ahci_io(c, DISK_DISCARD, at * ATA_SECTOR, n * ATA_SECTOR, trim_next);
		disk_kick(ahci_drive_of(c)->disk);
		return;
	}
	ahci_done(c, c->sg.len);
}

/* c->lba counts the bytes of the list that are done. */
static void trim(struct ahci_cmd *c)
{
	const struct disk *d = ahci_drive_of(c)->disk;
	uint64_t len = (uint64_t)count16(&c->fis) * ATA_SECTOR;

	if (!(c->fis.feature & DSM_TRIM) || !d->can_discard || d->readonly || !c->write ||
	    c->sg.len < len || len > 8 * ATA_SECTOR) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	sg_trim(&c->sg, len);
	c->lba = 0;
	trim_next(c, 0);
}

/* ---- the rest -----------------------------------------------------------------------------------
 */

static void nothing(struct ahci_cmd *c)
{
	ahci_done(c, 0);
}

static void set_multiple(struct ahci_cmd *c)
{
	uint8_t n = c->fis.count;

	if (n > MULTIPLE_MAX || (n & (n - 1))) {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	c->ahci->hw.multiple[c->port] = n;
	ahci_done(c, 0);
}

static void check_power(struct ahci_cmd *c)
{
	c->fis.count = POWER_ACTIVE;
	ahci_done(c, 0);
}

static void native_max(struct ahci_cmd *c)
{
	uint64_t last = ahci_drive_of(c)->disk->size / ATA_SECTOR - 1;

	if (c->fis.command == ATA_READ_NATIVE_MAX && last > LBA28_MAX - 1)
		last = LBA28_MAX - 1;
	c->fis.lba0 = (uint8_t)last;
	c->fis.lba1 = (uint8_t)(last >> 8);
	c->fis.lba2 = (uint8_t)(last >> 16);
	if (c->fis.command == ATA_READ_NATIVE_MAX) {
		c->fis.device = (uint8_t)((c->fis.device & 0xf0) | (last >> 24 & 15));
	} else {
		c->fis.lba3 = (uint8_t)(last >> 24);
		c->fis.lba4 = (uint8_t)(last >> 32);
		c->fis.lba5 = (uint8_t)(last >> 40);
	}
	ahci_done(c, 0);
}

/* Log 0: which logs there are; log 10h: the queued command that failed (13.7 of Serial ATA). */
static void read_log(struct ahci_cmd *c)
{
	const struct ahci_hw *h = &c->ahci->hw;
	unsigned p = c->port;
	uint8_t log[ATA_SECTOR] = {0}, sum = 0;

	if (c->fis.lba0 == 0) {
		log[0] = 1;
		log[2 * LOG_NCQ_ERROR] = 1;
	} else if (c->fis.lba0 == LOG_NCQ_ERROR) {
		log[0] = h->failed_tag[p];
		log[2] = h->failed_status[p];
		log[3] = h->failed_error[p];
		memcpy(log + 4, &h->failed_lba[p], 3);
		log[7] = DEVICE_LBA;
		memcpy(log + 8, (const uint8_t *)&h->failed_lba[p] + 3, 3);
		for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
			sum = (uint8_t)(sum + log[i]);
		log[ATA_SECTOR - 1] = (uint8_t)-sum;
	} else {
		ahci_fail(c, ATA_ABRT);
		return;
	}
	ahci_done_pio(c, log, sizeof(log));
}

static void packet(struct ahci_cmd *c)
{
	c->ahci->packets++;
	atapi_packet(c);
}

enum {
	DISK = 1,
	CDROM = 2,
	BOTH = 3
};

static const struct {
	uint8_t command, device;
	void (*run)(struct ahci_cmd *c);
} commands[] = {
	{ATA_READ_QUEUED, DISK, queued},
	{ATA_WRITE_QUEUED, DISK, queued},
	{ATA_READ_DMA_EXT, DISK, read48},
	{ATA_WRITE_DMA_EXT, DISK, write48},
	{ATA_READ_DMA, DISK, read28},
	{ATA_WRITE_DMA, DISK, write28},
	{ATA_FLUSH, DISK, flush},
	{ATA_FLUSH, CDROM, nothing},
	{ATA_FLUSH_EXT, DISK, flush},
	{ATA_PACKET, CDROM, packet},
	{ATA_READ_SECTORS, DISK, read28},
	{ATA_READ_SECTORS_EXT, DISK, read48},
	{ATA_READ_MULTIPLE, DISK, read28},
	{ATA_READ_MULTIPLE_EXT, DISK, read48},
	{ATA_WRITE_SECTORS, DISK, write28},
	{ATA_WRITE_SECTORS_EXT, DISK, write48},
	{ATA_WRITE_MULTIPLE, DISK, write28},
	{ATA_WRITE_MULTIPLE_EXT, DISK, write48},
	{ATA_WRITE_DMA_FUA_EXT, DISK, write_fua},
	{ATA_VERIFY, DISK, verify},
	{ATA_VERIFY_EXT, DISK, verify},
	{ATA_DSM, DISK, trim},
	{ATA_IDENTIFY, DISK, identify},
	{ATA_IDENTIFY_PACKET, CDROM, identify_packet},
	{ATA_SET_FEATURES, BOTH, nothing},
	{ATA_SET_MULTIPLE, DISK, set_multiple},
	{ATA_PARAMETERS, DISK, nothing},
	{ATA_READ_NATIVE_MAX, DISK, native_max},
	{ATA_READ_NATIVE_MAX_EXT, DISK, native_max},
	{ATA_READ_LOG_EXT, DISK, read_log},
	{ATA_READ_LOG_DMA_EXT, DISK, read_log},
	{ATA_CHECK_POWER, BOTH, check_power},
	{ATA_STANDBY_NOW, BOTH, nothing},
	{ATA_IDLE_NOW, BOTH, nothing},
	{ATA_STANDBY, BOTH, nothing},
	{ATA_IDLE, BOTH, nothing},
	{ATA_SLEEP, BOTH, nothing},
	{ATA_DIAGNOSTIC, BOTH, nothing},
	{ATA_DEVICE_RESET, CDROM, nothing},
};

void ata_command(struct ahci_cmd *c)
{
	unsigned device = ahci_drive_of(c)->cdrom ? CDROM : DISK;

	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].command == c->fis.command && (commands[i].device & device)) {
			commands[i].run(c);
			return;
		}
	}
	ahci_fail(c, ATA_ABRT);
}

void ata_reset(struct ahci *a, unsigned port)
{
	a->hw.multiple[port] = 0;
}
