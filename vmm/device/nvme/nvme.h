/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller with one namespace: admin queue, up to NVME_IO_QUEUES pairs of I/O queues,
 * MSI-X. (NVM Express base specification 1.4.) nvme.c has registers and queues, admin.c and io.c
 * the commands.
 */
#ifndef VMM_DEVICE_NVME_NVME_H
#define VMM_DEVICE_NVME_NVME_H

#include "vmm/backend/disk.h"
#include "vmm/device.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/sg.h"

#define NVME_IO_QUEUES 8
#define NVME_QUEUES    (NVME_IO_QUEUES + 1) /* with the admin queue, number 0 */
#define NVME_ENTRIES   1024                 /* of a queue, at most */
#define NVME_REQUESTS  256                  /* commands in work, all queues together */
#define NVME_BLOCK     512u
#define NVME_PAGE      4096u
#define NVME_MDTS      7 /* log2 of the pages that one command moves */
#define NVME_EVENTS    4 /* asynchronous event requests that may wait */
#define NVME_NSID      1u

/* Status: type and code as figures 126 to 130 have them; "do not retry" is bit 14. */
#define NVME_DNR          0x4000
#define NVME_OK           0x000
#define NVME_BAD_OPCODE   (0x001 | NVME_DNR)
#define NVME_BAD_FIELD    (0x002 | NVME_DNR)
#define NVME_BAD_DATA     0x004 /* data transfer error */
#define NVME_INTERNAL     0x006
#define NVME_BAD_NS       (0x00b | NVME_DNR)
#define NVME_BAD_PRP      (0x013 | NVME_DNR)
#define NVME_READ_ONLY    (0x020 | NVME_DNR)
#define NVME_BAD_LBA      (0x080 | NVME_DNR)
#define NVME_BAD_CQ       (0x100 | NVME_DNR)
#define NVME_BAD_QID      (0x101 | NVME_DNR)
#define NVME_BAD_SIZE     (0x102 | NVME_DNR)
#define NVME_TOO_MANY     (0x105 | NVME_DNR)
#define NVME_BAD_VECTOR   (0x108 | NVME_DNR)
#define NVME_BAD_LOG      (0x109 | NVME_DNR)
#define NVME_QUEUE_IN_USE (0x10c | NVME_DNR)
#define NVME_WRITE_FAULT  0x280
#define NVME_READ_FAULT   0x281

/* Submission queue entry (figure 104). */
struct nvme_command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid, reserved[4];
	uint64_t prp[2];
	uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

_Static_assert(sizeof(struct nvme_command) == 64, "figure 104");

/* All that a save holds. Element 0 of the queues is the admin queue. */
struct nvme_hw {
	struct pci_hw pci;
	uint32_t cc, csts, int_mask, aqa;
	uint64_t asq, acq;
	uint32_t events; /* asynchronous event requests that wait */
	uint64_t sq_base[NVME_QUEUES], cq_base[NVME_QUEUES];
	uint32_t sq_size[NVME_QUEUES], cq_size[NVME_QUEUES]; /* entries; 0: no such queue */
	uint32_t sq_head[NVME_QUEUES], sq_tail[NVME_QUEUES], sq_cq[NVME_QUEUES];
	uint32_t cq_head[NVME_QUEUES], cq_tail[NVME_QUEUES], cq_vector[NVME_QUEUES];
	uint8_t cq_phase[NVME_QUEUES], cq_irq[NVME_QUEUES];
};

struct nvme;

struct nvme_request {
	struct nvme *n;
	struct nvme_request *next; /* free list */
	unsigned sq;
	struct nvme_command cmd;
	struct sg sg;
	struct disk_req io;
	void (*then)(struct nvme_request *r, int rc);
	unsigned done; /* ranges of a data set management command */
};

struct nvme {
	struct device dev;
	struct nvme_hw hw;
	struct device_env env;
	struct pci_function fn;
	struct disk *disk;
	char serial[21];
	struct nvme_request *requests, *free;
	unsigned in_work[NVME_QUEUES]; /* requests that will take an entry of this completion queue
					*/
	unsigned long guest_errors;
	uint64_t reads, writes, flushes, read_bytes, written_bytes, io_errors;
};

extern const struct device_ops nvme_ops; /* [serial=TEXT] backend: struct disk */

/* ---- nvme.c -------------------------------------------------------------------------------------
 */

void nvme_complete(struct nvme_request *r, uint16_t status, uint32_t result);
/* The command's data as a list of `len` bytes; `write`: the controller writes there. 0 or a status.
 */
uint16_t nvme_map(struct nvme_request *r, uint64_t len, bool write);
/* Copies a reply to the host and completes the command. */
void nvme_reply(struct nvme_request *r, const void *data, uint64_t len);

/* ---- admin.c, io.c ------------------------------------------------------------------------------
 */

void nvme_admin(struct nvme_request *r);
void nvme_io(struct nvme_request *r);

#endif
