/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VNC server for one machine's screen (RFC 6143, the RFB protocol 3.8, and the community's
 * rfbproto document for the security type VeNCrypt and for what is written pseudo-encoding there).
 *
 * It has a thread and an event loop of its own, and takes the machine lock only to look at the
 * screen and to pass on keys and movements: encoding, encryption and slow clients cost the guest
 * nothing. While no client wants an update nothing runs. Clients are not trusted.
 */
#ifndef VMM_BACKEND_VNC_VNC_H
#define VMM_BACKEND_VNC_VNC_H

#include <pthread.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/backend/display.h"
#include "vmm/backend/input.h"

/* What "vnc=..." in a description says. Texts are NULL when absent. */
struct vnc_config {
	char *unix_path;
	char *host;    /* numeric address or "localhost" */
	uint16_t port; /* 0: any free one */
	char *password_file, *tls_cert, *tls_key;
};

/*
 * "vnc", "vnc=unix:PATH", "vnc=HOST:PORT", with ",password-file=FILE", ",tls-cert=FILE" and
 * ",tls-key=FILE" behind. Refuses an address that is not this host's own without password or TLS.
 */
int vnc_config_parse(const char *text, struct vnc_config *c, struct err *e);
void vnc_config_free(struct vnc_config *c);
/* The text that parses to the same; malloc'd, NULL: no memory. */
char *vnc_config_print(const struct vnc_config *c);

struct vnc_screen {
	const struct display *display;
	struct input *input;
	pthread_mutex_t *machine_lock;
	const char *name; /* as viewers show it */
};

struct vnc;

/* Listens. `s` is copied, what it points to outlives the server. */
int vnc_open(struct vnc **out, const struct vnc_config *c, const struct vnc_screen *s,
	     struct err *e);
/* Starts the thread that serves: viewers wait until then. */
int vnc_start(struct vnc *v, struct err *e);
void vnc_close(struct vnc *v); /* without the machine lock */

/* Where it listens: "unix:/path" or "127.0.0.1:5901". */
const char *vnc_address(const struct vnc *v);

#endif
