/* SPDX-License-Identifier: Apache-2.0 */
/* States of VMs that are kept, from lock, record and definition; what holders keep others from. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/vm.h"
#include "vmm/record.h"

struct bench {
	char folder[32];
	struct manager *m;
};

static const uint64_t no_disks[SPEC_MAX_DISKS];

static void create(struct manager *m, const char *name)
{
	struct definition d;
	struct err e;

	definition_init(&d);
	d.machine.kernel = strdup("/k");
	assert_int_equal(vm_create(m, name, &d, no_disks, &e), 0);
	definition_free(&d);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err e;

	strcpy(b->folder, "/tmp/baton-states-XXXXXX");
	if (!mkdtemp(b->folder))
		return -1;
	setenv("XDG_STATE_HOME", b->folder, 1);
	setenv("XDG_RUNTIME_DIR", b->folder, 1);
	*state = b;
	if (manager_open(&b->m, &e))
		return -1;
	create(b->m, "web");
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	struct err e;

	manager_close(b->m);
	file_remove_tree(b->folder, &e);
	free(b);
	return 0;
}

static void write_state(struct manager *m, const char *text)
{
	char path[512];
	struct err e;

	assert_int_equal(vm_file(m, "web", "state.json", path, &e), 0);
	assert_int_equal(file_replace(path, text, strlen(text), &e), 0);
}

static struct vm_status look(struct manager *m)
{
	struct vm_status v;
	struct err e;

	assert_int_equal(vm_look(m, "web", &v, &e), 0);
	return v;
}

static void records_tell_the_state(void **state)
{
	static const struct {
		const char *record, *reason;
		enum vm_state state;
		int exit_status;
	} rows[] = {
		{"{\"state\":\"shut off\",\"reason\":\"shutdown\",\"exit_status\":0}", "shutdown",
		 VM_SHUT_OFF, 0},
		{"{\"state\":\"running\",\"reason\":\"booted\"}", "killed", VM_CRASHED, -1},
		{"{\"state\":\"paused\",\"reason\":\"user\"}", "killed", VM_CRASHED, -1},
		{"{\"state\":\"crashed\",\"reason\":\"triple fault\",\"exit_status\":3}",
		 "triple fault", VM_CRASHED, 3},
		{"{\"state\":\"dancing\",\"reason\":\"fun\"}", "fun", VM_SHUT_OFF, -1},
		{"{\"state\":5,\"reason\":[],\"exit_status\":\"x\"}", "", VM_SHUT_OFF, -1},
		{"rubbish", "", VM_SHUT_OFF, -1},
	};
	struct manager *m = ((struct bench *)*state)->m;

	assert_int_equal(look(m).state, VM_SHUT_OFF);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vm_status v;

		write_state(m, rows[i].record);
		v = look(m);
		assert_int_equal(v.state, rows[i].state);
		assert_string_equal(v.reason, rows[i].reason);
		assert_int_equal(v.exit_status, rows[i].exit_status);
		assert_true(v.persistent);
		assert_int_equal(v.pid, 0);
	}
}

static void the_end_is_recorded(void **state)
{
	struct manager *m = ((struct bench *)*state)->m;
	char path[512];
	struct err e;

	write_state(m, "{\"state\":\"running\",\"reason\":\"booted\",\"id\":7}");
	assert_int_equal(vm_file(m, "web", "state.json", path, &e), 0);
	assert_int_equal(record_end(path, 3, NULL, &e), 0);
	assert_int_equal(look(m).state, VM_CRASHED);
	assert_string_equal(look(m).reason, "triple fault");
	assert_int_equal(record_end(path, 0, "destroyed", &e), 0);
	assert_int_equal(look(m).state, VM_SHUT_OFF);
	assert_string_equal(look(m).reason, "destroyed");
	assert_true(look(m).since > 0);
}

/* While somebody works on a VM everything that would change it is refused, and says by whom. */
static void a_holder_keeps_others_away(void **state)
{
	struct manager *m = ((struct bench *)*state)->m;
	struct definition d;
	char resolved[64];
	struct err e;
	int fd;

	assert_int_equal(manager_lock(m, &e), 0);
	assert_int_equal(holder_take(m, "web", "snapshot", &fd, &e), 0);
	manager_unlock(m);
	assert_string_equal(look(m).busy, "snapshot");
	assert_int_equal(look(m).pid, 0);
	assert_int_equal(vm_start(m, "web", &e), -EBUSY);
	assert_non_null(strstr(e.text, "snapshot"));
	assert_int_equal(vm_delete(m, "web", true, NULL, NULL, &e), -EBUSY);
	assert_int_equal(vm_rename(m, "web", "www", &e), -EBUSY);
	assert_int_equal(vm_clone(m, "web", "www", false, NULL, NULL, &e), -EBUSY);
	definition_init(&d);
	assert_int_equal(vm_begin(m, "web", resolved, &d, &e), -EBUSY);
	definition_free(&d);
	close(fd);
	assert_string_equal(look(m).busy, "");
	assert_int_equal(vm_rename(m, "web", "www", &e), 0);
}

/* The lock is the child's as well: it stays held until both are gone. */
static void a_child_holds_on(void **state)
{
	struct manager *m = ((struct bench *)*state)->m;
	struct holder h;
	struct err e;
	pid_t child;
	int fd;

	assert_int_equal(manager_lock(m, &e), 0);
	assert_int_equal(holder_take(m, "web", "run", &fd, &e), 0);
	manager_unlock(m);
	child = fork();
	if (!child) {
		holder_become(fd, getpid(), "run");
		pause();
	}
	close(fd);
	do
		holder_find(m, "web", &h);
	while (h.pid != child);
	assert_true(manager_alive(m, "web"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(manager_alive(m, "web"));
}

static void what_was_being_made_or_removed_goes(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = {".new-x", ".old-x", "leftover"};
	char path[128];
	struct stat st;
	struct err e;

	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/baton/vms/%s", b->folder, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		strcat(path, "/spec.json");
		assert_int_equal(file_replace(path, "{}", 2, &e), 0);
	}
	assert_int_equal(manager_lock(b->m, &e), 0);
	manager_unlock(b->m);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/baton/vms/%s", b->folder, names[i]);
		assert_int_equal(stat(path, &st), -1);
	}
	assert_int_equal(look(b->m).state, VM_SHUT_OFF);
}

/* Without its definition a folder is no VM, but a disk in it may be all that somebody has. */
static void a_disk_without_definition_stays(void **state)
{
	struct bench *b = *state;
	char path[128];
	struct stat st;
	struct err e;

	snprintf(path, sizeof(path), "%s/baton/vms/web/disk0.raw", b->folder);
	assert_int_equal(file_replace(path, "data", 4, &e), 0);
	strcpy(strrchr(path, '/'), "/vm.json");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(manager_lock(b->m, &e), 0);
	manager_unlock(b->m);
	strcpy(strrchr(path, '/'), "/disk0.raw");
	assert_int_equal(stat(path, &st), 0);
}

static void a_link_in_the_way_is_not_followed(void **state)
{
	struct bench *b = *state;
	char path[128], target[64];
	struct stat st;
	struct err e;

	snprintf(target, sizeof(target), "%s/precious", b->folder);
	assert_int_equal(mkdir(target, 0700), 0);
	snprintf(path, sizeof(path), "%s/baton/vms/web/link", b->folder);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(vm_delete(b->m, "web", true, NULL, NULL, &e), 0);
	assert_int_equal(stat(target, &st), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(records_tell_the_state),
		T(the_end_is_recorded),
		T(a_holder_keeps_others_away),
		T(a_child_holds_on),
		T(what_was_being_made_or_removed_goes),
		T(a_disk_without_definition_stays),
		T(a_link_in_the_way_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
