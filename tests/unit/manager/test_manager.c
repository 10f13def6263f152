/* SPDX-License-Identifier: Apache-2.0 */
/* Names and folders of VMs; a child process plays the VM. */
#include <errno.h>
#include <fcntl.h>
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

#include "manager/manager.h"

struct bench {
	char folder[32];
	struct manager *m;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err e;

	strcpy(b->folder, "/tmp/baton-manager-XXXXXX");
	if (!mkdtemp(b->folder))
		return -1;
	setenv("XDG_STATE_HOME", b->folder, 1);
	setenv("XDG_RUNTIME_DIR", b->folder, 1);
	*state = b;
	return manager_open(&b->m, &e);
}

static int teardown(void **state)
{
	struct bench *b = *state;
	char command[64];
	int rc;

	manager_close(b->m);
	snprintf(command, sizeof(command), "rm -rf %s", b->folder);
	rc = system(command);
	free(b);
	return rc;
}

static void fill(struct spec *s, const char *name)
{
	spec_init(s);
	s->kernel = strdup("k");
	s->name = name ? strdup(name) : NULL;
}

/* A process that registers and lives until it is killed. Returns when it is registered. */
static pid_t start_vm(struct manager *m, const char *name)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct spec s;
		struct err e;
		char *path;
		int lock;

		fill(&s, name);
		if (!manager_register(m, &s, &lock, &e) && !manager_save_spec(m, &s, &path, &e) &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void kill_vm(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int count(void *opaque, const struct vm_info *vm, struct err *e)
{
	(void)vm;
	(void)e;
	++*(int *)opaque;
	return 0;
}

static int running(struct manager *m)
{
	struct err e;
	int n = 0;

	assert_int_equal(manager_each(m, count, &n, &e), 0);
	return n;
}

static void a_running_vm_is_found(void **state)
{
	struct bench *b = *state;
	pid_t pid = start_vm(b->m, "web");
	struct vm_info vm;
	struct spec s;
	struct err e;

	assert_int_equal(manager_find(b->m, "web", &vm, &e), 0);
	assert_int_equal(vm.pid, pid);
	spec_init(&s);
	assert_int_equal(manager_load_spec(&vm, &s, &e), 0);
	assert_string_equal(s.kernel, "k");
	assert_string_equal(s.control, vm.control);
	spec_free(&s);
	assert_int_equal(running(b->m), 1);
	assert_true(manager_alive(b->m, "web"));
	kill_vm(pid);
	assert_false(manager_alive(b->m, "web"));
	assert_int_equal(manager_find(b->m, "web", &vm, &e), -ENOENT);
}

static void what_a_killed_vm_left_is_cleared(void **state)
{
	struct bench *b = *state;
	pid_t pid = start_vm(b->m, "web");
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/baton/vms/web", b->folder);
	assert_int_equal(stat(path, &st), 0);
	kill_vm(pid);
	assert_int_equal(running(b->m), 0);
	assert_int_equal(stat(path, &st), -1);
}

static void a_name_is_taken_while_its_vm_runs(void **state)
{
	struct bench *b = *state;
	pid_t pid = start_vm(b->m, "web");
	struct spec s;
	struct err e;
	int lock;

	fill(&s, "web");
	assert_int_equal(manager_register(b->m, &s, &lock, &e), -EEXIST);
	assert_non_null(strstr(e.text, "web"));
	kill_vm(pid);
	assert_int_equal(manager_register(b->m, &s, &lock, &e), 0);
	manager_unregister(b->m, &s, lock);
	assert_int_equal(running(b->m), 0);
	spec_free(&s);
}

static void names_are_given_to_the_nameless(void **state)
{
	struct bench *b = *state;
	pid_t first = start_vm(b->m, NULL), second = start_vm(b->m, NULL);
	struct vm_info vm;
	struct err e;

	assert_int_equal(manager_find(b->m, "vm-1", &vm, &e), 0);
	assert_int_equal(vm.pid, first);
	assert_int_equal(manager_find(b->m, "vm-2", &vm, &e), 0);
	assert_int_equal(vm.pid, second);
	kill_vm(first);
	kill_vm(second);
}

static void names_cannot_leave_the_folder(void **state)
{
	struct bench *b = *state;
	struct vm_info vm;
	struct err e;

	assert_int_equal(manager_find(b->m, "../vms", &vm, &e), -ENOENT);
	assert_int_equal(manager_find(b->m, "", &vm, &e), -ENOENT);
	assert_int_equal(manager_find(b->m, ".lock", &vm, &e), -ENOENT);
}

static void a_socket_path_that_is_too_long_is_refused(void **state)
{
	struct bench *b = *state;
	char name[64], folder[96];
	struct manager *m;
	struct spec s;
	struct err e;
	int lock;

	snprintf(folder, sizeof(folder), "%s/a-folder-with-a-rather-long-name", b->folder);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	assert_int_equal(manager_open(&m, &e), 0);
	memset(name, 'x', 63);
	name[63] = '\0';
	fill(&s, name);
	assert_int_equal(manager_register(m, &s, &lock, &e), -ENAMETOOLONG);
	assert_int_equal(running(m), 0);
	spec_free(&s);
	manager_close(m);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_running_vm_is_found),
		T(what_a_killed_vm_left_is_cleared),
		T(a_name_is_taken_while_its_vm_runs),
		T(names_are_given_to_the_nameless),
		T(names_cannot_leave_the_folder),
		T(a_socket_path_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
