/* SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: streams between processes by name, or pairs; datagram sockets are for ioctls on
 * network interfaces only. Other families are refused with EAFNOSUPPORT. */
#include <asm/socket.h>
#include <linux/un.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/net/netif.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/landlock.h"
#include "kernel/sys/ring.h"

#define AF_UNIX        1
#define AF_INET        2
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_SEQPACKET 5
#define SOCK_TYPE      0xfu
#define SCM_RIGHTS     1
#define MAX_SENT       32 /* files with a message */
#define RING_SIZE      65536
#define MAX_BACKLOG    128
#define PATH_SIZE      (UNIX_PATH_MAX + 1) /* a path may fill the address without a NUL */

enum socket_state {
	SOCKET_NEW,
	SOCKET_BOUND,
	SOCKET_LISTENING,
	SOCKET_CONNECTED,
	SOCKET_CLOSED, /* the other end has gone */
};

/* Files that go with the byte at this place of a queue. */
struct parcel {
	struct parcel *next;
	uint32_t at;
	unsigned n;
	struct file *file[MAX_SENT];
};

struct socket {
	uint32_t refs;
	unsigned type;
	enum socket_state state;
	struct ring in;         /* what the other end wrote */
	bool no_read, no_write; /* shutdown() */
	struct parcel *sent;    /* waits in `in` */
	bool no_sockets; /* are sent to it: it was sent itself, or is a connection to such a one */
	struct socket *peer;
	struct list pending; /* listening: connected sockets nobody accepted yet */
	struct list pending_link;
	unsigned backlog, npending;
	struct node *node; /* bound to */
	char path[PATH_SIZE];
	int pid; /* of who made it: SO_PEERCRED */
	struct waitq queue;
};

/* One lock for all: pairs are linked both ways, and traffic is control messages. */
static struct spinlock lock;

static struct socket *socket_new(unsigned type)
{
	struct socket *s = kzalloc(sizeof(*s));

	if (!s || ring_init(&s->in, RING_SIZE)) {
		kfree(s);
		return NULL;
	}
	s->refs = 1;
	s->type = type;
	s->pid = current_process()->pid;
	return s;
}

/* Lock held, or not visible yet; NULL is allowed. */
static void socket_unref(struct socket *s)
{
	if (!s || --s->refs)
		return;
	ring_free(&s->in);
	kfree(s);
}

static unsigned socket_poll(struct file *f)
{
	struct socket *s = f->data;
	SPIN_GUARD(&lock);
	unsigned ev = 0;

	if (s->state == SOCKET_LISTENING)
		return s->npending ? POLLIN : 0;
	if (ring_used(&s->in) || s->no_read)
		ev |= POLLIN;
	if (s->state == SOCKET_CLOSED)
		return ev | POLLIN | POLLOUT | POLLHUP | POLLRDHUP;
	if (s->state != SOCKET_CONNECTED)
		return ev | POLLOUT | POLLHUP;
	return ev | (s->peer && ring_room(&s->peer->in) && !s->peer->sent ? POLLOUT : 0);
}

/* And those behind it. Not under the lock: the last of a socket takes it. */
static void parcel_free(struct parcel *p)
{
	while (p) {
		struct parcel *next = p->next;

		while (p->n)
			file_put(p->file[--p->n]);
		kfree(p);
		p = next;
	}
}

/* Up to the byte that a parcel comes with, or from it on, and the parcel. -EAGAIN: nothing is there
 * yet. */
static int64_t receive_with(struct socket *s, struct parcel **p, uint64_t buf, uint64_t n)
{
	SPIN_GUARD(&lock);
	uint32_t before = s->sent ? s->sent->at - s->in.tail : 0;
	bool end = !n || s->no_read || s->state == SOCKET_CLOSED;
	int64_t rc = s->state < SOCKET_CONNECTED
			     ? -ENOTCONN
			     : ring_to_user(&s->in, buf, before ? MIN(n, before) : n);

	if (rc > 0 && !before) {
		*p = s->sent;
		s->sent = NULL;
	}
	if (rc > 0 && s->peer)
		waitq_wake(&s->peer->queue, ~0u);
	return rc || end ? rc : -EAGAIN;
}

/* Files that nobody asked for are lost. */
static int64_t receive_some(void *data, uint64_t buf, uint64_t n)
{
	struct parcel *lost = NULL;
	int64_t rc = receive_with(data, &lost, buf, n);

	parcel_free(lost);
	return rc;
}

/*
 * Sockets that listen may be sent, and none comes to wait, over others, in its own queue: who
 * connects to one that was sent gets no sockets before it is accepted, or after. Lock held.
 */
static bool may_travel(const struct parcel *p, const struct socket *to)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct socket *s = p->file[i]->data;
		int rc = file_check_socket(p->file[i]);

		if (rc == -ENOTSOCK)
			continue;
		if (rc || s->state != SOCKET_LISTENING || s->npending || to->no_sockets)
			return false;
		s->no_sockets = true;
	}
	return true;
}

/* If any byte goes the parcel, if there is one, does; 0 while another is on its way. */
static int64_t send_with(struct socket *s, struct parcel *p, uint64_t buf, uint64_t n)
{
	SPIN_GUARD(&lock);
	struct socket *to = s->no_write ? NULL : s->peer;
	int64_t rc;

	if (s->state < SOCKET_CONNECTED || !to)
		return s->state < SOCKET_CONNECTED ? -ENOTCONN : -EPIPE;
	if (p && (to->sent || !may_travel(p, to)))
		return to->sent ? 0 : -EOPNOTSUPP;
	if (p)
		p->at = to->in.head;
	rc = ring_from_user(&to->in, buf, n);
	if (rc > 0) {
		to->sent = p ? p : to->sent;
		waitq_wake(&to->queue, ~0u);
	}
	return rc;
}

static int64_t send_some(void *data, uint64_t buf, uint64_t n)
{
	return send_with(data, NULL, buf, n);
}

/* What it has not read goes to `lost`. Lock held. */
static void hang_up(struct socket *s, struct parcel **lost)
{
	if (s->peer) {
		s->peer->state = SOCKET_CLOSED;
		waitq_wake(&s->peer->queue, ~0u);
		s->peer->peer = NULL;
		socket_unref(s);       /* the peer's reference */
		socket_unref(s->peer); /* ours */
		s->peer = NULL;
	}
	if (s->sent) {
		s->sent->next = *lost;
		*lost = s->sent;
	}
	s->state = SOCKET_CLOSED;
	socket_unref(s);
}

static void socket_close(struct file *f)
{
	struct socket *s = f->data;
	struct node *node = s->node;
	struct parcel *lost = NULL;

	LOCKED(&lock) {
		while (!list_empty(&s->pending)) {
			struct socket *p = CONTAINER(s->pending.next, struct socket, pending_link);

			list_del(&p->pending_link);
			hang_up(p, &lost);
		}
		if (node)
			node->socket = NULL;
		hang_up(s, &lost);
	}
	parcel_free(lost);
	node_put(node);
}

static int64_t socket_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	return current_process()->domain ? -EPERM : netif_ioctl(cmd, arg);
}

static const struct file_ops datagram_ops = {.name = "socket", .ioctl = socket_ioctl};

static const struct file_ops socket_ops = {
	.name = "socket",
	.take = receive_some,
	.give = send_some,
	.poll = socket_poll,
	.waitq = offsetof(struct socket, queue),
	.ring = offsetof(struct socket, in),
	.ioctl = socket_ioctl,
	.close = socket_close,
};

int file_check_socket(const struct file *f)
{
	return f->ops == &socket_ops ? 0 : f->ops == &datagram_ops ? -EOPNOTSUPP : -ENOTSOCK;
}

static int64_t check_kind(const uint64_t *a)
{
	unsigned type = (unsigned)a[1] & SOCK_TYPE;

	if (a[0] != AF_UNIX)
		return -EAFNOSUPPORT;
	return type == SOCK_STREAM || type == SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
}

int64_t sys_socket(const uint64_t *a)
{
	unsigned type = (unsigned)a[1] & SOCK_TYPE;
	struct socket *s;
	int64_t rc;

	if (type == SOCK_DGRAM && (a[0] == AF_UNIX || a[0] == AF_INET))
		return fd_new(&datagram_ops, (unsigned)a[1], NULL);
	rc = check_kind(a);
	s = rc ? NULL : socket_new(type);
	return rc ? rc : s ? fd_new(&socket_ops, (unsigned)a[1], s) : -ENOMEM;
}

/* Both hold a reference on the other. Lock held, or not visible yet. */
static void join(struct socket *a, struct socket *b)
{
	a->peer = b;
	b->peer = a;
	a->refs++;
	b->refs++;
	a->state = b->state = SOCKET_CONNECTED;
}

int64_t sys_socketpair(const uint64_t *a)
{
	unsigned flags = O_RDWR | ((unsigned)a[1] & O_NONBLOCK);
	int64_t rc = check_kind(a);
	struct socket *x, *y;

	if (rc)
		return rc;
	x = socket_new((unsigned)a[1] & SOCK_TYPE);
	y = socket_new((unsigned)a[1] & SOCK_TYPE);
	if (!x || !y) {
		socket_unref(x);
		socket_unref(y);
		return -ENOMEM;
	}
	join(x, y);
	return fd_new_pair(file_new(&socket_ops, flags, x), file_new(&socket_ops, flags, y),
			   a[1] & O_CLOEXEC, a[3]);
}

/* struct sockaddr_un, and a NUL behind in any case. */
struct address {
	uint16_t family;
	char path[PATH_SIZE];
};

static int at_address(struct file *f, uint64_t addr, uint64_t len,
		      int (*fn)(struct socket *s, const char *path))
{
	struct address to = {0};

	if (len < 3 || len > sizeof(struct sockaddr_un))
		return -EINVAL;
	if (copy_from_user(&to, addr, len))
		return -EFAULT;
	if (to.family != AF_UNIX)
		return -EAFNOSUPPORT;
	return to.path[0] ? fn(f->data, to.path) : -EINVAL; /* abstract names are not offered */
}

/* From one state to the next; false: it is in another one. */
static bool advance(struct socket *s, enum socket_state from, enum socket_state to)
{
	SPIN_GUARD(&lock);
	bool ok = s->state == from;

	if (ok)
		s->state = to;
	return ok;
}

static int enter_name(const char *path, struct node *n)
{
	char last[NAME_MAX + 1];
	struct node *dir;
	int rc = vfs_walk(NULL, path, WALK_PARENT, &dir, last);

	if (rc)
		return rc;
	rc = dir_make(dir, last, n);
	node_put(dir);
	return rc == -EEXIST ? -EADDRINUSE : rc;
}

static int bind_to(struct socket *s, const char *path)
{
	struct node *n = node_new(S_IFSOCK | (0777 & ~current_process()->umask));
	int rc = !n ? -ENOMEM : advance(s, SOCKET_NEW, SOCKET_BOUND) ? 0 : -EINVAL;

	if (!rc) {
		n->socket = s;
		rc = enter_name(path, n);
		if (rc)
			advance(s, SOCKET_BOUND, SOCKET_NEW);
	}
	if (rc) {
		node_put(n);
		return rc;
	}
	s->node = n;
	strlcpy(s->path, path, sizeof(s->path));
	return 0;
}

int64_t sys_bind(struct file *f, const uint64_t *a)
{
	return at_address(f, a[1], a[2], bind_to);
}

int64_t sys_listen(struct file *f, const uint64_t *a)
{
	struct socket *s = f->data;

	if (!advance(s, SOCKET_BOUND, SOCKET_LISTENING) && s->state != SOCKET_LISTENING)
		return -EINVAL;
	s->backlog = (unsigned)MIN(MAX(a[1], 1UL), (uint64_t)MAX_BACKLOG);
	return 0;
}

static int connect_to(struct socket *s, const char *path)
{
	struct socket *other = socket_new(s->type), *listener;
	struct node *n;
	int rc = other ? vfs_walk(NULL, path, 0, &n, NULL) : -ENOMEM;

	if (rc) {
		socket_unref(other);
		return rc;
	}
	LOCKED(&lock) {
		listener = n->socket;
		if (s->state > SOCKET_BOUND)
			rc = s->state == SOCKET_CONNECTED ? -EISCONN : -EINVAL;
		else if (!listener || listener->state != SOCKET_LISTENING)
			rc = -ECONNREFUSED;
		else if (listener->type != s->type)
			rc = -EPROTOTYPE;
		else if (listener->npending >= listener->backlog)
			rc = -EAGAIN;
		if (rc) {
			socket_unref(other);
		} else {
			other->pid = listener->pid;
			other->no_sockets = listener->no_sockets;
			strlcpy(other->path, listener->path, sizeof(other->path));
			join(s, other);
			list_add_tail(&listener->pending, &other->pending_link);
			listener->npending++;
			waitq_wake(&listener->queue, ~0u);
		}
	}
	node_put(n);
	return rc;
}

int64_t sys_connect(struct file *f, const uint64_t *a)
{
	return current_process()->domain ? -EACCES : at_address(f, a[1], a[2], connect_to);
}

static struct socket *take_pending(struct socket *listener)
{
	SPIN_GUARD(&lock);
	struct socket *s = NULL;

	if (!list_empty(&listener->pending)) {
		s = CONTAINER(listener->pending.next, struct socket, pending_link);
		list_del(&s->pending_link);
		listener->npending--;
	}
	return s;
}

int64_t sys_accept4(struct file *f, const uint64_t *a)
{
	struct socket *s = f->data, *got = NULL;
	int64_t rc = s->state == SOCKET_LISTENING ? 0 : -EINVAL;
	uint16_t family = AF_UNIX; /* without a name */
	uint32_t len = sizeof(family);

	while (!rc && !(got = take_pending(s)))
		rc = file_wait(f, POLLIN);
	if (!got)
		return rc;
	rc = fd_new(&socket_ops, (unsigned)a[3], got);
	if (rc >= 0 && a[1] && (copy_to_user(a[1], &family, len) || copy_to_user(a[2], &len, 4))) {
		fd_close((int)rc);
		rc = -EFAULT;
	}
	return rc;
}

int64_t sys_shutdown(struct file *f, const uint64_t *a)
{
	struct socket *s = f->data;
	SPIN_GUARD(&lock);
	bool connected = s->state == SOCKET_CONNECTED;

	if (connected && a[1] != 1)
		s->no_read = true;
	if (connected && a[1] != 0) {
		s->no_write = true;
		s->peer->no_read = true;
		waitq_wake(&s->peer->queue, ~0u);
	}
	waitq_wake(&s->queue, ~0u);
	return connected ? 0 : -ENOTCONN;
}

/* ---- send, receive --------------------------------------------------------------------------- */

#define MSG_PEEK         2u
#define MSG_CTRUNC       8u
#define MSG_DONTWAIT     0x40u
#define MSG_CMSG_CLOEXEC 0x40000000u

/* struct msghdr and cmsghdr of the C library. */
struct message {
	uint64_t name, namelen, iov, niov, control, controllen, flags;
};

struct control {
	uint64_t len;
	int level, type, fd[MAX_SENT];
};
#define CONTROL_LEN(n) (offsetof(struct control, fd) + (n) * sizeof(int))

int64_t sys_sendto(struct file *f, const uint64_t *a)
{
	return file_write_all(f, a[1], a[2], a[3] & MSG_DONTWAIT);
}

int64_t sys_recvfrom(struct file *f, const uint64_t *a)
{
	return a[3] & MSG_PEEK ? -EOPNOTSUPP : file_read_some(f, a[1], a[2], a[3] & MSG_DONTWAIT);
}

static int message_from_user(struct message *m, struct uio *v, uint64_t from)
{
	if (copy_from_user(m, from, sizeof(*m)))
		return -EFAULT;
	return m->niov == 1 ? copy_from_user(v, m->iov, sizeof(*v)) : -EMSGSIZE;
}

static int pack(const struct message *m, struct parcel **out)
{
	struct control c;
	struct parcel *p = *out = kzalloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (current_process()->domain) /* files on their way count for nobody */
		return -EPERM;
	if (m->controllen < CONTROL_LEN(0) || m->controllen > sizeof(c))
		return -EINVAL;
	if (copy_from_user(&c, m->control, m->controllen))
		return -EFAULT;
	if (c.level != SOL_SOCKET || c.type != SCM_RIGHTS || c.len < CONTROL_LEN(0) ||
	    c.len > m->controllen || m->controllen - c.len >= CONTROL_LEN(0)) /* one header */
		return -EINVAL;
	for (; CONTROL_LEN(p->n + 1) <= c.len; p->n++) {
		p->file[p->n] = fd_get(c.fd[p->n]);
		if (!p->file[p->n])
			return -EBADF;
	}
	return 0;
}

int64_t sys_sendmsg(struct file *f, const uint64_t *a)
{
	struct parcel *p = NULL;
	struct message m;
	struct uio v;
	bool dontwait = a[2] & MSG_DONTWAIT;
	int64_t sent = 0, rc = message_from_user(&m, &v, a[1]);

	if (!rc && m.controllen && v.len)
		rc = pack(&m, &p);
	if (!rc && p)
		rc = FILE_WAIT_FOR(f, POLLOUT,
				   (sent = send_with(f->data, p, v.addr, v.len)) || dontwait);
	if (rc || (p && sent <= 0)) {
		parcel_free(p);
		return rc ? rc : sent ? sent : -EAGAIN;
	}
	rc = file_write_all(f, v.addr + (uint64_t)sent, v.len - (uint64_t)sent, dontwait);
	return sent ? sent + MAX(rc, 0L) : rc;
}

/* Descriptors for the files that there is room for. */
static int unpack(const struct parcel *p, struct message *m, bool cloexec)
{
	struct control c = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
	unsigned n = 0;

	while (p && n < p->n && CONTROL_LEN(n + 1) <= m->controllen &&
	       (c.fd[n] = fd_install(file_get(p->file[n]), cloexec, 0)) >= 0)
		n++;
	c.len = n ? CONTROL_LEN(n) : 0;
	m->controllen = MIN((c.len + 7) & ~7UL, m->controllen);
	m->namelen = 0;
	m->flags = p && n < p->n ? MSG_CTRUNC : 0;
	return copy_to_user(m->control, &c, c.len);
}

int64_t sys_recvmsg(struct file *f, const uint64_t *a)
{
	struct parcel *p = NULL;
	struct message m;
	struct uio v;
	int64_t got = 0, rc = a[2] & MSG_PEEK ? -EOPNOTSUPP : message_from_user(&m, &v, a[1]);

	if (!rc)
		rc = FILE_WAIT_FOR(f, POLLIN,
				   (got = receive_with(f->data, &p, v.addr, v.len)) != -EAGAIN ||
					   a[2] & MSG_DONTWAIT);
	if (rc || got < 0)
		return rc ? rc : got;
	if (unpack(p, &m, a[2] & MSG_CMSG_CLOEXEC) || copy_to_user(a[1], &m, sizeof(m)))
		got = -EFAULT;
	parcel_free(p);
	return got;
}

/* ---- options and names ----------------------------------------------------------------------- */

int64_t sys_getsockopt(struct file *f, const uint64_t *a)
{
	const struct socket *s = f->data;
	uint32_t v[3] = {0}, len = 4, have;

	if (a[1] != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (copy_from_user(&have, a[4], 4))
		return -EFAULT;
	if (a[2] == SO_TYPE || a[2] == SO_ACCEPTCONN) {
		v[0] = a[2] == SO_TYPE ? s->type : s->state == SOCKET_LISTENING;
	} else if (a[2] == SO_PEERCRED) {
		LOCKED(&lock)
			v[0] = (uint32_t)(s->peer ? s->peer->pid : 0);
		len = 12;
	} else if (a[2] != SO_ERROR) {
		return -ENOPROTOOPT;
	}
	len = MIN(len, have);
	return copy_to_user(a[3], v, len) || copy_to_user(a[4], &len, 4) ? -EFAULT : 0;
}

/* Sizes of buffers and the like are accepted as hints. */
int64_t sys_setsockopt(struct file *f, const uint64_t *a)
{
	return a[1] == SOL_SOCKET ? 0 : -EOPNOTSUPP;
}

int64_t sys_getsockname(struct file *f, const uint64_t *a)
{
	struct address own = {.family = AF_UNIX};
	uint32_t len, have;
	const struct socket *s = f->data;
	int rc = copy_from_user(&have, a[2], 4);

	if (rc)
		return rc;
	strlcpy(own.path, s->path, PATH_SIZE);
	len = s->path[0] ? (uint32_t)strlen(s->path) + 3 : 2;
	rc = copy_to_user(a[1], &own, MIN(have, len));
	return rc ? rc : copy_to_user(a[2], &len, 4);
}
