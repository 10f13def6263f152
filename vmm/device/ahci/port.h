/* SPDX-License-Identifier: Apache-2.0 */
/* Between the controller's registers (hba.c), its commands (command.c), ATA (ata.c) and the
 * CD-ROM's packets (atapi.c). */
#ifndef VMM_DEVICE_AHCI_PORT_H
#define VMM_DEVICE_AHCI_PORT_H

#include "vmm/device/ahci/ahci.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/sg.h"

#define AHCI_SLOTS 32

#define ATA_SECTOR 512u
#define CD_SECTOR  2048u

/* ATA status and error registers. */
#define ATA_ERR   0x01
#define ATA_DRQ   0x08
#define ATA_DSC   0x10 /* a ready device shows it with DRDY */
#define ATA_DF    0x20
#define ATA_DRDY  0x40
#define ATA_BSY   0x80
#define ATA_READY (ATA_DRDY | ATA_DSC)
#define ATA_ABRT  0x04
#define ATA_IDNF  0x10
#define ATA_UNC   0x40

/* Bits of the port registers that both files look at (3.3). */
#define IS_D2H (1u << 0)
#define IS_PIO (1u << 1)
#define IS_SDB (1u << 3)
#define IS_TFE (1u << 30)

#define CMD_ST  (1u << 0)
#define CMD_FRE (1u << 4)
#define CMD_CCS (31u << 8)

#define SERR_X (1u << 26) /* device exchanged */
#define GHC_IE (1u << 1)

/* All that a save holds; one element a port. */
struct ahci_hw {
	struct pci_hw pci;
	uint32_t ghc, is;
	uint64_t clb[AHCI_PORTS], fb[AHCI_PORTS];
	uint32_t pis[AHCI_PORTS], pie[AHCI_PORTS], cmd[AHCI_PORTS], tfd[AHCI_PORTS],
		sig[AHCI_PORTS];
	uint32_t ssts[AHCI_PORTS], sctl[AHCI_PORTS], serr[AHCI_PORTS], sact[AHCI_PORTS],
		ci[AHCI_PORTS];
	uint8_t halted[AHCI_PORTS];   /* after an error, until the driver stops the port */
	uint8_t srst[AHCI_PORTS];     /* software reset is held */
	uint8_t multiple[AHCI_PORTS]; /* sectors, as the driver has set */
	uint8_t failed_tag[AHCI_PORTS], failed_status[AHCI_PORTS], failed_error[AHCI_PORTS];
	uint64_t failed_lba[AHCI_PORTS]; /* of the queued command that failed last, for the log */
	/* CD-ROM. */
	uint8_t sense[AHCI_PORTS], asc[AHCI_PORTS]; /* of the last command */
	uint8_t changed[AHCI_PORTS];                /* unit attention is due */
	uint8_t event[AHCI_PORTS];                  /* media event to report: MMC-5 table 288 */
	uint8_t tray_open[AHCI_PORTS], tray_locked[AHCI_PORTS];
};

/* Register host to device FIS (Serial ATA 3.3 section 10.5.5), as the command table begins. */
struct ahci_fis {
	uint8_t type, flags, command, feature;
	uint8_t lba0, lba1, lba2, device;
	uint8_t lba3, lba4, lba5, feature_high;
	uint8_t count, count_high, icc, control;
};

struct ahci;

/* One command slot. */
struct ahci_cmd {
	struct ahci *ahci;
	unsigned port, slot;
	bool busy;   /* the disk works on it */
	bool queued; /* native command queueing: `tag` is reported with its end */
	bool write;  /* from guest memory */
	uint8_t tag;
	gpa_t header;
	struct ahci_fis fis;
	uint8_t packet[16];
	struct sg sg;
	uint64_t lba;
	struct disk_req io;
	void (*then)(struct ahci_cmd *c, int rc); /* after the disk */
	uint8_t *bounce;    /* the disk works on this, not on guest memory; freed at the end */
	struct iovec aside; /* bounce, for the disk */
};

struct ahci {
	struct device dev;
	struct ahci_hw hw;
	struct device_env env;
	struct pci_function fn;
	struct ahci_drive drive[AHCI_PORTS];
	struct ahci_cmd *cmd; /* AHCI_SLOTS a port */
	unsigned long guest_errors;
	uint64_t reads, writes, flushes, packets, read_bytes, written_bytes, io_errors;
};

/* ---- command.c: the port; how a command ends
 * ------------------------------------------------------------------
 */

void ahci_update_irq(struct ahci *a);
void ahci_port_run(struct ahci *a, unsigned p);   /* starts what the driver has issued */
void ahci_port_drain(struct ahci *a, unsigned p); /* all commands in work have ended on return */
void ahci_port_stop(struct ahci *a, unsigned p);
void ahci_port_reset(struct ahci *a, unsigned p);
void ahci_send_signature(struct ahci *a, unsigned p); /* tells the driver what the drive is */

/* Success: status FIS, slot free, interrupt. `moved`: bytes for the command header. */
void ahci_done(struct ahci_cmd *c, uint64_t moved);
/* The same for a command that has read `len` bytes by PIO. */
void ahci_done_pio(struct ahci_cmd *c, const void *data, uint64_t len);
/* Failure: the port halts until the driver restarts it. */
void ahci_fail(struct ahci_cmd *c, uint8_t error);
/* End of a packet command; `error` 0: good, else what goes to the error register. */
void ahci_packet_done(struct ahci_cmd *c, uint64_t moved, uint8_t error);
/* Submits c->sg, or nothing for a flush, to the port's disk; c->then runs at its end. */
void ahci_io(struct ahci_cmd *c, enum disk_op op, uint64_t offset, uint64_t len,
	     void (*then)(struct ahci_cmd *c, int rc));

static inline struct ahci_drive *ahci_drive_of(const struct ahci_cmd *c)
{
	return &c->ahci->drive[c->port];
}

/* ---- ata.c, atapi.c -----------------------------------------------------------------------------
 */

void ata_command(struct ahci_cmd *c);
void ata_reset(struct ahci *a, unsigned port);
void atapi_packet(struct ahci_cmd *c);
void atapi_reset(struct ahci *a, unsigned port);
void atapi_disc_changed(struct ahci *a, unsigned port, bool has_disc);
/* A string in ATA's order of bytes, padded with blanks. */
void ata_put_string(uint8_t *to, const char *text, unsigned len);
void ata_identify_packet(const struct ahci_cmd *c, uint8_t id[ATA_SECTOR]);

#endif
