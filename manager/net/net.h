/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of VMs, as the manager makes them.
 *
 *   user           passt (passt.c)
 *   bridge=NAME    a TAP interface in a bridge that the host has already (tap.c)
 *   internal=NAME  a switch of our own that only VMs are joined to (switch.c)
 *   network=NAME   a bridge that we make, with NAT, DHCP and DNS (virtual.c), by its definition
 *                  STATE/networks/NAME.json (netdef.c)
 *
 * The last two need somebody who makes them before the first VM and takes them away after the last:
 * their keeper (keeper.c), a process that is started on demand. A VM holds a connection to it for
 * as long as it lives.
 */
#ifndef MANAGER_NET_NET_H
#define MANAGER_NET_NET_H

#include <netinet/in.h>

#include "base/err.h"
#include "manager/folders.h"
#include "vmm/loop.h"
#include "vmm/spec.h"

/* ---- one VM's end: *fd is kept across exec() ------------------------------------------------- */

/* It ends by itself when the VM's end is closed. */
int net_start_passt(const struct spec_net *n, int *fd, struct err *e);
/* A new TAP interface in that bridge for the card with this address; it is gone when the last copy
 * of *fd is closed. */
int net_open_tap(const char *bridge, const uint8_t mac[6], int *fd, struct err *e);

/* ---- what the host has (tap.c) --------------------------------------------------------------- */

void net_each_bridge(void (*fn)(void *opaque, const char *name), void *opaque);

/* ---- programs of others (program.c) ---------------------------------------------------------- */

/* Where the program finds the descriptor that it was given. */
#define NET_PASSED_FD      3
#define NET_PASSED_FD_TEXT "3"

/*
 * Runs argv[0], found in PATH and the system's folders, to the end of its first process. `input`
 * (NULL: nothing) is its standard input, `fd` (-1: none) its descriptor NET_PASSED_FD. When it
 * fails the error is the last thing it said, or which package to install.
 */
int net_run(char *const argv[], const char *input, int fd, struct err *e);

/* ---- keepers -------------------------------------------------------------------------------- */

struct keeper;

/* What a keeper keeps. Its functions run in the keeper's process. */
struct keeper_kind {
	const char *name; /* in names of sockets and processes */
	int (*up)(struct keeper *k, struct err *e);
	void (*down)(struct keeper *k);
	/* A VM has connected or is gone; `slot` < KEEPER_MAX_VMS. */
	int (*joined)(struct keeper *k, unsigned slot, int fd);
	void (*left)(struct keeper *k, unsigned slot);
};

#define KEEPER_MAX_VMS 64

struct keeper {
	const struct keeper_kind *kind;
	struct manager *manager;
	const char *name; /* of the network */
	struct loop *loop;
	void *opaque; /* the kind's own */
};

extern const struct keeper_kind keeper_internal, keeper_network;

/* Connects to the keeper of that network, which is started if there is none. */
int keeper_join(struct manager *m, const struct keeper_kind *kind, const char *name, int *fd,
		struct err *e);
/* How many VMs use it, from the keeper itself; 0 without a keeper. */
bool keeper_is_up(struct manager *m, const struct keeper_kind *kind, const char *name);
/* For kinds: the VM in this slot has gone, it may be destroyed soon. */
void keeper_leave(struct keeper *k, unsigned slot);

/* ---- virtual networks ----------------------------------------------------------------------- */

#define NETDEF_NAME_MAX 32

struct netdef {
	char name[NETDEF_NAME_MAX + 1];
	char bridge[16];       /* name of the interface */
	struct in_addr subnet; /* network byte order, as are the others */
	unsigned prefix;       /* 16 to 29 */
	bool isolated;         /* no way out: no NAT */
};

/* The host's own address in the network, and the range for guests. */
struct in_addr netdef_host(const struct netdef *d);
struct in_addr netdef_first(const struct netdef *d);
struct in_addr netdef_last(const struct netdef *d);
struct in_addr netdef_mask(const struct netdef *d);

/* Fills `d` for a new network; `subnet` is "10.0.0.0/24", NULL: one that is free. */
int netdef_make(struct manager *m, struct netdef *d, const char *name, const char *subnet,
		struct err *e);
int netdef_load(struct manager *m, const char *name, struct netdef *d, struct err *e);
int netdef_save(struct manager *m, const struct netdef *d, struct err *e); /* -EEXIST */
int netdef_remove(struct manager *m, const char *name, struct err *e);
typedef int netdef_fn(void *opaque, const struct netdef *d, struct err *e);
int netdef_each(struct manager *m, netdef_fn *fn, void *opaque, struct err *e);
/* STATE/networks/NAME.SUFFIX */
int netdef_path(struct manager *m, const char *name, const char *suffix, char out[PATH_SIZE],
		struct err *e);

/* ---- their text (netdef.c) ------------------------------------------------------------------ */

int netdef_parse(struct netdef *d, const char *text, size_t len, struct err *e);
char *netdef_print(const struct netdef *d); /* malloc'd; NULL: no memory */
/* "10.77.0.0/24" */
int netdef_set_subnet(struct netdef *d, const char *text, struct err *e);
bool netdef_overlaps(const struct netdef *d, struct in_addr other, struct in_addr mask);

#endif
