/* SPDX-License-Identifier: Apache-2.0 */
/* The server: its thread, its clients, and when it looks at the screen. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vmm/backend/vnc/internal.h"

#define PASSWORD_FILE_MAX 4096

/* How often the screen is looked at while a client wants news: more seldom the longer it stands. */
#define MS 1000000ull
static const struct {
	uint64_t still_for, interval; /* ns */
} pace[] = {{500 * MS, 33 * MS}, {5000 * MS, 100 * MS}, {UINT64_MAX, 250 * MS}};

/* ---- looking at the screen ------------------------------------------------------------------ */

static void spread_dirt(struct vnc *v, bool resized)
{
	struct surface *s = &v->surface;
	size_t n = (size_t)s->tiles_x * s->tiles_y;

	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++) {
		struct vnc_client *c = v->client[i];

		if (!c || !c->is_set_up)
			continue;
		if (resized && vnc_client_resize(c))
			c->out.failed = true;
		for (size_t t = 0; t < n && !resized; t++)
			c->dirty[t] |= s->dirty[t];
	}
	if (memchr(s->dirty, 1, n))
		v->last_change = v->last_look;
	memset(s->dirty, 0, n);
}

int vnc_look(struct vnc *v)
{
	unsigned width = v->surface.width, height = v->surface.height;
	int rc;

	pthread_mutex_lock(v->screen.machine_lock);
	rc = display_look(v->screen.display, &v->surface);
	v->is_absolute = input_is_absolute(v->screen.input);
	pthread_mutex_unlock(v->screen.machine_lock);
	v->last_look = loop_now();
	if (!rc)
		spread_dirt(v, width != v->surface.width || height != v->surface.height);
	return rc;
}

static void look_now(void *opaque)
{
	struct vnc *v = opaque;
	bool wanted = false;

	v->look_due = false;
	if (vnc_look(v))
		log_warn("vnc: no memory for the picture");
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++) {
		struct vnc_client *c = v->client[i];

		if (!c || !c->is_set_up)
			continue;
		vnc_client_update(c);
		wanted |= c->wants_update && !c->out.len;
	}
	if (wanted)
		vnc_schedule(v);
}

void vnc_schedule(struct vnc *v)
{
	uint64_t still = v->last_look - v->last_change;
	unsigned i = 0;

	if (v->look_due)
		return;
	while (still >= pace[i].still_for && i + 1 < sizeof(pace) / sizeof(pace[0]))
		i++;
	v->look_due = true;
	loop_timer_set(v->loop, &v->look, v->last_look + pace[i].interval);
}

void vnc_stir(struct vnc *v)
{
	v->last_change = v->last_look;
	if (!v->look_due)
		return;
	loop_timer_cancel(v->loop, &v->look);
	v->look_due = false;
	vnc_schedule(v);
}

/* ---- clients -------------------------------------------------------------------------------- */

/* When all places are taken, who has not proved anything yet makes room. */
static struct vnc_client **free_place(struct vnc *v)
{
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (!v->client[i])
			return &v->client[i];
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (!v->client[i]->is_set_up) {
			vnc_client_destroy(v->client[i]);
			return &v->client[i];
		}
	return NULL;
}

static void client_arrived(void *opaque, uint32_t events)
{
	struct vnc *v = opaque;
	int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct vnc_client **place;

	(void)events;
	if (fd < 0)
		return;
	place = free_place(v);
	if (place)
		*place = vnc_client_create(v, fd);
	if (!place || !*place) {
		close(fd);
		return;
	}
	vnc_client_ready(*place, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* The first line; more than eight characters would be cut off by the protocol. */
static int read_password(struct vnc *v, const char *path, struct err *e)
{
	char *text;
	size_t n;

	if (file_read(path, PASSWORD_FILE_MAX, &text, &n, e))
		return err_prefix(e, "password-file");
	n = strcspn(text, "\r\n");
	v->has_password = n && n <= VNC_PASSWORD;
	if (v->has_password)
		memcpy(v->password, text, n);
	free(text);
	if (v->has_password)
		return 0;
	return err_set(e, -EINVAL, "password-file %s: its first line must have 1 to %d characters",
		       path, VNC_PASSWORD);
}

static void *server_main(void *opaque)
{
	struct vnc *v = opaque;

	pthread_setname_np(pthread_self(), "vnc");
	loop_run(v->loop);
	return NULL;
}

static int prepare(struct vnc *v, const struct vnc_config *c, struct err *e)
{
	int rc = loop_create(&v->loop, &v->lock, e);

	if (!rc && c->password_file)
		rc = read_password(v, c->password_file, e);
	if (!rc && c->tls_cert)
		rc = vnc_tls_load(&v->tls, c->tls_cert, c->tls_key, e);
	if (!rc)
		rc = vnc_listen(v, c, e);
	if (!rc)
		rc = loop_watch(v->loop, v->listener, EPOLLIN, client_arrived, v);
	return rc;
}

int vnc_open(struct vnc **out, const struct vnc_config *c, const struct vnc_screen *s,
	     struct err *e)
{
	struct vnc *v = calloc(1, sizeof(*v));

	if (!v)
		return err_set(e, -ENOMEM, "vnc: out of memory");
	v->screen = *s;
	v->listener = -1;
	v->look = (struct loop_timer){.fn = look_now, .opaque = v};
	pthread_mutex_init(&v->lock, NULL);
	if (prepare(v, c, e)) {
		vnc_close(v);
		return e->code;
	}
	*out = v;
	return 0;
}

int vnc_start(struct vnc *v, struct err *e)
{
	int rc = pthread_create(&v->thread, NULL, server_main, v);

	if (rc)
		return err_set(e, -rc, "vnc: cannot start its thread: %s", strerror(rc));
	v->has_thread = true;
	return 0;
}

void vnc_close(struct vnc *v)
{
	if (v->has_thread) {
		loop_stop(v->loop, 0);
		pthread_join(v->thread, NULL);
	}
	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (v->client[i])
			vnc_client_destroy(v->client[i]);
	if (v->listener >= 0)
		close(v->listener);
	if (v->unix_path)
		unlink(v->unix_path);
	free(v->unix_path);
	loop_destroy(v->loop);
	vnc_tls_free(v->tls);
	surface_free(&v->surface);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

const char *vnc_address(const struct vnc *v)
{
	return v->address;
}
