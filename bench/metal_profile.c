/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin for QEMU's TCG (option -plugin FILE,out=TEXT): how often each block of instructions ran,
 * as lines "address instructions times" at the end. The interface is declared here as far as it is
 * used (version 1); Debian does not package its header.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define ADD    0 /* the one operation that needs no call */
#define BLOCKS (1u << 20)

struct qemu_plugin_tb;
typedef void translated_fn(uint64_t id, struct qemu_plugin_tb *block);
typedef void exit_fn(uint64_t id, void *opaque);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_fn *fn);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int op, void *counter,
					      uint64_t add);
void qemu_plugin_register_atexit_cb(uint64_t id, exit_fn *fn, void *opaque);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static struct block {
	uint64_t address, instructions, times;
} blocks[BLOCKS];
static const char *out;

/* The place of a block, found by its address; one that was translated before has it already. */
static struct block *find(uint64_t address, uint64_t instructions)
{
	uint64_t at = (address * 0x9e3779b97f4a7c15 + instructions) >> 20;

	for (;; at++) {
		struct block *b = &blocks[at % BLOCKS];

		if (!b->instructions)
			*b = (struct block){address, instructions, 0};
		if (b->address == address && b->instructions == instructions)
			return b;
	}
}

static void translated(uint64_t id, struct qemu_plugin_tb *block)
{
	struct block *b = find(qemu_plugin_tb_vaddr(block), qemu_plugin_tb_n_insns(block));

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &b->times, 1);
}

static void write_blocks(uint64_t id, void *opaque)
{
	FILE *f = fopen(out, "w");

	(void)id, (void)opaque;
	for (unsigned i = 0; f && i < BLOCKS; i++) {
		if (blocks[i].times)
			fprintf(f, "%lx %lu %lu\n", blocks[i].address, blocks[i].instructions,
				blocks[i].times);
	}
	if (!f || fclose(f))
		perror(out);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	}
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, write_blocks, NULL);
	return 0;
}
