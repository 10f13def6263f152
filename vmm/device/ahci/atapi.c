/* SPDX-License-Identifier: Apache-2.0 */
/* A CD-ROM drive: SCSI packets inside ATA. (MMC-5, SPC-3, SFF-8020; one session, one data track.)
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/device/ahci/port.h"

enum {
	TEST_UNIT_READY = 0x00,
	REQUEST_SENSE = 0x03,
	INQUIRY = 0x12,
	MODE_SENSE_6 = 0x1a,
	START_STOP = 0x1b,
	PREVENT_REMOVAL = 0x1e,
	READ_CAPACITY = 0x25,
	READ_10 = 0x28,
	SEEK = 0x2b,
	READ_TOC = 0x43,
	GET_CONFIGURATION = 0x46,
	GET_EVENT = 0x4a,
	READ_DISC_INFO = 0x51,
	READ_TRACK_INFO = 0x52,
	MODE_SENSE_10 = 0x5a,
	READ_12 = 0xa8,
	SET_SPEED = 0xbb,
	MECHANISM_STATUS = 0xbd,
	READ_CD = 0xbe,
};

/* Sense keys and additional codes (SPC-3 tables 27 and 28). */
enum {
	KEY_NONE = 0,
	KEY_NOT_READY = 2,
	KEY_MEDIUM_ERROR = 3,
	KEY_ILLEGAL_REQUEST = 5,
	KEY_UNIT_ATTENTION = 6,
};
enum {
	ASC_UNREADABLE = 0x11,
	ASC_INVALID_COMMAND = 0x20,
	ASC_OUT_OF_RANGE = 0x21,
	ASC_INVALID_FIELD = 0x24,
	ASC_DISC_CHANGED = 0x28,
	ASC_NO_DISC = 0x3a,
	ASC_TRAY_LOCKED = 0x53,
};

enum {
	EVENT_NONE,
	EVENT_EJECT_REQUEST,
	EVENT_NEW_DISC,
	EVENT_REMOVED
};

#define EVENT_CLASS_MEDIA  4
#define PROFILE_CDROM      8
#define LEAD_OUT           0xaa
#define REPLY_MAX          256
#define READ_CD_USER_DATA  0x10
#define BOUNCE_MAX         (4 * MIB)
#define FRAMES_PER_SECOND  75
#define MSF_OFFSET         150
#define PAGE_ERROR_RECOVER 0x01
#define PAGE_CAPABILITIES  0x2a
#define ALL_PAGES          0x3f

static uint32_t be16_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32_at(const uint8_t *p)
{
	return be16_at(p) << 16 | be16_at(p + 2);
}

static void put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v);
}

/* ---- how packets end ----------------------------------------------------------------------------
 */

static void refuse(struct ahci_cmd *c, uint8_t key, uint8_t asc)
{
	struct ahci_hw *h = &c->ahci->hw;

	h->sense[c->port] = key;
	h->asc[c->port] = asc;
	ahci_packet_done(c, 0, (uint8_t)(key << 4 | ATA_ABRT));
}

static void good(struct ahci_cmd *c)
{
	ahci_packet_done(c, 0, 0);
}

/* A reply is as long as the host allows. */
static void reply(struct ahci_cmd *c, const uint8_t *data, uint32_t len, uint32_t allowed)
{
	uint32_t n = len < allowed ? len : allowed;

	if (c->write) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	ahci_packet_done(c, sg_put(&c->sg, c->ahci->env.mem, 0, data, n), 0);
}

static bool has_disc(const struct ahci_cmd *c)
{
	return ahci_drive_of(c)->disk && !c->ahci->hw.tray_open[c->port];
}

static uint32_t blocks(const struct ahci_cmd *c)
{
	uint64_t n = ahci_drive_of(c)->disk->size / CD_SECTOR;

	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static void was_read(struct ahci_cmd *c, int rc)
{
	if (rc)
		refuse(c, KEY_MEDIUM_ERROR, ASC_UNREADABLE);
	else
		ahci_packet_done(c, c->io.len, 0);
}

/* What the host's buffer cannot take whole goes through one of our own. */
static void was_read_aside(struct ahci_cmd *c, int rc)
{
	if (rc)
		refuse(c, KEY_MEDIUM_ERROR, ASC_UNREADABLE);
	else
		ahci_packet_done(c, sg_put(&c->sg, c->ahci->env.mem, 0, c->bounce, c->io.len), 0);
}

static void read_aside(struct ahci_cmd *c, uint64_t at, uint64_t len)
{
	c->bounce = len <= BOUNCE_MAX ? malloc(len) : NULL;
	if (!c->bounce) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	c->aside = (struct iovec){c->bounce, len};
	ahci_io(c, DISK_READ, at, len, was_read_aside);
}

static void read_blocks(struct ahci_cmd *c, uint32_t lba, uint32_t n)
{
	uint64_t len = (uint64_t)n * CD_SECTOR, at = (uint64_t)lba * CD_SECTOR;

	if (!range_ok(lba, n, blocks(c))) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_OUT_OF_RANGE);
		return;
	}
	if (!n) {
		good(c);
	} else if (c->write) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
	} else if (c->sg.len < len) {
		read_aside(c, at, len);
	} else {
		sg_trim(&c->sg, len);
		ahci_io(c, DISK_READ, at, len, was_read);
	}
}

static void read_10(struct ahci_cmd *c)
{
	read_blocks(c, be32_at(c->packet + 2), be16_at(c->packet + 7));
}

static void read_12(struct ahci_cmd *c)
{
	read_blocks(c, be32_at(c->packet + 2), be32_at(c->packet + 6));
}

/* User data of data sectors only: there is nothing else in an image. */
static void read_cd(struct ahci_cmd *c)
{
	uint32_t n = be32_at(c->packet + 5) & 0xffffff;

	if ((c->packet[9] & 0xf8) == READ_CD_USER_DATA)
		read_blocks(c, be32_at(c->packet + 2), n);
	else if (!(c->packet[9] & 0xf8))
		good(c);
	else
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
}

/* ---- what the drive and the disc are ------------------------------------------------------------
 */

static void inquiry(struct ahci_cmd *c)
{
	uint8_t r[36] = {5, 0x80, 5, 0x32, 31};

	if (c->packet[1] & 1) { /* vital product data */
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	memcpy(r + 8, "BATON   CD-ROM          1.0 ", 28);
	reply(c, r, sizeof(r), be16_at(c->packet + 3));
}

static void request_sense(struct ahci_cmd *c)
{
	struct ahci_hw *h = &c->ahci->hw;
	uint8_t r[18] = {0x70, 0, h->sense[c->port], 0, 0, 0, 0, 10};

	r[12] = h->asc[c->port];
	if (h->changed[c->port] && !h->sense[c->port]) {
		r[2] = KEY_UNIT_ATTENTION;
		r[12] = ASC_DISC_CHANGED;
		h->changed[c->port] = false;
	}
	h->sense[c->port] = h->asc[c->port] = 0;
	reply(c, r, sizeof(r), c->packet[4]);
}

static void read_capacity(struct ahci_cmd *c)
{
	uint8_t r[8];

	put_be32(r, blocks(c) - 1);
	put_be32(r + 4, CD_SECTOR);
	reply(c, r, sizeof(r), sizeof(r));
}

static void put_address(uint8_t *to, uint32_t lba, bool msf)
{
	if (!msf) {
		put_be32(to, lba);
		return;
	}
	lba += MSF_OFFSET;
	to[0] = 0;
	to[1] = (uint8_t)(lba / FRAMES_PER_SECOND / 60);
	to[2] = (uint8_t)(lba / FRAMES_PER_SECOND % 60);
	to[3] = (uint8_t)(lba % FRAMES_PER_SECOND);
}

static uint8_t *put_track(uint8_t *to, uint8_t track, uint32_t lba, bool msf)
{
	to[1] = 0x14; /* data track */
	to[2] = track;
	put_address(to + 4, lba, msf);
	return to + 8;
}

static void read_toc(struct ahci_cmd *c)
{
	bool msf = c->packet[1] & 2;
	uint8_t format = (c->packet[2] & 15) ? c->packet[2] & 15 : c->packet[9] >> 6;
	uint8_t r[REPLY_MAX] = {0}, *end = r + 4;

	if (format > 1 || (c->packet[6] > 1 && c->packet[6] != LEAD_OUT)) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	r[2] = r[3] = 1; /* first and last track or session */
	if (format == 1 || c->packet[6] <= 1)
		end = put_track(end, 1, 0, msf);
	if (format == 0)
		end = put_track(end, LEAD_OUT, blocks(c), msf);
	put_be16(r, (uint32_t)(end - r) - 2);
	reply(c, r, (uint32_t)(end - r), be16_at(c->packet + 7));
}

/* Profile list, core, removable medium, random readable and CD read features. */
static void get_configuration(struct ahci_cmd *c)
{
	static const uint8_t features[] = {
		0, 0,    3,    4, 0,    PROFILE_CDROM,
		1, 0, /* profiles */
		0, 1,    0x0b, 8, 0,    0,
		0, 7,    1,    0, 0,    0, /* core: ATAPI */
		0, 3,    7,    4, 0x29, 0,
		0, 0, /* tray, eject, lock */
		0, 0x10, 0,    8, 0,    0,
		8, 0,    0,    1, 0,    0, /* blocks of 2048 bytes */
		0, 0x1e, 8,    4, 0,    0,
		0, 0, /* CD read */
	};
	uint8_t r[8 + sizeof(features)] = {0};

	memcpy(r + 8, features, sizeof(features));
	r[8 + 6] = has_disc(c);
	put_be32(r, sizeof(r) - 4);
	put_be16(r + 6, has_disc(c) ? PROFILE_CDROM : 0);
	reply(c, r, sizeof(r), be16_at(c->packet + 7));
}

static void get_event(struct ahci_cmd *c)
{
	struct ahci_hw *h = &c->ahci->hw;
	uint8_t r[8] = {0, 6, EVENT_CLASS_MEDIA, 1 << EVENT_CLASS_MEDIA};

	if (!(c->packet[1] & 1)) { /* only polling */
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	if (!(c->packet[4] & 1 << EVENT_CLASS_MEDIA)) {
		r[1] = 2;
		r[2] = 0x80; /* no event of the classes asked for */
		reply(c, r, 4, be16_at(c->packet + 7));
		return;
	}
	r[4] = h->event[c->port];
	r[5] = (uint8_t)(has_disc(c) << 1 | h->tray_open[c->port]);
	h->event[c->port] = EVENT_NONE;
	reply(c, r, sizeof(r), be16_at(c->packet + 7));
}

static void read_disc_info(struct ahci_cmd *c)
{
	uint8_t r[34] = {0, 32, 0x0e, 1, 1, 1, 1, 0x20}; /* complete, one session, one track */

	memset(r + 16, 0xff, 8);
	reply(c, r, sizeof(r), be16_at(c->packet + 7));
}

static void read_track_info(struct ahci_cmd *c)
{
	uint8_t r[36] = {0, 34, 1, 1, 0, 4, 1};

	put_be32(r + 24, blocks(c));
	reply(c, r, sizeof(r), be16_at(c->packet + 7));
}

static uint8_t *put_pages(uint8_t *to, uint8_t page, bool locked)
{
	static const uint8_t recover[8] = {PAGE_ERROR_RECOVER, 6, 0, 5};
	/* Tray loader that can be locked and ejects; 4x, 128 KiB of buffer. */
	static const uint8_t able[22] = {
		PAGE_CAPABILITIES, 20, 0, 0, 0x01, 0, 0x29, 0, 2, 0xc2, 0, 2, 0, 128, 2, 0xc2};

	if (page == PAGE_ERROR_RECOVER || page == ALL_PAGES) {
		memcpy(to, recover, sizeof(recover));
		to += sizeof(recover);
	}
	if (page == PAGE_CAPABILITIES || page == ALL_PAGES) {
		memcpy(to, able, sizeof(able));
		to[6] |= (uint8_t)(locked << 1);
		to += sizeof(able);
	}
	return to;
}

static void mode_sense(struct ahci_cmd *c)
{
	bool ten = c->packet[0] == MODE_SENSE_10;
	uint8_t r[REPLY_MAX] = {0}, *start = r + (ten ? 8 : 4), *end;

	end = put_pages(start, c->packet[2] & 0x3f, c->ahci->hw.tray_locked[c->port]);
	if (end == start) {
		refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	if (ten)
		put_be16(r, (uint32_t)(end - r) - 2);
	else
		r[0] = (uint8_t)(end - r - 1);
	reply(c, r, (uint32_t)(end - r), ten ? be16_at(c->packet + 7) : c->packet[4]);
}

static void mechanism_status(struct ahci_cmd *c)
{
	uint8_t r[8] = {0, 0, 0, 0, 0, 0, 0, 0};

	r[1] = (uint8_t)(c->ahci->hw.tray_open[c->port] << 4);
	reply(c, r, sizeof(r), be16_at(c->packet + 8));
}

/* ---- the tray -----------------------------------------------------------------------------------
 */

static void prevent_removal(struct ahci_cmd *c)
{
	c->ahci->hw.tray_locked[c->port] = c->packet[4] & 1;
	good(c);
}

#define LOAD_EJECT 2
#define START      1

static void start_stop(struct ahci_cmd *c)
{
	struct ahci_hw *h = &c->ahci->hw;
	bool open = !(c->packet[4] & START);

	if (!(c->packet[4] & LOAD_EJECT)) {
		good(c);
		return;
	}
	if (open && h->tray_locked[c->port]) {
		refuse(c, has_disc(c) ? KEY_ILLEGAL_REQUEST : KEY_NOT_READY, ASC_TRAY_LOCKED);
		return;
	}
	if (open != h->tray_open[c->port]) {
		h->tray_open[c->port] = open;
		h->event[c->port] = open ? EVENT_REMOVED : EVENT_NEW_DISC;
		h->changed[c->port] = !open;
	}
	good(c);
}

void atapi_reset(struct ahci *a, unsigned port)
{
	a->hw.sense[port] = a->hw.asc[port] = 0;
	a->hw.tray_locked[port] = false;
	a->hw.changed[port] = false;
}

void atapi_disc_changed(struct ahci *a, unsigned port, bool has)
{
	a->hw.tray_open[port] = false;
	a->hw.tray_locked[port] = false;
	a->hw.changed[port] = has;
	a->hw.event[port] = has ? EVENT_NEW_DISC : EVENT_REMOVED;
}

/* ---- dispatch -----------------------------------------------------------------------------------
 */

/* A command may need a disc; one that may not wait reports no change of disc first. */
enum {
	NEEDS_DISC = 1,
	ANY_TIME = 2
};

static const struct {
	uint8_t command, needs;
	void (*run)(struct ahci_cmd *c);
} packets[] = {
	{READ_10, NEEDS_DISC, read_10},
	{READ_12, NEEDS_DISC, read_12},
	{TEST_UNIT_READY, NEEDS_DISC, good},
	{REQUEST_SENSE, ANY_TIME, request_sense},
	{INQUIRY, ANY_TIME, inquiry},
	{READ_CAPACITY, NEEDS_DISC, read_capacity},
	{READ_TOC, NEEDS_DISC, read_toc},
	{GET_CONFIGURATION, ANY_TIME, get_configuration},
	{GET_EVENT, ANY_TIME, get_event},
	{MODE_SENSE_6, 0, mode_sense},
	{MODE_SENSE_10, 0, mode_sense},
	{START_STOP, 0, start_stop},
	{PREVENT_REMOVAL, 0, prevent_removal},
	{READ_DISC_INFO, NEEDS_DISC, read_disc_info},
	{READ_TRACK_INFO, NEEDS_DISC, read_track_info},
	{READ_CD, NEEDS_DISC, read_cd},
	{MECHANISM_STATUS, 0, mechanism_status},
	{SEEK, NEEDS_DISC, good},
	{SET_SPEED, 0, good},
};

static void run_packet(struct ahci_cmd *c, unsigned i)
{
	struct ahci_hw *h = &c->ahci->hw;

	if (h->changed[c->port] && !(packets[i].needs & ANY_TIME)) {
		h->changed[c->port] = false;
		refuse(c, KEY_UNIT_ATTENTION, ASC_DISC_CHANGED);
		return;
	}
	if (!has_disc(c) && (packets[i].needs & NEEDS_DISC)) {
		refuse(c, KEY_NOT_READY, ASC_NO_DISC);
		return;
	}
	if (packets[i].command != REQUEST_SENSE)
		h->sense[c->port] = h->asc[c->port] = 0;
	packets[i].run(c);
}

void atapi_packet(struct ahci_cmd *c)
{
	for (unsigned i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		if (packets[i].command == c->packet[0]) {
			run_packet(c, i);
			return;
		}
	}
	refuse(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_COMMAND);
}

void ata_identify_packet(const struct ahci_cmd *c, uint8_t id[ATA_SECTOR])
{
	static const struct {
		uint8_t word;
		uint16_t value;
	} words[] = {
		{0, 0x8580}, /* ATAPI CD-ROM, removable, packets of 12 bytes */
		{49, 0x0b00}, {53, 0x0006}, {63, 0x0007}, {64, 0x0003}, {65, 120},     {66, 120},
		{67, 120},    {68, 120},    {76, 0x000e}, {80, 0x01f0}, {82, 0x4210},  {83, 0x4000},
		{84, 0x4000}, {85, 0x4210}, {87, 0x4000}, {88, 0x407f}, {222, 0x1020},
	};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		id[2 * words[i].word] = (uint8_t)words[i].value;
		id[2 * words[i].word + 1] = (uint8_t)(words[i].value >> 8);
	}
	ata_put_string(id + 2 * 10, c->port ? "BATON-CD-1" : "BATON-CD-0", 20);
	ata_put_string(id + 2 * 23, "1.0", 8);
	ata_put_string(id + 2 * 27, "BATON CD-ROM", 40);
}
