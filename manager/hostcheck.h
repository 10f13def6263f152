/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host offers to virtual machines, as findings for people: each comes from a file or a
 * measurement, and what is wrong has a remedy.
 */
#ifndef MANAGER_HOSTCHECK_H
#define MANAGER_HOSTCHECK_H

#include <stdbool.h>

#include "base/err.h"
#include "vmm/engine/kvm/host.h"

enum finding_kind {
	FINDING_GOOD,
	FINDING_NOTE, /* neither good nor bad, or not to be found out */
	FINDING_BAD,
};

struct finding {
	const char *name; /* one word, stable: scripts look for it */
	enum finding_kind kind;
	char text[256];
	char remedy[160]; /* one sentence; "" if nothing is to be done */
};

#define HOST_MAX_FINDINGS 8

struct host_report {
	struct finding finding[HOST_MAX_FINDINGS];
	unsigned n;
	struct kvm_host kvm;
	bool hardware;    /* guests can run on the processor: "auto" takes kvm */
	char advice[256]; /* the sentence that `baton run` prints */
};

/* Measures and looks. `root` goes in front of /proc, /sys and /dev paths: "" except in tests. */
int host_check(struct host_report *r, const char *root, struct err *e);

/* The same with a measurement that was made before (or made up). */
int host_check_with(struct host_report *r, const struct kvm_host *measured, const char *root,
		    struct err *e);

#endif
