/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on what stands still: registers, memory, breakpoints. */
#include <errno.h>
#include <string.h>

#include "vmm/gdb/internal.h"
#include "vmm/gdb/memory.h"

void gdb_cmd_reason(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	gdb_reply(s, "%s", s->reason);
}

/* ---- registers ------------------------------------------------------------------------------ */

void gdb_cmd_read_all(struct gdb_session *s, const char *args, size_t len)
{
	uint8_t bytes[GDB_MAX_REG_BYTES];
	int rc = gdb_load_state(s);

	(void)args, (void)len;
	if (rc) {
		gdb_reply_ok(s, rc);
		return;
	}
	for (unsigned i = 0; i < s->regs.n; i++)
		gdb_reply_hex(s, bytes, gdb_reg_get(&s->regs.reg[i], s->state, bytes));
}

static int store_state(struct gdb_session *s)
{
	return s->target->set(s->target->opaque, s->cpu, s->state);
}

/* gdb may send fewer registers than there are. */
void gdb_cmd_write_all(struct gdb_session *s, const char *args, size_t len)
{
	uint8_t bytes[GDB_MAX_REG_BYTES];
	int rc = gdb_load_state(s);

	for (unsigned i = 0; i < s->regs.n && len && !rc; i++) {
		size_t size = s->regs.reg[i].bits / 8;

		if (len < 2 * size || !gdb_hex_decode(args, 2 * size, bytes, size)) {
			rc = -EINVAL;
			break;
		}
		gdb_reg_set(&s->regs.reg[i], s->state, bytes);
		args += 2 * size;
		len -= 2 * size;
	}
	gdb_reply_ok(s, rc ? rc : store_state(s));
}

static const struct gdb_reg *find_reg(const struct gdb_session *s, const char **args)
{
	uint64_t n;

	if (!gdb_hex_number(args, &n) || n >= s->regs.n)
		return NULL;
	return &s->regs.reg[n];
}

void gdb_cmd_read_reg(struct gdb_session *s, const char *args, size_t len)
{
	const struct gdb_reg *r = find_reg(s, &args);
	uint8_t bytes[GDB_MAX_REG_BYTES];
	int rc = r ? gdb_load_state(s) : -EINVAL;

	(void)len;
	if (rc)
		gdb_reply_ok(s, rc);
	else
		gdb_reply_hex(s, bytes, gdb_reg_get(r, s->state, bytes));
}

void gdb_cmd_write_reg(struct gdb_session *s, const char *args, size_t len)
{
	const char *end = args + len;
	const struct gdb_reg *r = find_reg(s, &args);
	uint8_t bytes[GDB_MAX_REG_BYTES];
	int rc = r ? gdb_load_state(s) : -EINVAL;

	if (!rc && (*args != '=' ||
		    !gdb_hex_decode(args + 1, (size_t)(end - args - 1), bytes, r->bits / 8)))
		rc = -EINVAL;
	if (!rc) {
		gdb_reg_set(r, s->state, bytes);
		rc = store_state(s);
	}
	gdb_reply_ok(s, rc);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* "ADDR,LENGTH" with `end` behind it; moves *args behind that. */
static bool parse_range(const char **args, char end, uint64_t *addr, uint64_t *len)
{
	if (!gdb_hex_number(args, addr) || *(*args)++ != ',' || !gdb_hex_number(args, len) ||
	    **args != end)
		return false;
	*args += end != '\0';
	return *len <= GDB_PACKET_SIZE / 2;
}

void gdb_cmd_read_memory(struct gdb_session *s, const char *args, size_t args_len)
{
	uint8_t buf[GDB_PACKET_SIZE / 2];
	uint64_t gva, len;

	(void)args_len;
	if (!parse_range(&args, '\0', &gva, &len) || gdb_load_state(s)) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	len = gdb_memory_read(s->target->mem, s->state, gva, buf, len);
	gdb_points_hide(&s->points, gva, buf, len);
	if (len)
		gdb_reply_hex(s, buf, len);
	else
		gdb_reply_ok(s, -EFAULT);
}

static void write_memory(struct gdb_session *s, uint64_t gva, uint8_t *buf, uint64_t len)
{
	uint8_t probe[1];

	/* Nothing is taken for an original that then cannot be written. */
	if (len && gdb_memory_read(s->target->mem, s->state, gva + len - 1, probe, 1) != 1) {
		gdb_reply_ok(s, -EFAULT);
		return;
	}
	gdb_points_keep(&s->points, gva, buf, len);
	gdb_reply_ok(s, gdb_memory_write(s->target->mem, s->state, gva, buf, len) == len ? 0
											 : -EFAULT);
}

void gdb_cmd_write_memory(struct gdb_session *s, const char *args, size_t args_len)
{
	const char *end = args + args_len;
	uint8_t buf[GDB_PACKET_SIZE / 2];
	uint64_t gva, len;

	if (!parse_range(&args, ':', &gva, &len) ||
	    !gdb_hex_decode(args, (size_t)(end - args), buf, len) || gdb_load_state(s))
		gdb_reply_ok(s, -EINVAL);
	else
		write_memory(s, gva, buf, len);
}

void gdb_cmd_write_binary(struct gdb_session *s, const char *args, size_t args_len)
{
	const char *end = args + args_len;
	uint8_t buf[GDB_PACKET_SIZE / 2];
	uint64_t gva, len;

	if (!parse_range(&args, ':', &gva, &len) || (uint64_t)(end - args) != len ||
	    gdb_load_state(s)) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	memcpy(buf, args, len);
	write_memory(s, gva, buf, len);
}

/* ---- breakpoints ---------------------------------------------------------------------------- */

/* "TYPE,ADDR,LENGTH"; what follows (conditions, commands) was not offered. */
static bool parse_point(const char *args, uint64_t *type, uint64_t *addr, uint64_t *len)
{
	if (!gdb_hex_number(&args, type) || *args++ != ',' || !gdb_hex_number(&args, addr) ||
	    *args++ != ',' || !gdb_hex_number(&args, len))
		return false;
	return *len <= UINT32_MAX && (!*args || *args == ';');
}

void gdb_cmd_insert(struct gdb_session *s, const char *args, size_t args_len)
{
	uint64_t type, addr, len;
	int rc;

	(void)args_len;
	if (!parse_point(args, &type, &addr, &len)) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	if (type >= GDB_NTYPES)
		return;
	rc = gdb_load_state(s);
	gdb_reply_ok(s, rc ? rc
			   : gdb_point_insert(&s->points, s->state, (enum gdb_point_type)type, addr,
					      (uint32_t)len));
}

void gdb_cmd_remove(struct gdb_session *s, const char *args, size_t args_len)
{
	uint64_t type, addr, len;

	(void)args_len;
	if (!parse_point(args, &type, &addr, &len))
		gdb_reply_ok(s, -EINVAL);
	else if (type < GDB_NTYPES)
		gdb_reply_ok(s, gdb_point_remove(&s->points, (enum gdb_point_type)type, addr,
						 (uint32_t)len));
}
