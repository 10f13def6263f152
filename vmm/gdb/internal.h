/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the stub: replies, and what the packets mean. */
#ifndef VMM_GDB_INTERNAL_H
#define VMM_GDB_INTERNAL_H

#include "vmm/gdb/session.h"

/* Each gets what follows the packet's name, `len` bytes with a 0 behind them. */
typedef void gdb_command(struct gdb_session *s, const char *args, size_t len);

void gdb_reply(struct gdb_session *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void gdb_reply_hex(struct gdb_session *s, const void *bytes, size_t len); /* appends */
void gdb_reply_ok(struct gdb_session *s, int rc);                         /* OK, or Exx */
/* A packet of its own, sent at once. */
void gdb_send(struct gdb_session *s, const char *data, size_t len);

/* "-1" and "0" are any vCPU: *cpu stays. false: there is no such thread. */
bool gdb_thread(const struct gdb_session *s, const char **text, unsigned *cpu, bool *all);
/* The current vCPU's state in s->state. */
int gdb_load_state(struct gdb_session *s);

gdb_command gdb_cmd_reason, gdb_cmd_read_all, gdb_cmd_write_all, gdb_cmd_read_reg,
	gdb_cmd_write_reg, gdb_cmd_read_memory, gdb_cmd_write_memory, gdb_cmd_write_binary,
	gdb_cmd_insert, gdb_cmd_remove; /* commands.c */
gdb_command gdb_cmd_continue, gdb_cmd_step, gdb_cmd_continue_signal, gdb_cmd_step_signal,
	gdb_cmd_vcont_query, gdb_cmd_vcont, gdb_cmd_detach, gdb_cmd_kill,
	gdb_cmd_vkill; /* resume.c */
gdb_command gdb_cmd_thread, gdb_cmd_alive, gdb_cmd_supported, gdb_cmd_features, gdb_cmd_threads,
	gdb_cmd_more_threads, gdb_cmd_thread_info, gdb_cmd_current, gdb_cmd_attached,
	gdb_cmd_monitor, gdb_cmd_no_ack; /* query.c */

#endif
