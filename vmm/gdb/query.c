/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the target and the protocol: threads, features, the monitor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/gdb/internal.h"

/* ---- threads -------------------------------------------------------------------------------- */

bool gdb_thread(const struct gdb_session *s, const char **text, unsigned *cpu, bool *all)
{
	uint64_t n;

	*all = false;
	if (!strncmp(*text, "-1", 2)) {
		*text += 2;
		*all = true;
		return true;
	}
	if (!gdb_hex_number(text, &n) || n > s->target->ncpus)
		return false;
	if (n)
		*cpu = (unsigned)n - 1;
	return true;
}

/* "g2": of which vCPU registers and memory are asked; "c2" is vCont's business. */
void gdb_cmd_thread(struct gdb_session *s, const char *args, size_t len)
{
	unsigned cpu = s->cpu;
	const char *text = args + 1;
	bool all;

	if (!len || !gdb_thread(s, &text, &cpu, &all) || *text) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	s->cpu = cpu;
	gdb_reply_ok(s, 0);
}

void gdb_cmd_alive(struct gdb_session *s, const char *args, size_t len)
{
	unsigned cpu = s->cpu;
	bool all;

	(void)len;
	gdb_reply_ok(s, gdb_thread(s, &args, &cpu, &all) ? 0 : -EINVAL);
}

void gdb_cmd_threads(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	for (unsigned i = 0; i < s->target->ncpus; i++)
		gdb_reply(s, "%c%x", i ? ',' : 'm', i + 1);
}

void gdb_cmd_more_threads(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	gdb_reply(s, "l");
}

void gdb_cmd_thread_info(struct gdb_session *s, const char *args, size_t len)
{
	static const char *const activities[] = {"running", "halted", "waits for start-up"};
	unsigned cpu = s->cpu;
	char text[48];
	bool all;

	(void)len;
	if (!gdb_thread(s, &args, &cpu, &all) || s->target->get(s->target->opaque, cpu, s->state) ||
	    s->state->activity >= 3) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	snprintf(text, sizeof(text), "vCPU %u (%s)", cpu, activities[s->state->activity]);
	gdb_reply_hex(s, text, strlen(text));
}

void gdb_cmd_current(struct gdb_session *s, const char *args, size_t len)
{
	(void)args;
	if (!len) /* there are longer names that begin so */
		gdb_reply(s, "QC%x", s->cpu + 1);
}

void gdb_cmd_attached(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	gdb_reply(s, "1");
}

/* ---- the protocol --------------------------------------------------------------------------- */

void gdb_cmd_supported(struct gdb_session *s, const char *args, size_t len)
{
	(void)len;
	s->knows_swbreak = strstr(args, "swbreak+");
	s->knows_hwbreak = strstr(args, "hwbreak+");
	gdb_reply(s,
		  "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;swbreak+;hwbreak+;"
		  "vContSupported+",
		  GDB_PACKET_SIZE);
}

void gdb_cmd_no_ack(struct gdb_session *s, const char *args, size_t len)
{
	(void)args, (void)len;
	s->no_ack = true;
	gdb_reply_ok(s, 0);
}

/* "target.xml:OFFSET,LENGTH": that part of the description, m if there is more and l if not. */
void gdb_cmd_features(struct gdb_session *s, const char *args, size_t args_len)
{
	static const char document[] = "target.xml:";
	uint64_t offset, len, total = strlen(s->regs.xml);

	(void)args_len;
	if (strncmp(args, document, sizeof(document) - 1)) {
		gdb_reply_ok(s, -ENOENT);
		return;
	}
	args += sizeof(document) - 1;
	if (!gdb_hex_number(&args, &offset) || *args++ != ',' || !gdb_hex_number(&args, &len) ||
	    offset > total) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	if (len > GDB_PACKET_SIZE / 2)
		len = GDB_PACKET_SIZE / 2;
	if (len > total - offset)
		len = total - offset;
	gdb_reply(s, "%c%.*s", offset + len < total ? 'm' : 'l', (int)len, s->regs.xml + offset);
}

/* ---- monitor -------------------------------------------------------------------------------- */

/* "O" and text for the console; the reply to the command itself comes behind them. */
static void send_console(struct gdb_session *s, const char *text)
{
	const size_t piece = 1024;

	while (*text) {
		size_t n = strnlen(text, piece);

		s->reply_len = 0;
		gdb_reply(s, "O");
		gdb_reply_hex(s, text, n);
		gdb_send(s, s->reply, s->reply_len);
		text += n;
	}
	s->reply_len = 0;
}

void gdb_cmd_monitor(struct gdb_session *s, const char *args, size_t len)
{
	char line[256], *answer;

	if (len / 2 >= sizeof(line) || !gdb_hex_decode(args, len, line, len / 2)) {
		gdb_reply_ok(s, -EINVAL);
		return;
	}
	line[len / 2] = '\0';
	answer = s->target->monitor(s->target->opaque, line);
	if (answer)
		send_console(s, answer);
	gdb_reply_ok(s, answer ? 0 : -ENOMEM);
	free(answer);
}
