/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the VNC server. Bytes travel: transport (plain or TLS) -> client->in -> the current step,
 * which takes one message; answers -> client->out -> transport. All on the server's thread.
 */
#ifndef VMM_BACKEND_VNC_INTERNAL_H
#define VMM_BACKEND_VNC_INTERNAL_H

#include <zlib.h>

#include "vmm/backend/vnc/vnc.h"
#include "vmm/loop.h"

#define VNC_MAX_CLIENTS 16
#define VNC_IN_SIZE     4096 /* the longest message that is taken whole */
#define VNC_CHALLENGE   16
#define VNC_PASSWORD    8

/* Encodings and pseudo-encodings that are understood (their numbers on the wire). */
#define ENC_RAW          0
#define ENC_ZRLE         16
#define ENC_DESKTOP_SIZE (-223)
#define ENC_POINTER_TYPE (-257)
#define ENC_EXTENDED_KEY (-258)

struct vnc_bytes {
	uint8_t *data;
	size_t len, cap;
	bool failed; /* out of memory: looked at once, at the end */
};

void vnc_put(struct vnc_bytes *b, const void *data, size_t len);
uint8_t *vnc_room(struct vnc_bytes *b, size_t len); /* appended, to be filled; NULL on failure */
void vnc_put8(struct vnc_bytes *b, unsigned v);
void vnc_put16(struct vnc_bytes *b, unsigned v);
void vnc_put32(struct vnc_bytes *b, uint32_t v);
unsigned vnc_get16(const uint8_t *p);
uint32_t vnc_get32(const uint8_t *p);

/* How a client wants its pixels (RFC 6143 section 7.4). */
struct vnc_format {
	uint8_t bits, depth; /* a pixel: 8, 16, 32 */
	bool big_endian;
	uint16_t max[3]; /* red, green, blue */
	uint8_t shift[3];
};

extern const struct vnc_format vnc_native; /* that of a surface */

int vnc_format_parse(const uint8_t wire[16], struct vnc_format *f); /* -EINVAL */
void vnc_format_put(struct vnc_bytes *b, const struct vnc_format *f);
bool vnc_format_is_native(const struct vnc_format *f);
uint32_t vnc_pixel(const struct vnc_format *f, uint32_t rgb);
/* Bytes of a pixel in ZRLE, and which of them (first byte of the four, section 7.7.5). */
unsigned vnc_cpixel(const struct vnc_format *f, unsigned *first);
/* Stores `bytes` bytes of a client's pixel, from byte `first` on. */
uint8_t *vnc_store(const struct vnc_format *f, uint32_t pixel, unsigned first, unsigned bytes,
		   uint8_t *to);

struct vnc_tls;
struct vnc_tls_session;
struct vnc_client;

/* Takes one message from client->in: bytes used, 0: more are needed, negative: drop the client. */
typedef int vnc_step(struct vnc_client *c);

struct vnc_client {
	struct vnc *server;
	int fd;
	struct vnc_tls_session *tls; /* NULL: plain */
	bool tls_handshake;          /* not finished */
	vnc_step *step;
	bool is_set_up; /* past the handshake */
	bool doomed;    /* to be dropped once `out` is gone */
	bool held;      /* `out` waits for `release` */
	struct loop_timer release;

	uint8_t in[VNC_IN_SIZE];
	size_t in_len;
	uint64_t skip; /* bytes of a message to be thrown away */
	struct vnc_bytes out;
	size_t sent; /* of `out` */
	uint32_t events;

	unsigned minor; /* of the protocol's version: 3, 7, 8 */
	uint8_t challenge[VNC_CHALLENGE];
	struct vnc_format format;
	bool zrle, desktop_size, pointer_type, extended_key;
	z_stream deflate;
	bool has_deflate;
	struct vnc_bytes zrle_plain;

	unsigned width, height; /* as the client knows them */
	uint8_t *dirty;         /* a byte a tile, as in the server's surface */
	bool wants_update;      /* asked, and not answered yet */
	bool tell_size, tell_keys;
	int told_absolute; /* -1: nothing yet */
	unsigned buttons;
};

struct vnc {
	struct vnc_screen screen;
	struct vnc_tls *tls; /* NULL: none */
	bool has_password;
	char password[VNC_PASSWORD];
	char address[128];
	char *unix_path;
	int listener;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* the loop's */
	struct loop *loop;
	struct vnc_client *client[VNC_MAX_CLIENTS];

	struct surface surface;
	bool is_absolute; /* the pointer, at the last look */
	struct loop_timer look;
	bool look_due; /* the timer is armed */
	uint64_t last_look, last_change;
};

/* listen.c */
int vnc_listen(struct vnc *v, const struct vnc_config *c, struct err *e);

/* server.c */
int vnc_look(struct vnc *v);      /* now; -ENOMEM only */
void vnc_schedule(struct vnc *v); /* a client wants an update: looks soon */
void vnc_stir(struct vnc *v);     /* the user did something: looks more often for a while */

/* client.c */
struct vnc_client *vnc_client_create(struct vnc *v, int fd);
void vnc_client_destroy(struct vnc_client *c);
/* Takes all whole messages of `in`; false: the client is to be dropped. */
bool vnc_client_parse(struct vnc_client *c);
/* Reads, parses and writes as far as it goes without waiting; destroys the client when done. */
void vnc_client_ready(void *client, uint32_t events);
void vnc_client_flush(struct vnc_client *c);             /* after an update was put into `out` */
void vnc_client_hold(struct vnc_client *c, uint64_t ns); /* sends nothing for so long */

/* handshake.c */
vnc_step vnc_read_version;
void vnc_greet(struct vnc_client *c);
void vnc_tls_ready(struct vnc_client *c);
/* DES with the password as key, the bits of each byte mirrored (section 7.2.2). */
void vnc_encrypt_challenge(const char password[VNC_PASSWORD], const uint8_t in[VNC_CHALLENGE],
			   uint8_t out[VNC_CHALLENGE]);

/* messages.c */
vnc_step vnc_read_message;

/* update.c */
int vnc_client_resize(struct vnc_client *c); /* a dirty map for the surface as it is now */
void vnc_client_update(struct vnc_client *c);

/* zrle.c */
bool vnc_zrle_rect(struct vnc_client *c, unsigned x, unsigned y, unsigned w, unsigned h);

/* keys.c */
unsigned vnc_key_of_keysym(uint32_t keysym);
unsigned vnc_key_of_scancode(uint32_t xt); /* set 1, bit 7: behind an 0xe0 */

/* tls.c: like read() and write(), -EAGAIN when it would wait, 0 at the end. */
int vnc_tls_load(struct vnc_tls **out, const char *cert, const char *key, struct err *e);
void vnc_tls_free(struct vnc_tls *t);
struct vnc_tls_session *vnc_tls_start(struct vnc_tls *t, int fd);
void vnc_tls_end(struct vnc_tls_session *s);
int vnc_tls_handshake(struct vnc_tls_session *s); /* 0: done */
ssize_t vnc_tls_read(struct vnc_tls_session *s, void *buf, size_t len);
ssize_t vnc_tls_write(struct vnc_tls_session *s, const void *buf, size_t len);

#endif
