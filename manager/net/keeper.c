/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keepers of networks: started with the first VM, gone with the last, whatever way a VM ends.
 *
 *   RUNTIME/net/KIND-NAME.sock   VMs connect here
 *   RUNTIME/net/KIND-NAME.lock   held by who starts or joins, and by a keeper that goes: so none
 *                                joins one that is about to end
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/net/net.h"
#include "vmm/backend/unixsocket.h"

#define BACKLOG  64
#define GRACE_NS 300000000ull /* how long it stays without VMs */

struct place {
	char socket[SOCKET_SIZE], lock[SOCKET_SIZE];
};

/* The keeper's process. */
struct keeping {
	struct keeper k; /* first */
	struct place place;
	int listener;
	pthread_mutex_t mutex;
	struct loop_timer idle;
	unsigned nvms;
	bool used[KEEPER_MAX_VMS], leaving[KEEPER_MAX_VMS];
};

/* ---- places --------------------------------------------------------------------------------- */

static int find_place(const struct manager *m, const struct keeper_kind *kind, const char *name,
		      struct place *p, struct err *e)
{
	char folder[SOCKET_SIZE];
	int n = snprintf(folder, sizeof(folder), "%s/net", m->runtime);

	if (n < 0 || (size_t)n >= sizeof(folder) ||
	    (size_t)snprintf(p->socket, SOCKET_SIZE, "%s/%s-%s.sock", folder, kind->name, name) >=
		    SOCKET_SIZE ||
	    (size_t)snprintf(p->lock, SOCKET_SIZE, "%s/%s-%s.lock", folder, kind->name, name) >=
		    SOCKET_SIZE)
		return err_set(e, -ENAMETOOLONG,
			       "%s/net: too long for a socket's path; set "
			       "XDG_RUNTIME_DIR",
			       m->runtime);
	if (mkdir(folder, 0700) && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", folder, strerror(errno));
	return 0;
}

static int take_lock(const struct place *p, bool wait)
{
	int fd = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int dial(const struct place *p)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0); /* goes along through exec() */

	strcpy(a.sun_path, p->socket);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- the keeper's process ------------------------------------------------------------------- */

static void await_idle(struct keeping *k)
{
	if (!k->nvms)
		loop_timer_set(k->k.loop, &k->idle, loop_now() + GRACE_NS);
}

/* Nobody is there. Who holds the lock is about to connect: then it waits again. */
static void idle(void *opaque)
{
	struct keeping *k = opaque;
	int lock = k->nvms ? -1 : take_lock(&k->place, false);

	if (lock < 0) {
		await_idle(k);
		return;
	}
	unlink(k->place.socket);
	loop_stop(k->k.loop, 0); /* the lock is released when the process has ended */
}

static void remove_gone(void *opaque)
{
	struct keeping *k = opaque;

	for (unsigned i = 0; i < KEEPER_MAX_VMS; i++) {
		if (!k->leaving[i])
			continue;
		k->k.kind->left(&k->k, i);
		k->used[i] = k->leaving[i] = false;
		k->nvms--;
	}
	await_idle(k);
}

void keeper_leave(struct keeper *keeper, unsigned slot)
{
	struct keeping *k = (struct keeping *)keeper;

	k->leaving[slot] = true;
	loop_call(keeper->loop, remove_gone, k);
}

static void arrived(void *opaque, uint32_t events)
{
	struct keeping *k = opaque;
	int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned slot = 0;

	(void)events;
	if (fd < 0)
		return;
	while (slot < KEEPER_MAX_VMS && k->used[slot])
		slot++;
	if (slot == KEEPER_MAX_VMS || k->k.kind->joined(&k->k, slot, fd)) {
		close(fd);
		return;
	}
	k->used[slot] = true;
	k->nvms++;
}

static int open_keeper(struct keeping *k, struct err *e)
{
	pthread_mutex_init(&k->mutex, NULL);
	k->idle = (struct loop_timer){.fn = idle, .opaque = k};
	if (loop_create(&k->k.loop, &k->mutex, e) || k->k.kind->up(&k->k, e))
		return e->code;
	if (unix_listen(k->place.socket, BACKLOG, &k->listener, e)) {
		k->k.kind->down(&k->k);
		return e->code;
	}
	loop_watch(k->k.loop, k->listener, EPOLLIN, arrived, k);
	await_idle(k);
	return 0;
}

/* In the new process: `ready` takes the reason why it cannot be, or is closed. */
static void keep(struct manager *m, const struct keeper_kind *kind, const char *name,
		 const struct place *p, int ready)
{
	struct keeping *k = calloc(1, sizeof(*k));
	char title[16];
	struct err e;

	snprintf(title, sizeof(title), "baton-%.9s", kind->name);
	prctl(PR_SET_NAME, title);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	if (!k)
		_exit(1);
	k->k = (struct keeper){.kind = kind, .manager = m, .name = name};
	k->place = *p;
	if (open_keeper(k, &e)) {
		if (write(ready, e.text, strlen(e.text)) < 0)
			_exit(2);
		_exit(1);
	}
	close(ready);
	loop_run(k->k.loop);
	kind->down(&k->k);
	_exit(0);
}

/* Only the pipe goes along: no lock of the caller stays held. */
static void become_keeper(struct manager *m, const struct keeper_kind *kind, const char *name,
			  const struct place *p, int ready)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (fork())
		_exit(0);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	dup2(ready, 3);
	closefrom(4);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	if (chdir("/"))
		_exit(1);
	keep(m, kind, name, p, 3);
}

/* ---- who wants one -------------------------------------------------------------------------- */

static int start_keeper(struct manager *m, const struct keeper_kind *kind, const char *name,
			const struct place *p, struct err *e)
{
	char why[sizeof(e->text)];
	int ready[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		return err_set(e, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (!pid)
		become_keeper(m, kind, name, p, ready[1]);
	close(ready[1]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	n = pid < 0 ? -1 : read(ready[0], why, sizeof(why) - 1);
	close(ready[0]);
	if (n < 0)
		return err_set(e, -errno, "%s %s: %s", kind->name, name, strerror(errno));
	why[n] = '\0';
	return n ? err_set(e, -EIO, "%s", why) : 0;
}

int keeper_join(struct manager *m, const struct keeper_kind *kind, const char *name, int *fd,
		struct err *e)
{
	struct place p;
	int rc = find_place(m, kind, name, &p, e), lock;

	if (rc)
		return rc;
	lock = take_lock(&p, true);
	if (lock < 0)
		return err_set(e, -errno, "%s: %s", p.lock, strerror(errno));
	*fd = dial(&p);
	if (*fd < 0) {
		rc = start_keeper(m, kind, name, &p, e);
		*fd = rc ? -1 : dial(&p);
		if (!rc && *fd < 0)
			rc = err_set(e, -ECONNREFUSED, "%s %s ended at once", kind->name, name);
	}
	close(lock);
	return rc;
}

bool keeper_is_up(struct manager *m, const struct keeper_kind *kind, const char *name)
{
	struct place p;
	int fd = find_place(m, kind, name, &p, NULL) ? -1 : dial(&p);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
