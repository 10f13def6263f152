/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may still do in the sandbox: each test in a child, which ends with its answer. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/sandbox/sandbox.h"

#define SKIPPED 99

/* Files of a VM that is kept in `folder`, and a stranger's beside it. */
struct place {
	char folder[32], vm[64], stranger[64], kernel[64], disk[64], record[64], control[64];
	struct spec spec;
};

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->folder, "/tmp/baton-sandbox-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->vm, sizeof(p->vm), "%s/vm", p->folder);
	snprintf(p->stranger, sizeof(p->stranger), "%s/stranger", p->folder);
	snprintf(p->kernel, sizeof(p->kernel), "%s/boot/vmlinuz", p->folder);
	snprintf(p->disk, sizeof(p->disk), "%s/disks/disk.qcow2", p->folder);
	snprintf(p->record, sizeof(p->record), "%s/vm/state.json", p->folder);
	snprintf(p->control, sizeof(p->control), "%s/run/vm.sock", p->folder);
	for (const char **f = (const char *[]){"vm", "boot", "disks", "run", NULL}; *f; f++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", p->folder, *f);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	make_file(p->stranger);
	make_file(p->kernel);
	make_file(p->disk);
	make_file(p->control);
	spec_init(&p->spec);
	p->spec.kernel = strdup(p->kernel);
	p->spec.record = strdup(p->record);
	p->spec.control = strdup(p->control);
	p->spec.ndisks = 1;
	p->spec.disks[0].path = strdup(p->disk);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", p->folder);
	assert_int_equal(system(command), 0);
	spec_free(&p->spec);
	free(p);
	return 0;
}

/* In a child inside the sandbox: `fn` returns 0, or the number of the line that is wrong. */
static int inside(const struct place *p, int (*fn)(const struct place *))
{
	pid_t child = fork();
	struct err e;
	int status;

	if (!child)
		_exit(sandbox_enter(&p->spec, "-", &e) ? SKIPPED : fn(p));
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void expect_good(const struct place *p, int (*fn)(const struct place *))
{
	int status = inside(p, fn);

	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip(); /* this kernel lacks it */
	assert_int_equal(status, 0);
}

/* The step that failed ends the child. */
#define MUST(step, good)               \
	do {                           \
		errno = 0;             \
		if (!(good))           \
			return (step); \
	} while (0)

/* ---- files -------------------------------------------------------------------------------------
 */

static bool can(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool refused(const char *path, int flags)
{
	return !can(path, flags) && errno == EACCES;
}

static int use_own_files(const struct place *p)
{
	char other[128];

	snprintf(other, sizeof(other), "%s.new", p->record);
	MUST(1, can(p->record, O_WRONLY | O_CREAT));
	MUST(2, can(other, O_WRONLY | O_CREAT | O_TRUNC));
	MUST(3, !rename(other, p->record));
	MUST(4, can(p->vm, O_RDONLY | O_DIRECTORY));
	MUST(5, !unlink(p->record));
	return 0;
}

/* Kernel and disk are open since the start; snapshots bring their files along. */
static int use_strange_files(const struct place *p)
{
	char aside[128];

	snprintf(aside, sizeof(aside), "%s.new", p->stranger);
	MUST(1, refused(p->stranger, O_RDONLY));
	MUST(2, refused(p->stranger, O_WRONLY));
	MUST(3, refused("/etc/passwd", O_RDONLY));
	MUST(4, refused("/proc/1/environ", O_RDONLY));
	MUST(5, refused(aside, O_WRONLY | O_CREAT));
	MUST(6, unlink(p->stranger) && errno == EACCES);
	MUST(7, refused(p->kernel, O_RDONLY));
	MUST(8, refused(p->disk, O_RDONLY));
	MUST(9, unlink(p->disk) && errno == EACCES);
	MUST(10, refused(p->folder, O_RDONLY | O_DIRECTORY));
	snprintf(aside, sizeof(aside), "%s/disks/disk.s1.qcow2", p->folder);
	MUST(11, refused(aside, O_RDWR | O_CREAT));
	return 0;
}

/* UEFI's variables among other files: theirs is replaced, no other is read. */
static int store_variables(const struct place *p)
{
	char path[128], aside[160];

	snprintf(path, sizeof(path), "%s/disks/vars", p->folder);
	snprintf(aside, sizeof(aside), "%s.new", path);
	MUST(1, can(aside, O_WRONLY | O_CREAT | O_TRUNC));
	MUST(2, !rename(aside, path));
	MUST(3, can(p->folder, O_PATH));
	MUST(4, refused(p->disk, O_RDONLY));
	MUST(5, refused(p->disk, O_RDWR));
	MUST(6, refused(p->stranger, O_WRONLY));
	return 0;
}

static void set_mode(struct place *p, const char *mode)
{
	free(p->spec.sandbox);
	p->spec.sandbox = strdup(mode);
}

static void its_own_files_are_there(void **state)
{
	struct place *p = *state;

	set_mode(p, "on");
	expect_good(p, use_own_files);
}

static void other_files_are_not(void **state)
{
	struct place *p = *state;

	set_mode(p, "on");
	expect_good(p, use_strange_files);
}

static void variables_lie_among_others(void **state)
{
	struct place *p = *state;

	set_mode(p, "on");
	assert_true(asprintf(&p->spec.nvram, "%s/disks/vars", p->folder) > 0);
	make_file(p->spec.nvram);
	expect_good(p, store_variables);
}

static void variables_lie_where_a_link_leads(void **state)
{
	struct place *p = *state;
	char vars[64];

	set_mode(p, "on");
	snprintf(vars, sizeof(vars), "%s/disks/vars", p->folder);
	make_file(vars);
	assert_true(asprintf(&p->spec.nvram, "%s/boot/vars", p->folder) > 0);
	assert_int_equal(symlink(vars, p->spec.nvram), 0);
	expect_good(p, store_variables);
}

/* Sixteen layers of rules are what a process can have. */
static int use_up_layers(const struct place *p)
{
	struct err e;
	int rc = 0, n;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (n = 0; n < 17 && !rc; n++)
		rc = sandbox_files(&p->spec, "-", &e);
	MUST(1, rc == -EOPNOTSUPP);
	MUST(2, strstr(e.text, "Landlock"));
	return 0;
}

static void no_layer_left_is_no_failure(void **state)
{
	struct place *p = *state;
	int status;

	set_mode(p, "off");
	status = inside(p, use_up_layers);
	assert_int_equal(status, 0);
}

/* Without no_new_privs and without privileges the kernel refuses: that is told. */
static int forget_the_privileges(const struct place *p)
{
	struct err e;
	int rc;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return SKIPPED;
	MUST(1, geteuid() || !setresuid(65534, 65534, 65534));
	rc = sandbox_files(&p->spec, "-", &e);
	if (rc == -EOPNOTSUPP)
		return SKIPPED;
	MUST(2, rc == -EPERM);
	MUST(3, strstr(e.text, "Landlock"));
	return 0;
}

static void a_failure_is_told(void **state)
{
	struct place *p = *state;

	set_mode(p, "off");
	expect_good(p, forget_the_privileges);
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static void *note(void *opaque)
{
	*(int *)opaque = 7;
	return NULL;
}

static int work(const struct place *p)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int ends[2], noted = 0, status, s;
	pthread_t thread;
	pid_t child;

	MUST(1, page != MAP_FAILED && !mprotect(page, 4096, PROT_READ));
	MUST(2, !pthread_create(&thread, NULL, note, &noted) && !pthread_join(thread, NULL));
	MUST(3, noted == 7);
	child = fork();
	if (!child)
		_exit(5);
	MUST(4, waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
	MUST(5, !pipe2(ends, O_CLOEXEC) && write(ends[1], "x", 1) == 1);
	MUST(6, !unlink(p->control));
	strcpy(a.sun_path, p->control); /* nor another VM's, which it could remove, too */
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	MUST(7, s >= 0 && bind(s, (struct sockaddr *)&a, sizeof(a)) && errno == EACCES);
	return 0;
}

static bool denied(long rc)
{
	return rc == -1 && errno == EPERM;
}

static int misuse(const struct place *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)p;
	MUST(1, denied(connect(s, (struct sockaddr *)&a, sizeof(a))));
	MUST(2, denied(sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof(a))));
	MUST(3, denied(socket(AF_INET, SOCK_DGRAM, 0)));
	MUST(4, denied(socket(AF_NETLINK, SOCK_RAW, 0)));
	MUST(5, denied(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
	MUST(6, denied(syscall(SYS_io_uring_setup, 8, NULL)));
	MUST(7, denied(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
	MUST(8, denied(chmod("/tmp", 0777)));
	MUST(9, denied(syscall(SYS_pidfd_open, 1, 0)));
	return 0;
}

static int start_a_program(const struct place *p)
{
	(void)p;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int trace_another(const struct place *p)
{
	(void)p;
	return syscall(SYS_ptrace, 16, getppid(), 0, 0) ? 1 : 2;
}

static void what_a_vm_needs_works(void **state)
{
	expect_good(*state, work);
}

static void what_it_does_not_need_is_denied(void **state)
{
	struct place *p = *state;

	set_mode(p, "on");
	expect_good(p, misuse);
}

static void attacks_end_the_process(void **state)
{
	static int (*const attacks[])(const struct place *) = {start_a_program, trace_another};
	struct place *p = *state;

	set_mode(p, "on");
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		int status = inside(p, attacks[i]);

		if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
			skip();
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void off_is_off(void **state)
{
	struct place *p = *state;

	set_mode(p, "off");
	assert_int_equal(inside(p, start_a_program), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(its_own_files_are_there),     T(other_files_are_not),
		T(variables_lie_among_others),  T(variables_lie_where_a_link_leads),
		T(no_layer_left_is_no_failure), T(a_failure_is_told),
		T(what_a_vm_needs_works),       T(what_it_does_not_need_is_denied),
		T(attacks_end_the_process),     T(off_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
