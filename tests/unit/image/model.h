/* SPDX-License-Identifier: Apache-2.0 */
/* A disk beside a model in memory: random requests to both must agree. */
#ifndef TESTS_UNIT_IMAGE_MODEL_H
#define TESTS_UNIT_IMAGE_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "vmm/backend/image/chain.h"

struct model {
	char folder[32];
	struct disk *disk;
	uint8_t *content; /* what the disk must read as */
	uint64_t size;
	uint64_t seed;
	unsigned settled; /* images that were made stable below an overlay */
};

void model_init(struct model *m, uint64_t size, uint64_t seed);
void model_fini(struct model *m); /* closes, removes the folder */
/* Name of a file in the model's folder; good until four more are asked for. */
const char *model_path(const struct model *m, const char *name);
uint64_t model_random(struct model *m, uint64_t below);

void model_create(struct model *m, const char *name, const struct image_create *c);
void model_open(struct model *m, const char *name, const char *format);
void model_close(struct model *m);
/* `n` batches of random requests, several in flight each. */
void model_run(struct model *m, unsigned n);
void model_compare(struct model *m); /* the whole disk */
void model_write(struct model *m, uint64_t offset, uint64_t len, uint8_t byte);
void model_discard(struct model *m, uint64_t offset, uint64_t len);
void model_flush(struct model *m);
/* A new overlay on `below`, which the disk writes; it goes over to it if it is open. */
void model_add_overlay(struct model *m, const char *name, const char *below);
/* No damage, no leaks. The image must be closed. */
void model_check(struct model *m, const char *name);

#endif
