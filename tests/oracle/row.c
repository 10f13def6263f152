/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case as one line: "code=HEX rax=HEX ... patch@OFFSET=HEX st0=HEX xmm0=HEX ymm0=HEX k1=HEX",
 * fields with their usual value left out, so that what a shrunk case needs is what one reads.
 */
#include "tests/oracle/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const gpr_names[X86_NGPR] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						"rsi", "rdi", "r8",  "r9",  "r10", "r11",
						"r12", "r13", "r14", "r15"};

/* Numbers inside the XSAVE image. */
static const struct {
	const char *name;
	uint16_t at, size;
	uint32_t usual;
} fp_fields[] = {
	{"fcw", FP_FCW, 2, 0x37f},
	{"fsw", FP_FSW, 2, 0},
	{"ftw", FP_FTW, 1, 0},
	{"mxcsr", FP_MXCSR, 4, 0x1f80},
};

/* Registers inside it. */
static const struct {
	const char *name;
	uint16_t at, size, count, stride;
} fp_banks[] = {
	{"st", FP_ST, 10, 8, 16},     {"xmm", FP_XMM, 16, 16, 16}, {"ymm", FP_YMM, 16, 16, 16},
	{"k", FP_K, 8, 8, 8},         {"zmm", FP_ZMM, 32, 16, 32}, /* upper half */
	{"hi", FP_ZMM16, 64, 16, 64},                              /* hi0: ZMM16 */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_zero(const uint8_t *p, unsigned len)
{
	while (len)
		if (p[--len])
			return false;
	return true;
}

static void print_bytes(const uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		printf("%02x", p[i]);
}

void row_print(const struct oracle_case *c)
{
	printf("code=");
	print_bytes(c->code, c->len);
	if (c->mode != X86_MODE_64)
		printf(" mode=%u", c->mode == X86_MODE_32 ? 32 : 16);
	if (c->shift)
		printf(" shift=%x", c->shift);
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (c->gpr[i])
			printf(" %s=%llx", gpr_names[i], (unsigned long long)c->gpr[i]);
	if (c->rflags != 0x202)
		printf(" rflags=%llx", (unsigned long long)c->rflags);
	if (c->fs_base)
		printf(" fs=%llx", (unsigned long long)c->fs_base);
	if (c->gs_base)
		printf(" gs=%llx", (unsigned long long)c->gs_base);
	if (c->target)
		printf(" target=%llx", (unsigned long long)c->target);
	if (c->patch_len) {
		printf(" patch@%x=", c->patch_at);
		print_bytes(c->patch, c->patch_len);
	}
	for (unsigned i = 0; i < COUNT(fp_fields); i++) {
		uint32_t val = 0;

		memcpy(&val, c->fp + fp_fields[i].at, fp_fields[i].size);
		if (val != fp_fields[i].usual)
			printf(" %s=%x", fp_fields[i].name, val);
	}
	for (unsigned i = 0; i < COUNT(fp_banks); i++) {
		for (unsigned n = 0; n < fp_banks[i].count; n++) {
			const uint8_t *p = c->fp + fp_banks[i].at + fp_banks[i].stride * n;

			if (is_zero(p, fp_banks[i].size))
				continue;
			printf(" %s%u=", fp_banks[i].name, n);
			print_bytes(p, fp_banks[i].size);
		}
	}
	putchar('\n');
}

/* ---- reading -------------------------------------------------------------------------------- */

static int parse_bytes(const char *hex, uint8_t *out, unsigned max)
{
	unsigned n = 0, byte;

	for (; *hex && n < max; hex += 2, out[n++] = byte)
		if (sscanf(hex, "%2x", &byte) != 1 || !hex[1])
			return -1;
	return *hex ? -1 : (int)n;
}

static uint64_t *number_field(struct oracle_case *c, const char *name)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (!strcmp(name, gpr_names[i]))
			return &c->gpr[i];
	if (!strcmp(name, "rflags"))
		return &c->rflags;
	if (!strcmp(name, "fs"))
		return &c->fs_base;
	if (!strcmp(name, "gs"))
		return &c->gs_base;
	return strcmp(name, "target") ? NULL : &c->target;
}

static bool parse_fp(struct oracle_case *c, const char *name, const char *val)
{
	for (unsigned i = 0; i < COUNT(fp_fields); i++) {
		uint32_t n = strtoul(val, NULL, 16);

		if (strcmp(name, fp_fields[i].name))
			continue;
		memcpy(c->fp + fp_fields[i].at, &n, fp_fields[i].size);
		return true;
	}
	for (unsigned i = 0; i < COUNT(fp_banks); i++) {
		size_t len = strlen(fp_banks[i].name);
		unsigned n;

		if (strncmp(name, fp_banks[i].name, len) || name[len] < '0' || name[len] > '9')
			continue;
		n = strtoul(name + len, NULL, 10);
		return n < fp_banks[i].count &&
		       parse_bytes(val, c->fp + fp_banks[i].at + fp_banks[i].stride * n,
				   fp_banks[i].size) == fp_banks[i].size;
	}
	return false;
}

static bool parse_field(struct oracle_case *c, char *field)
{
	char *val = strchr(field, '=');
	uint64_t *number;
	int n;

	if (!val)
		return false;
	*val++ = 0;
	number = number_field(c, field);
	if (number) {
		*number = strtoull(val, NULL, 16);
		return true;
	}
	if (!strcmp(field, "code")) {
		n = parse_bytes(val, c->code, CODE_MAX - 16);
		c->len = n;
		return n > 0;
	}
	if (!strcmp(field, "mode")) {
		c->mode = strcmp(val, "32") ? X86_MODE_16 : X86_MODE_32;
		return true;
	}
	if (!strcmp(field, "shift")) {
		c->shift = strtoul(val, NULL, 16) % 2048;
		return true;
	}
	if (!strncmp(field, "patch@", 6)) {
		c->patch_at = strtoul(field + 6, NULL, 16);
		n = parse_bytes(val, c->patch, PATCH_MAX);
		c->patch_len = n;
		return n >= 0 && c->patch_at < WINDOW_SIZE;
	}
	return parse_fp(c, field, val);
}

bool row_parse(const char *line, struct oracle_case *c)
{
	char *copy = strdup(line), *save = NULL;
	bool ok = copy != NULL;

	memset(c, 0, sizeof(*c));
	c->mode = X86_MODE_64;
	c->rflags = 0x202;
	c->fp[FP_BV] = fp_has_avx512() ? 0xe7 : 7;
	for (unsigned i = 0; i < COUNT(fp_fields); i++)
		memcpy(c->fp + fp_fields[i].at, &fp_fields[i].usual, fp_fields[i].size);
	for (char *f = copy ? strtok_r(copy, " \n", &save) : NULL; f && ok;
	     f = strtok_r(NULL, " \n", &save))
		ok = parse_field(c, f);
	free(copy);
	return ok && c->len;
}
