/* SPDX-License-Identifier: Apache-2.0 */
/* Flash content in a file: see nvram.h. */
#include "vmm/backend/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"

#define SIZE_MAX_FLASH (16 * MIB)
#define STORE_DELAY_NS 200000000ull /* one store for the burst of writes that a variable takes */

#define LOOK_NS 20000000ull /* whether a store is done */

/* One content on its way to the file, by a thread of its own: the disk is not waited for. */
struct store {
	pthread_t thread;
	bool under_way; /* the thread is to be joined */
	atomic_bool done;
	uint8_t *data;
	int fd; /* replace()'s, when it is done */
};

struct nvram {
	char *path; /* NULL: volatile */
	int fd;     /* holds the lock on the file; -1: volatile */
	uint8_t *data;
	uint64_t size;
	struct loop *loop;
	struct loop_timer timer;
	bool dirty; /* since the last store began */
	struct store store;
};

uint64_t nvram_size(const struct nvram *n)
{
	return n->size;
}

uint8_t *nvram_data(const struct nvram *n)
{
	return n->data;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_all(int fd, uint8_t *to, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t got = read(fd, to + done, len - done);

		if (got <= 0)
			return got ? -errno : -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

static int load(struct nvram *n, int fd, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return err_set(e, -errno, "nvram %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > SIZE_MAX_FLASH ||
	    st.st_size % 4096)
		return err_set(e, -EINVAL,
			       "nvram %s: not a flash image: its size must be a multiple of 4 KiB, "
			       "at most 16 MiB",
			       path);
	n->size = (uint64_t)st.st_size;
	n->data = malloc(n->size);
	if (!n->data)
		return err_set(e, -ENOMEM, "nvram: out of memory");
	rc = read_all(fd, n->data, n->size);
	return rc ? err_set(e, rc, "nvram %s: %s", path, strerror(-rc)) : 0;
}

static int load_fresh(struct nvram *n, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_set(e, -errno, "nvram: %s: %s", path, strerror(errno));
	rc = load(n, fd, path, e);
	close(fd);
	return rc;
}

/* ---- storing -------------------------------------------------------------------------------- */

static int write_all(int fd, const uint8_t *from, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		ssize_t put = write(fd, from + done, len - done);

		if (put < 0)
			return -errno;
		done += (uint64_t)put;
	}
	return fsync(fd) ? -errno : 0;
}

static void sync_folder_of(const char *path)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	int fd;

	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* The new file is locked before it has the name: nobody gets in between. */
static int write_aside(const char *aside, const char *path, const uint8_t *data, uint64_t size)
{
	int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		rc = -errno;
	if (!rc)
		rc = write_all(fd, data, size);
	if (!rc && rename(aside, path))
		rc = -errno;
	if (rc && fd >= 0) {
		unlink(aside);
		close(fd);
	}
	if (!rc)
		sync_folder_of(path);
	return rc ? rc : fd;
}

/* The new file's descriptor, or a negative errno. */
static int replace(const char *path, const uint8_t *data, uint64_t size)
{
	char *aside;
	int fd;

	if (asprintf(&aside, "%s.new", path) < 0)
		return -ENOMEM;
	fd = write_aside(aside, path, data, size);
	free(aside);
	return fd;
}

/* `fd` is replace()'s. */
static int take_file(struct nvram *n, int fd)
{
	if (fd < 0) {
		n->dirty = true;
		log_warn("nvram %s: cannot be stored: %s", n->path, strerror(-fd));
		return fd;
	}
	if (n->fd >= 0)
		close(n->fd);
	n->fd = fd;
	return 0;
}

/* ---- behind the guest's back ---------------------------------------------------------------- */

static void *store_main(void *opaque)
{
	struct nvram *n = opaque;

	n->store.fd = replace(n->path, n->store.data, n->size);
	atomic_store(&n->store.done, true);
	return NULL;
}

static int end_store(struct nvram *n)
{
	if (!n->store.under_way)
		return 0;
	pthread_join(n->store.thread, NULL);
	n->store.under_way = false;
	free(n->store.data);
	return take_file(n, n->store.fd);
}

/* The machine lock is held: a change while the thread writes is stored by the next one. */
static void start_store(struct nvram *n)
{
	struct store *s = &n->store;

	s->data = malloc(n->size);
	if (s->data) {
		memcpy(s->data, n->data, n->size);
		atomic_store(&s->done, false);
		s->under_way = !pthread_create(&s->thread, NULL, store_main, n);
	}
	if (s->under_way)
		n->dirty = false;
	else
		free(s->data);
}

static void set_timer(struct nvram *n, uint64_t ns)
{
	loop_timer_set(n->loop, &n->timer, loop_now() + ns);
}

static void look(void *opaque)
{
	struct nvram *n = opaque;

	if (!n->store.under_way || atomic_load(&n->store.done)) {
		if (end_store(n))
			return; /* the next change tries again, and so does the end */
		if (n->dirty)
			start_store(n);
	}
	if (n->store.under_way)
		set_timer(n, LOOK_NS);
}

int nvram_store(struct nvram *n)
{
	end_store(n);
	if (!n->dirty)
		return 0;
	n->dirty = false;
	return take_file(n, replace(n->path, n->data, n->size));
}

void nvram_changed(struct nvram *n)
{
	if (!n->path)
		return;
	n->dirty = true;
	if (!n->timer.heap_index)
		set_timer(n, STORE_DELAY_NS);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* The file that a link leads to, since a store would put a file in the link's place. */
static int find_file(struct nvram *n, const char *path, struct err *e)
{
	struct stat st;

	n->path = realpath(path, NULL);
	if (n->path)
		return 0;
	if (!lstat(path, &st) && S_ISLNK(st.st_mode))
		return err_set(e, -errno, "nvram %s: it is a link that leads nowhere", path);
	n->path = strdup(path);
	return n->path ? 0 : err_set(e, -ENOMEM, "nvram: out of memory");
}

static int make_file(struct nvram *n, const char *fresh, struct err *e)
{
	if (!fresh)
		return err_set(e, -ENOENT, "nvram %s: there is no such file", n->path);
	if (load_fresh(n, fresh, e))
		return e->code;
	n->fd = replace(n->path, n->data, n->size);
	return n->fd < 0 ? err_set(e, n->fd, "nvram %s: %s", n->path, strerror(-n->fd)) : 0;
}

static int open_file(struct nvram *n, const char *path, const char *fresh, struct err *e)
{
	if (find_file(n, path, e))
		return e->code;
	n->fd = open(n->path, O_RDWR | O_CLOEXEC);
	if (n->fd < 0 && errno == ENOENT)
		return make_file(n, fresh, e);
	if (n->fd < 0)
		return err_set(e, -errno, "nvram %s: %s", n->path, strerror(errno));
	if (flock(n->fd, LOCK_EX | LOCK_NB))
		return err_set(e, -EBUSY, "nvram %s: another VM uses it", n->path);
	return load(n, n->fd, n->path, e);
}

int nvram_open(const char *path, const char *fresh, struct loop *loop, struct nvram **out,
	       struct err *e)
{
	struct nvram *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return err_set(e, -ENOMEM, "nvram: out of memory");
	n->fd = -1;
	n->loop = loop;
	n->timer = (struct loop_timer){.fn = look, .opaque = n};
	rc = path ? open_file(n, path, fresh, e) : load_fresh(n, fresh, e);
	if (rc) {
		nvram_close(n);
		return rc;
	}
	*out = n;
	return 0;
}

void nvram_close(struct nvram *n)
{
	loop_timer_cancel(n->loop, &n->timer);
	nvram_store(n);
	if (n->fd >= 0)
		close(n->fd);
	free(n->data);
	free(n->path);
	free(n);
}
