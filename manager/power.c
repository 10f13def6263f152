/* SPDX-License-Identifier: Apache-2.0 */
/* The buttons of running VMs: pause, reset, power, and force. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "manager/control_client.h"
#include "manager/folders.h"
#include "manager/vm.h"
#include "vmm/record.h"

#define STOP_POLL_MS  20
#define FORCE_WAIT_MS 10000 /* then the process is killed */

static bool gone_within(struct manager *m, const char *name, unsigned ms)
{
	const struct timespec poll = {.tv_nsec = STOP_POLL_MS * 1000000};

	for (unsigned waited = 0; manager_alive(m, name); waited += STOP_POLL_MS) {
		if (waited >= ms)
			return false;
		nanosleep(&poll, NULL);
	}
	return true;
}

/* The process is looked up again behind the descriptor: its id cannot be another's by then. */
static int kill_process(struct manager *m, const struct vm_info *vm, struct err *e)
{
	int fd = pidfd_open(vm->pid, 0), rc = 0;
	struct vm_info again;
	struct err none;

	if (fd < 0)
		return errno == ESRCH ? 0 : err_set(e, -errno, "%s: %s", vm->name, strerror(errno));
	if (!manager_find(m, vm->name, &again, &none) && again.pid == vm->pid &&
	    pidfd_send_signal(fd, SIGKILL, NULL, 0))
		rc = err_set(e, -errno, "%s: %s", vm->name, strerror(errno));
	close(fd);
	return rc;
}

/* Who was killed on purpose has not crashed. */
static void record_kill(const struct manager *m, const char *name)
{
	char path[PATH_SIZE];

	if (vm_is_defined(m, name) && !vm_path(m, name, "state.json", path, NULL))
		record_end(path, 128 + SIGKILL, "destroyed", NULL);
}

static int force(struct manager *m, const struct vm_info *vm, struct err *e)
{
	if (!control_call(vm->control, "quit", NULL, NULL, NULL) &&
	    gone_within(m, vm->name, FORCE_WAIT_MS))
		return 0;
	if (kill_process(m, vm, e))
		return e->code;
	if (!gone_within(m, vm->name, FORCE_WAIT_MS))
		return err_set(e, -ETIMEDOUT, "%s: process %d does not end", vm->name,
			       (int)vm->pid);
	record_kill(m, vm->name);
	return 0;
}

static int press_button(struct manager *m, const struct vm_info *vm, unsigned seconds,
			struct err *e)
{
	struct vm_status v;

	if (!vm_look(m, vm->name, &v, e) && v.state == VM_PAUSED)
		return err_set(e, -EBUSY,
			       "%s is paused and cannot react to its power button; resume it, or "
			       "use --force",
			       vm->name);
	if (control_call(vm->control, "power_button", NULL, NULL, e))
		return err_prefix(e, "%s", vm->name);
	if (gone_within(m, vm->name, seconds * 1000))
		return 0;
	return err_set(e, -ETIMEDOUT,
		       "%s still runs after %u s: the guest may not listen to its power button; "
		       "use --force",
		       vm->name, seconds);
}

int vm_stop(struct manager *m, const char *name, unsigned seconds, struct err *e)
{
	struct vm_info vm;

	if (manager_find(m, name, &vm, e))
		return e->code;
	return press_button(m, &vm, seconds, e);
}

int vm_kill(struct manager *m, const char *name, struct err *e)
{
	struct vm_info vm;

	if (manager_find(m, name, &vm, e))
		return e->code;
	return force(m, &vm, e);
}

/* ---- one call each -------------------------------------------------------------------------- */

static int press(struct manager *m, const char *name, const char *method, struct err *e)
{
	struct vm_info vm;

	if (manager_find(m, name, &vm, e))
		return e->code;
	if (control_call(vm.control, method, NULL, NULL, e))
		return err_prefix(e, "%s", vm.name);
	return 0;
}

int vm_pause(struct manager *m, const char *name, struct err *e)
{
	return press(m, name, "pause", e);
}

int vm_resume(struct manager *m, const char *name, struct err *e)
{
	return press(m, name, "resume", e);
}

int vm_reset(struct manager *m, const char *name, struct err *e)
{
	return press(m, name, "reset", e);
}
