/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine description: what `baton run`'s options amount to, what baton-vmm reads at start.
 *
 * JSON, for example:
 *   { "version": 1, "name": "demo", "memory": 536870912, "cpus": 1, "engine": "auto",
 *     "cpu_shares": 200, "cpu_cap": 150, "cpu_model": "baseline",
 *     "boot": { "kernel": "vmlinuz", "initrd": "initrd.gz", "append": "console=ttyS0" },
 *      or "boot": { "firmware": "uefi", "nvram": "vars.fd", "order": "cdrom,disk", "menu": true },
 *     "serial": "stdio", "disks": [ { "path": "d.img", "readonly": false, "format": "raw",
 *     "bus": "nvme", "bootindex": 1, "cache": "none", "detect_zeroes": true, "iops": 500,
 *     "bps": 50000000, "burst": 2, "allow_backing": "/srv/images" }, { "path": "x.iso", "media":
 * "cdrom" } ], "nets": [ { "type": "user", "mac": "52:54:00:12:34:56", "forwards": [ "tcp:8080:80"
 * ] } ], "devices": [ { "name": "debug-exit", "port": "0xf4" } ], "reboot": true, "trace": "",
 * "gdb": "1234,wait" } Unknown keys, wrong types and impossible values are errors that name the
 * path of the value.
 */
#ifndef VMM_SPEC_H
#define VMM_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/device.h"

#define SPEC_MAX_DISKS    16
#define SPEC_MAX_NETS     8
#define SPEC_MAX_MODULES  16
#define SPEC_MAX_DEVICES  32
#define SPEC_MAX_FORWARDS 16
#define SPEC_MAX_CPUS     64
#define SPEC_MAX_SHARES   10000
#define SPEC_SHARES       100        /* without another number */
#define SPEC_MAX_FILE     (1u << 20) /* bytes of a description */

struct spec_disk {
	char *path, *format; /* path NULL: a CD-ROM drive without a disc; format NULL: by content */
	char *bus;           /* "virtio", "ahci" or "nvme"; NULL: virtio, for a CD-ROM ahci */
	char *cache; /* "writeback" or "none": past the host's page cache; NULL: writeback */
	char *allow_backing; /* one more folder where its backing files may be; NULL: none */
	bool readonly, cdrom, detect_zeroes;
	int64_t bps, iops, burst; /* see struct disk_options; 0: no limit, burst: 1 second */
	unsigned bootindex; /* firmware tries 1 first; 0: its class decides, see spec.boot_order */
};

struct spec_net {
	char *type;  /* "user", "bridge", "network", "internal"; "none" is no net at all */
	char *name;  /* of the bridge or network; NULL with "user" */
	char *model; /* "virtio" or "e1000"; NULL: virtio */
	unsigned bootindex;
	char *forwards[SPEC_MAX_FORWARDS];
	unsigned nforwards;
	uint8_t mac[6];
	int fd;   /* what the manager hands over: connected stream socket, TAP; -1: none yet */
	int hold; /* the manager's own: keeps a network up while it is open; -1: none */
};

struct spec_device {
	char *name;
	char *key[DEVICE_MAX_PROPS], *value[DEVICE_MAX_PROPS];
	unsigned nprops;
};

struct spec {
	char *name;
	char *uuid;      /* as in RFC 9562, lower case; NULL: none */
	uint64_t memory; /* bytes */
	unsigned cpus;
	unsigned cpu_shares; /* of the host's CPU time, beside others' 100: 1 to 10000 */
	unsigned cpu_cap;    /* percent of one host CPU at most; 0: no limit */
	char *engine, *cpu_model;
	char *kernel, *initrd, *append; /* NULL when absent */
	char *firmware;                 /* "bios", "uefi" or a file; NULL: bios if no kernel */
	char *nvram;                    /* file of UEFI variables; NULL: they end with the VM */
	char *boot_order; /* classes of devices in firmware's order; NULL: "disk,cdrom,net" */
	bool boot_menu;   /* firmware shows its menu for a few seconds */
	char *modules[SPEC_MAX_MODULES]; /* "FILE ARGS" */
	unsigned nmodules;
	char *serial;
	char *display;    /* NULL: vnc with a firmware, else none; see vmm/specdisplay.c */
	char *video_bios; /* NULL: SeaBIOS's, where its package puts it */
	struct spec_disk disks[SPEC_MAX_DISKS];
	unsigned ndisks;
	struct spec_net nets[SPEC_MAX_NETS];
	unsigned nnets;
	struct spec_device devices[SPEC_MAX_DEVICES];
	unsigned ndevices;
	bool reboot;           /* a guest's reset restarts it (default); false: it ends the run */
	char *trace, *control; /* control: path of the control socket, NULL: none */
	char *record;          /* file that receives how the machine ended (vmm/record.h), NULL */
	char *restore;         /* saved state to go on from instead of booting, NULL: none */
	char *pool;    /* folder of images that disks may stand on, besides their own; NULL: none */
	char *sandbox; /* "auto" (NULL), "on", "off": see vmm/sandbox/sandbox.h */
	char *gdb;     /* where a debugger's stub listens (vmm/gdb/address.h), NULL: nowhere */
	bool restore_once; /* its file is removed before the guest runs: it is used up */
};

void spec_init(struct spec *s); /* defaults: 512 MiB, 1 CPU, auto, baseline, serial stdio */
void spec_free(struct spec *s); /* frees the strings */
void spec_default_mac(uint8_t mac[6], unsigned index); /* of a network that names none */
int spec_parse(struct spec *s, const char *json, size_t len, struct err *e);
/* The same from an object that was read already; nothing of it is kept. */
int spec_from_json(struct spec *s, const json_t *root, struct err *e);
/* Take element i out of its list and free it. */
void spec_remove_disk(struct spec *s, unsigned i);
void spec_remove_net(struct spec *s, unsigned i);
void spec_remove_device(struct spec *s, unsigned i);
/* From a file, "-": standard input. */
int spec_load(const char *path, struct spec *s, struct err *e);
/* Pretty JSON, malloc'd, which parses back to the same; NULL when a text is not UTF-8. */
char *spec_print(const struct spec *s);
/* The same as an object, which the caller frees; NULL likewise. */
json_t *spec_to_json(const struct spec *s);
/* What both the command line and a file must fulfil: sizes, counts, exclusive choices. */
int spec_check(const struct spec *s, struct err *e);
const char *spec_display(const struct spec *s); /* with the default in place */
bool spec_has_screen(const struct spec *s);
/* What starts the VM when it is no kernel: "bios", "uefi" or a file; NULL: a kernel does. */
const char *spec_firmware(const struct spec *s);
bool spec_firmware_is_file(const struct spec *s);
/* Place of a class ("disk", "cdrom", "net") in the boot order, -1 if it is not in there. */
int spec_boot_place(const struct spec *s, const char *class);
bool spec_name_ok(const char *name); /* fit for a VM's name and a folder's */
bool spec_uuid_ok(const char *text); /* "8-4-4-4-12" lower-case hexadecimal digits */
/* Its 16 bytes as they are written; zeros without one. */
void spec_uuid(const struct spec *s, uint8_t uuid[16]);
bool spec_forward_ok(const char *text); /* "tcp:[HOST:]HOSTPORT:GUESTPORT" or "udp:..." */
/* In its parts; `host` becomes "" when there is none. IPv6 addresses stand in brackets. */
bool spec_forward_parse(const char *text, char host[64], unsigned *hostport, unsigned *guestport);

#endif
