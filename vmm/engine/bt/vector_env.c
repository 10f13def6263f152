/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x87 environment in its four memory formats (Intel SDM volume 1, figures 8-9 to 8-12), and the
 * pointers to the last instruction and operand.
 *
 * What the host records as last instruction is the re-encoded copy, so the guest's own is noted in
 * v->x87 whenever the interpreter runs a non-control instruction, and put into each image.
 * Translated code does not note it: there the image names the last interpreted one.
 */
#include <string.h>

#include "vmm/engine/bt/interp/interp.h"
#include "vmm/engine/bt/vector.h"

#define ENV_HOST 28 /* FNSTENV in 64-bit mode: 32-bit protected format */
#define ST_SIZE  80

static void put16(uint8_t *p, uint16_t val)
{
	memcpy(p, &val, 2);
}

static void put32(uint8_t *p, uint32_t val)
{
	memcpy(p, &val, 4);
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t val;

	memcpy(&val, p, 2);
	return val;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t val;

	memcpy(&val, p, 4);
	return val;
}

void vector_note_x87(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_x87_last *l = &v->x87;

	l->ip = v->rip;
	l->cs = v->seg[X86_CS].selector;
	l->op = (in->opcode & 7) << 8 | in->modrm;
	if (in->modrm >= 0xc0)
		return;
	l->dp = bt_offset(v, in);
	l->ds = v->seg[in->mem.seg].selector;
}

static unsigned env_size(const struct x86_insn *in)
{
	return in->opsize == 2 ? 14 : ENV_HOST;
}

/* Real and V8086 mode: 20-bit (16-bit format) or 32-bit linear pointers instead of far ones. */
static void env_put_real(const struct bt_x87_last *l, bool small, uint8_t *out)
{
	uint32_t ip = (uint32_t)l->ip + ((uint32_t)l->cs << 4);
	uint32_t dp = (uint32_t)l->dp + ((uint32_t)l->ds << 4);

	if (small) {
		put16(out + 6, ip);
		put16(out + 8, (ip >> 16 & 15) << 12 | l->op);
		put16(out + 10, dp);
		put16(out + 12, (dp >> 16 & 15) << 12);
	} else {
		put16(out + 12, ip);
		put32(out + 16, ip >> 16 << 12 | l->op);
		put16(out + 20, dp);
		put32(out + 24, dp >> 16 << 12);
	}
}

static void env_put_protected(const struct bt_x87_last *l, bool small, uint8_t *out)
{
	if (small) {
		put16(out + 6, l->ip);
		put16(out + 8, l->cs);
		put16(out + 10, l->dp);
		put16(out + 12, l->ds);
	} else {
		put32(out + 12, l->ip);
		put32(out + 16, l->cs | (uint32_t)l->op << 16);
		put32(out + 20, l->dp);
		put16(out + 24, l->ds);
	}
}

/* From the host's format to the guest's; returns its size. */
static unsigned env_put(struct bt_vcpu *v, const struct x86_insn *in, const uint8_t *host,
			uint8_t *out)
{
	bool small = in->opsize == 2;

	if (small) {
		for (unsigned i = 0; i < 3; i++)
			memcpy(out + 2 * i, host + 4 * i, 2);
	} else {
		memcpy(out, host, ENV_HOST);
	}
	if (bt_protected(v))
		env_put_protected(&v->x87, small, out);
	else
		env_put_real(&v->x87, small, out);
	return env_size(in);
}

static void env_get_pointers(struct bt_vcpu *v, bool small, const uint8_t *in)
{
	struct bt_x87_last *l = &v->x87;

	if (bt_protected(v) && small)
		*l = (struct bt_x87_last){.ip = get16(in + 6),
					  .cs = get16(in + 8),
					  .dp = get16(in + 10),
					  .ds = get16(in + 12)};
	else if (bt_protected(v))
		*l = (struct bt_x87_last){.ip = get32(in + 12),
					  .cs = get16(in + 16),
					  .op = get16(in + 18) & 0x7ff,
					  .dp = get32(in + 20),
					  .ds = get16(in + 24)};
	else if (small)
		*l = (struct bt_x87_last){.ip = get16(in + 6) | (get16(in + 8) & 0xf000u) << 4,
					  .op = get16(in + 8) & 0x7ff,
					  .dp = get16(in + 10) | (get16(in + 12) & 0xf000u) << 4};
	else
		*l = (struct bt_x87_last){.ip = get16(in + 12) | (get32(in + 16) & 0x0ffff000) << 4,
					  .op = get16(in + 16) & 0x7ff,
					  .dp = get16(in + 20) | (get32(in + 24) & 0x0ffff000)
									 << 4};
}

/* From the guest's format to the host's. */
static void env_get(struct bt_vcpu *v, const struct x86_insn *in, const uint8_t *guest,
		    uint8_t host[ENV_HOST])
{
	unsigned step = in->opsize == 2 ? 2 : 4;

	memset(host, 0, ENV_HOST);
	for (unsigned i = 0; i < 3; i++)
		memcpy(host + 4 * i, guest + step * i, 2);
	env_get_pointers(v, in->opsize == 2, guest);
}

bool vector_fnstenv(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t host[ENV_HOST], out[ENV_HOST];
	gva_t gva;

	if (!vector_address(v, in, env_size(in), 1, BT_WRITE, &gva) ||
	    !vector_probe_write(v, gva, env_size(in)))
		return false;
	__asm__ volatile("fnstenv %0" : "=m"(host));
	return vector_write(v, gva, out, env_put(v, in, host, out));
}

bool vector_fldenv(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t host[ENV_HOST], guest[ENV_HOST];
	gva_t gva;

	if (!vector_address(v, in, env_size(in), 1, BT_READ, &gva) ||
	    !vector_read(v, gva, guest, env_size(in)))
		return false;
	env_get(v, in, guest, host);
	__asm__ volatile("fldenv %0" : : "m"(host));
	return true;
}

bool vector_fnsave(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t host[ENV_HOST + ST_SIZE], out[ENV_HOST + ST_SIZE];
	unsigned size = env_size(in);
	gva_t gva;

	if (!vector_address(v, in, size + ST_SIZE, 1, BT_WRITE, &gva) ||
	    !vector_probe_write(v, gva, size + ST_SIZE))
		return false;
	__asm__ volatile("fnsave %0" : "=m"(host));
	env_put(v, in, host, out);
	memcpy(out + size, host + ENV_HOST, ST_SIZE);
	v->x87 = (struct bt_x87_last){0};
	return vector_write(v, gva, out, size + ST_SIZE);
}

bool vector_frstor(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t host[ENV_HOST + ST_SIZE], guest[ENV_HOST + ST_SIZE];
	unsigned size = env_size(in);
	gva_t gva;

	if (!vector_address(v, in, size + ST_SIZE, 1, BT_READ, &gva) ||
	    !vector_read(v, gva, guest, size + ST_SIZE))
		return false;
	env_get(v, in, guest, host);
	memcpy(host + ENV_HOST, guest + size, ST_SIZE);
	__asm__ volatile("frstor %0" : : "m"(host));
	return true;
}
