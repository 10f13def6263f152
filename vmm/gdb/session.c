/* SPDX-License-Identifier: Apache-2.0 */
/* A session's life: bytes in, packets to their commands, replies and stops out. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/gdb/internal.h"

/* gdb's numbers of signals. */
enum {
	SIGNAL_INT = 2,
	SIGNAL_TRAP = 5,
	SIGNAL_SEGV = 11
};

/* ---- replies -------------------------------------------------------------------------------- */

void gdb_reply(struct gdb_session *s, const char *format, ...)
{
	size_t room = sizeof(s->reply) - s->reply_len;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(s->reply + s->reply_len, room, format, ap);
	va_end(ap);
	if (n > 0)
		s->reply_len += (size_t)n < room ? (size_t)n : room - 1;
}

void gdb_reply_hex(struct gdb_session *s, const void *bytes, size_t len)
{
	if (len > (GDB_PACKET_SIZE - s->reply_len) / 2)
		len = (GDB_PACKET_SIZE - s->reply_len) / 2;
	s->reply_len = (size_t)(gdb_hex_encode(s->reply + s->reply_len, bytes, len) - s->reply);
}

void gdb_reply_ok(struct gdb_session *s, int rc)
{
	if (rc)
		gdb_reply(s, "E%02x", -rc & 0xff);
	else
		gdb_reply(s, "OK");
}

void gdb_send(struct gdb_session *s, const char *data, size_t len)
{
	s->frame_len = gdb_frame(data, len, s->frame);
	s->send(s->send_opaque, s->frame, s->frame_len);
}

static void resend(struct gdb_session *s)
{
	if (s->frame_len && !s->no_ack)
		s->send(s->send_opaque, s->frame, s->frame_len);
}

/* ---- packets -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	gdb_command *fn;
} commands[] = {
	/* a name that begins like another comes before it */
	{"vCont?", gdb_cmd_vcont_query},
	{"vCont", gdb_cmd_vcont},
	{"vKill", gdb_cmd_vkill},
	{"qSupported", gdb_cmd_supported},
	{"qXfer:features:read:", gdb_cmd_features},
	{"qfThreadInfo", gdb_cmd_threads},
	{"qsThreadInfo", gdb_cmd_more_threads},
	{"qThreadExtraInfo,", gdb_cmd_thread_info},
	{"qAttached", gdb_cmd_attached},
	{"qRcmd,", gdb_cmd_monitor},
	{"qC", gdb_cmd_current},
	{"QStartNoAckMode", gdb_cmd_no_ack},
	{"?", gdb_cmd_reason},
	{"g", gdb_cmd_read_all},
	{"G", gdb_cmd_write_all},
	{"p", gdb_cmd_read_reg},
	{"P", gdb_cmd_write_reg},
	{"m", gdb_cmd_read_memory},
	{"M", gdb_cmd_write_memory},
	{"X", gdb_cmd_write_binary},
	{"Z", gdb_cmd_insert},
	{"z", gdb_cmd_remove},
	{"c", gdb_cmd_continue},
	{"C", gdb_cmd_continue_signal},
	{"s", gdb_cmd_step},
	{"S", gdb_cmd_step_signal},
	{"H", gdb_cmd_thread},
	{"T", gdb_cmd_alive},
	{"D", gdb_cmd_detach},
	{"k", gdb_cmd_kill},
};

static void execute(struct gdb_session *s, const char *data, size_t len)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t n = strlen(commands[i].name);

		if (len >= n && !memcmp(data, commands[i].name, n)) {
			commands[i].fn(s, data + n, len - n);
			return;
		}
	}
	/* The empty reply: not understood. */
}

static void handle_packet(struct gdb_session *s)
{
	if (!s->no_ack)
		s->send(s->send_opaque, "+", 1);
	if (s->running) /* nothing but Ctrl-C has a place now */
		return;
	s->reply_len = 0;
	s->no_reply = false;
	execute(s, s->in.data, s->in.len);
	if (!s->no_reply)
		gdb_send(s, s->reply, s->reply_len);
}

static void tell_stop(struct gdb_session *s, unsigned cpu, unsigned signal, const char *why)
{
	s->running = false;
	s->cpu = cpu;
	snprintf(s->reason, sizeof(s->reason), "T%02x%sthread:%x;", signal, why, cpu + 1);
	gdb_send(s, s->reason, strlen(s->reason));
}

static void interrupt(struct gdb_session *s)
{
	if (!s->running)
		return;
	s->target->interrupt(s->target->opaque);
	if (!s->running) /* a stop came first */
		return;
	s->passed = -1;
	tell_stop(s, s->cpu, SIGNAL_INT, "");
}

void gdb_session_input(struct gdb_session *s, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		switch (gdb_read_byte(&s->in, p[i])) {
		case GDB_PACKET:
			handle_packet(s);
			break;
		case GDB_BAD:
			if (!s->no_ack)
				s->send(s->send_opaque, "-", 1);
			break;
		case GDB_NACK:
			resend(s);
			break;
		case GDB_INTERRUPT:
			interrupt(s);
			break;
		case GDB_ACK:
		case GDB_NOTHING:
			break;
		}
	}
}

/* ---- stops ---------------------------------------------------------------------------------- */

static void describe_point(const struct gdb_session *s, const struct engine_stop *stop, char *why,
			   size_t size)
{
	static const char *const names[] = {
		[POINT_WRITE] = "watch", [POINT_READ] = "rwatch", [POINT_ACCESS] = "awatch"};
	const struct gdb_point *b = gdb_point_find(&s->points, stop->addr);

	why[0] = '\0';
	if (stop->kind == POINT_CODE || stop->kind == POINT_INT3) {
		if (b && b->type == GDB_SOFT && s->knows_swbreak)
			snprintf(why, size, "swbreak:;");
		else if (b && b->type == GDB_HARD && s->knows_hwbreak)
			snprintf(why, size, "hwbreak:;");
		return;
	}
	snprintf(why, size, "%s:%llx;", names[stop->kind], (unsigned long long)stop->addr);
}

void gdb_stopped(struct gdb_session *s, unsigned cpu, const struct engine_stop *stop)
{
	char why[40] = "";

	if (!s->running)
		return;
	s->passed = -1;
	if (stop->cause == STOP_POINT) {
		describe_point(s, stop, why, sizeof(why));
		if (stop->kind == POINT_CODE)
			s->passed = (int)cpu;
	}
	tell_stop(s, cpu, stop->cause == STOP_CRASH ? SIGNAL_SEGV : SIGNAL_TRAP, why);
}

void gdb_exited(struct gdb_session *s, int status)
{
	char text[8];

	if (!s->running)
		return;
	s->running = false;
	snprintf(text, sizeof(text), "W%02x", (unsigned)status & 0xff);
	gdb_send(s, text, strlen(text));
}

/* ---- open and close ------------------------------------------------------------------------- */

int gdb_load_state(struct gdb_session *s)
{
	return s->target->get(s->target->opaque, s->cpu, s->state);
}

int gdb_session_open(struct gdb_session **out, const struct gdb_target *target, bool i386,
		     gdb_send_fn *send, void *send_opaque, struct err *e)
{
	struct gdb_session *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "no memory for the debugger");
	s->target = target;
	s->send = send;
	s->send_opaque = send_opaque;
	s->passed = -1;
	s->points.mem = target->mem;
	s->points.max = target->max_points;
	snprintf(s->reason, sizeof(s->reason), "T05thread:1;");
	s->state = aligned_alloc(_Alignof(struct x86_cpu_state), sizeof(*s->state));
	if (!s->state || gdb_regs_init(&s->regs, i386, &target->vectors, e)) {
		gdb_session_close(s);
		return err_set(e, -ENOMEM, "no memory for the debugger");
	}
	*out = s;
	return 0;
}

void gdb_session_close(struct gdb_session *s)
{
	gdb_points_clear(&s->points);
	gdb_regs_fini(&s->regs);
	free(s->state);
	free(s);
}
