/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the process of a VM that is kept, in the background, and waits until it answers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/control_client.h"
#include "manager/folders.h"
#include "manager/pool.h"
#include "manager/snapshot.h"
#include "manager/vm.h"
#include "vmm/record.h"

#define START_TIMEOUT_S 60
#define START_POLL_MS   5
#define LOG_MAX         (4 << 20) /* a longer log is set aside as log.old at the next start */

/* What a start works with; freed by close_start(). */
struct start {
	struct manager *m;
	const char *name;
	struct spec spec;
	char folder[PATH_SIZE], control[SOCKET_SIZE];
	char *vmm, *spec_path;
	unsigned long id;
	int lock, log; /* -1: not open */
};

/* ---- the description ------------------------------------------------------------------------ */

/* The machine of the definition, owned by `s` afterwards. */
static int load_machine(struct start *s, struct err *e)
{
	struct definition d;
	int rc;

	definition_init(&d);
	rc = vm_load(s->m, s->name, &d, e);
	spec_free(&s->spec);
	s->spec = d.machine;
	memset(&d.machine, 0, sizeof(d.machine));
	definition_free(&d);
	return rc;
}

static int set_text(char **field, const char *prefix, const char *text, struct err *e)
{
	free(*field);
	if (asprintf(field, "%s%s", prefix, text) >= 0)
		return 0;
	*field = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

/* A process in the background has no terminal: its serial port is the console's socket. */
static int set_serial(struct start *s, struct err *e)
{
	char path[SOCKET_SIZE];

	if (strcmp(s->spec.serial, "stdio"))
		return 0;
	if (vm_socket(s->m, s->name, "tty", path, e))
		return e->code;
	return set_text(&s->spec.serial, "unix:", path, e);
}

static int set_nvram(struct start *s, struct err *e)
{
	char path[PATH_SIZE];

	if (vm_variables(s->m, s->name, &s->spec, path, e))
		return e->code;
	if (!*path)
		return 0;
	return set_text(&s->spec.nvram, "", path, e);
}

static int complete_spec(struct start *s, struct err *e)
{
	char record[PATH_SIZE], pool[PATH_SIZE];

	if (pool_path(s->m, "", pool, e) || vm_socket(s->m, s->name, "sock", s->control, e) ||
	    vm_path(s->m, s->name, "state.json", record, e) || set_serial(s, e) ||
	    set_nvram(s, e) || set_text(&s->spec.name, "", s->name, e) ||
	    set_text(&s->spec.control, "", s->control, e) ||
	    set_text(&s->spec.record, "", record, e) || set_text(&s->spec.pool, "", pool, e))
		return e->code;
	return 0;
}

/* ---- the log -------------------------------------------------------------------------------- */

static int open_log(struct start *s, struct err *e)
{
	char path[PATH_SIZE], old[PATH_SIZE], when[32];
	time_t now = time(NULL);
	struct stat st;
	struct tm tm;

	if (vm_path(s->m, s->name, "log", path, e) || vm_path(s->m, s->name, "log.old", old, e))
		return e->code;
	if (!stat(path, &st) && st.st_size > LOG_MAX)
		rename(path, old);
	s->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->log < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	strftime(when, sizeof(when), "%FT%TZ", gmtime_r(&now, &tm));
	dprintf(s->log, "--- start at %s\n", when);
	return 0;
}

/* The last line that the process wrote, without its program's name. */
static void last_line(const struct start *s, char *out, size_t size)
{
	char path[PATH_SIZE], text[1024], *line = text, *end;
	ssize_t n = -1;
	struct stat st;
	int fd;

	*out = '\0';
	if (vm_path(s->m, s->name, "log", path, NULL))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!fstat(fd, &st))
		n = pread(fd, text, sizeof(text) - 1, st.st_size > 1023 ? st.st_size - 1023 : 0);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = '\0';
	if (strrchr(text, '\n'))
		line = strrchr(text, '\n') + 1;
	snprintf(out, size, "%s", strncmp(line, "baton: ", 7) ? line : line + 7);
}

/* ---- the process ---------------------------------------------------------------------------- */

static void keep_file(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

/* The lock, the networks' sockets and what keeps networks up go along through exec(), and nothing
 * else that is open here. */
static void select_files(const struct start *s)
{
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	keep_file(s->lock);
	for (unsigned i = 0; i < s->spec.nnets; i++) {
		keep_file(s->spec.nets[i].fd);
		keep_file(s->spec.nets[i].hold);
	}
}

/* In the child. */
static void become_vm(const struct start *s)
{
	int null = open("/dev/null", O_RDONLY);
	struct err e;

	setsid();
	if (holder_become(s->lock, getpid(), HOLD_RUN) || chdir(s->folder) || null < 0)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(s->log, STDOUT_FILENO);
	dup2(s->log, STDERR_FILENO);
	close(null);
	if (manager_limit_cpu(&s->spec, &e) || manager_limit_memory(&s->spec, &e)) {
		dprintf(STDERR_FILENO, "baton: %s\n", e.text);
		_exit(127);
	}
	select_files(s);
	execl(s->vmm, "baton-vmm", s->spec_path, (char *)NULL);
	dprintf(STDERR_FILENO, "baton: %s: %s\n", s->vmm, strerror(errno));
	_exit(127);
}

static int ended(const struct start *s, struct err *e)
{
	char why[300];

	last_line(s, why, sizeof(why));
	if (!s->spec.restore)
		return err_set(e, -ECHILD, "%s did not start: %s", s->name, why);
	return err_set(e, -ECHILD,
		       "%s did not start: %s; or boot it anew: baton start %s --discard-saved",
		       s->name, why, s->name);
}

/* A machine without much to do may end before it is ever seen: that is no failure. */
static int wait_up(const struct start *s, pid_t pid, struct err *e)
{
	const struct timespec poll = {.tv_nsec = START_POLL_MS * 1000000};
	int status;

	for (unsigned ms = 0; ms < START_TIMEOUT_S * 1000; ms += START_POLL_MS) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (WIFEXITED(status) && !WEXITSTATUS(status))
				return 0;
			return ended(s, e);
		}
		if (!control_call(s->control, "status", NULL, NULL, NULL))
			return 0;
		nanosleep(&poll, NULL);
	}
	return err_set(e, -ETIMEDOUT, "%s does not answer after %d s; see `baton log %s`", s->name,
		       START_TIMEOUT_S, s->name);
}

static int launch(const struct start *s, pid_t *pid, struct err *e)
{
	*pid = fork();
	if (!*pid)
		become_vm(s);
	/* Who looks from now on finds the VM running, and does not take this command for it. */
	if (*pid > 0)
		holder_become(s->lock, *pid, HOLD_RUN);
	return *pid < 0 ? err_set(e, -errno, "fork: %s", strerror(errno)) : 0;
}

/* Goes on from a saved state, which the process removes when it has taken it over. */
static int set_restore(struct start *s, struct err *e)
{
	char path[PATH_SIZE];

	if (vm_path(s->m, s->name, VM_SAVED_STATE, path, e))
		return e->code;
	if (access(path, F_OK))
		return 0;
	s->spec.restore_once = true;
	return set_text(&s->spec.restore, "", path, e);
}

static int prepare(struct start *s, struct err *e)
{
	if (open_log(s, e) || load_machine(s, e) || complete_spec(s, e) || set_restore(s, e) ||
	    manager_check_files(&s->spec, e) || manager_find_vmm(&s->vmm, e) ||
	    manager_start_nets(s->m, &s->spec, e) ||
	    manager_save_spec(s->m, &s->spec, &s->spec_path, e))
		return e->code;
	return run_record(s->m, s->name, s->id, &s->spec, e);
}

static void close_start(struct start *s)
{
	manager_close_nets(&s->spec);
	spec_free(&s->spec);
	free(s->vmm);
	free(s->spec_path);
	if (s->log >= 0)
		close(s->log);
	if (s->lock >= 0)
		close(s->lock);
}

static int refuse_start(const struct manager *m, const char *name, struct err *e)
{
	struct holder h;

	holder_find(m, name, &h);
	if (h.pid && !strcmp(h.what, HOLD_RUN))
		return err_set(e, -EALREADY, "%s is running already", name);
	if (h.pid && !strcmp(h.what, HOLD_START))
		return err_set(e, -EALREADY, "%s is starting already", name);
	return 0;
}

/* Of several starts at once one gets the VM. Global lock held. */
static int hold_locked(struct start *s, struct err *e)
{
	if (refuse_start(s->m, s->name, e) || vm_path(s->m, s->name, "", s->folder, e))
		return e->code;
	if (!vm_is_defined(s->m, s->name))
		return err_set(e, -ENOENT, "%s is gone", s->name);
	s->id = run_next_id(s->m);
	return holder_take(s->m, s->name, HOLD_START, &s->lock, e);
}

static int hold(struct start *s, struct err *e)
{
	int rc = manager_lock(s->m, e);

	if (rc)
		return rc;
	rc = hold_locked(s, e);
	manager_unlock(s->m);
	return rc;
}

/* From here to its end the process holds the VM; this command's hold on it goes. */
static int run(struct start *s, struct err *e)
{
	pid_t pid = 0;

	if (prepare(s, e) || launch(s, &pid, e)) {
		if (s->log >= 0)
			dprintf(s->log, "baton: %s\n", e->text);
		return err_prefix(e, "%s", s->name);
	}
	manager_close_nets(&s->spec);
	close(s->lock);
	s->lock = -1;
	return wait_up(s, pid, e);
}

int vm_start(struct manager *m, const char *name, struct err *e)
{
	struct start s = {.m = m, .lock = -1, .log = -1};
	char resolved[64];
	int rc = vm_resolve(m, name, resolved, e);

	s.name = resolved;
	if (!rc)
		rc = snapshot_settle(m, resolved, e);
	if (!rc)
		rc = hold(&s, e);
	if (!rc)
		rc = run(&s, e);
	close_start(&s);
	return rc;
}
