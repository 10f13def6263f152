/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version, security, initialisation (RFC 6143 section 7.1 to 7.3). With a certificate only VeNCrypt
 * is offered: TLS first, then inside it the password, or nothing.
 */
#include <mbedtls/des.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/backend/vnc/internal.h"

#define VERSION "RFB 003.008\n"
#define GREETED 12

#define GUESS_NS 1000000000ull /* so long does a wrong password take: they are short */

#define SECURITY_NONE     1
#define SECURITY_VNC      2
#define SECURITY_VENCRYPT 19
#define VENCRYPT_X509NONE 260
#define VENCRYPT_X509VNC  261

static vnc_step read_security, read_response, read_init, read_vencrypt_version, read_vencrypt_type;

void vnc_greet(struct vnc_client *c)
{
	vnc_put(&c->out, VERSION, GREETED);
	c->step = vnc_read_version;
}

/* ---- the password --------------------------------------------------------------------------- */

static uint8_t mirrored(uint8_t b)
{
	uint8_t m = 0;

	for (unsigned i = 0; i < 8; i++)
		m |= (uint8_t)((b >> i & 1) << (7 - i));
	return m;
}

void vnc_encrypt_challenge(const char password[VNC_PASSWORD], const uint8_t in[VNC_CHALLENGE],
			   uint8_t out[VNC_CHALLENGE])
{
	mbedtls_des_context des;
	uint8_t key[VNC_PASSWORD];

	for (unsigned i = 0; i < VNC_PASSWORD; i++)
		key[i] = mirrored((uint8_t)password[i]);
	mbedtls_des_init(&des);
	mbedtls_des_setkey_enc(&des, key);
	mbedtls_des_crypt_ecb(&des, in, out);
	mbedtls_des_crypt_ecb(&des, in + 8, out + 8);
	mbedtls_des_free(&des);
}

static int challenge(struct vnc_client *c)
{
	if (getrandom(c->challenge, VNC_CHALLENGE, 0) != VNC_CHALLENGE)
		return -1;
	vnc_put(&c->out, c->challenge, VNC_CHALLENGE);
	c->step = read_response;
	return 1;
}

static void put_reason(struct vnc_client *c, const char *why)
{
	vnc_put32(&c->out, (uint32_t)strlen(why));
	vnc_put(&c->out, why, strlen(why));
	c->doomed = true;
}

static void refuse(struct vnc_client *c, const char *why)
{
	vnc_put32(&c->out, 1);
	if (c->minor >= 8)
		put_reason(c, why);
	c->doomed = true;
}

static void accept_client(struct vnc_client *c)
{
	vnc_put32(&c->out, 0);
	c->step = read_init;
}

static int read_response(struct vnc_client *c)
{
	uint8_t wanted[VNC_CHALLENGE], differs = 0;

	if (c->in_len < VNC_CHALLENGE)
		return 0;
	vnc_encrypt_challenge(c->server->password, c->challenge, wanted);
	for (unsigned i = 0; i < VNC_CHALLENGE; i++) /* takes as long for any answer */
		differs |= wanted[i] ^ c->in[i];
	if (differs) {
		refuse(c, "wrong password");
		vnc_client_hold(c, GUESS_NS);
	} else {
		accept_client(c);
	}
	return VNC_CHALLENGE;
}

/* ---- the kinds of security ------------------------------------------------------------------ */

static unsigned security_of(const struct vnc *v)
{
	if (v->tls)
		return SECURITY_VENCRYPT;
	return v->has_password ? SECURITY_VNC : SECURITY_NONE;
}

/* Version 3.3: the server decides, and nothing confirms that no security is none. */
static int old_security(struct vnc_client *c)
{
	unsigned security = security_of(c->server);

	if (security == SECURITY_VENCRYPT) {
		vnc_put32(&c->out, 0);
		put_reason(c, "this server wants TLS, for which RFB 3.8 is needed");
		return GREETED;
	}
	vnc_put32(&c->out, security);
	if (security == SECURITY_VNC)
		return challenge(c) < 0 ? -1 : GREETED;
	c->step = read_init;
	return GREETED;
}

/* Versions that nobody published count as 3.3 (section 7.1.1). */
int vnc_read_version(struct vnc_client *c)
{
	if (c->in_len < GREETED)
		return 0;
	if (memcmp(c->in, VERSION, 8))
		return -1;
	c->minor = !memcmp(c->in + 8, "007\n", 4) ? 7 : !memcmp(c->in + 8, "008\n", 4) ? 8 : 3;
	if (c->minor == 3)
		return old_security(c);
	vnc_put8(&c->out, 1);
	vnc_put8(&c->out, security_of(c->server));
	c->step = read_security;
	return GREETED;
}

static int read_security(struct vnc_client *c)
{
	if (c->in[0] != security_of(c->server)) {
		refuse(c, "this kind of security was not offered");
		return 1;
	}
	if (c->in[0] == SECURITY_VENCRYPT) {
		vnc_put16(&c->out, 0x0002); /* version 0.2 */
		c->step = read_vencrypt_version;
	} else if (c->in[0] == SECURITY_VNC) {
		return challenge(c);
	} else if (c->minor == 7) {
		c->step = read_init; /* nothing confirms that no security is none */
	} else {
		accept_client(c);
	}
	return 1;
}

static uint32_t vencrypt_type(const struct vnc *v)
{
	return v->has_password ? VENCRYPT_X509VNC : VENCRYPT_X509NONE;
}

static int read_vencrypt_version(struct vnc_client *c)
{
	if (c->in_len < 2)
		return 0;
	if (vnc_get16(c->in) != 0x0002) {
		vnc_put8(&c->out, 0xff);
		c->doomed = true;
		return 2;
	}
	vnc_put8(&c->out, 0);
	vnc_put8(&c->out, 1);
	vnc_put32(&c->out, vencrypt_type(c->server));
	c->step = read_vencrypt_type;
	return 2;
}

/* The one byte of consent still goes out in the clear; behind it TLS begins. */
static int read_vencrypt_type(struct vnc_client *c)
{
	if (c->in_len < 4)
		return 0;
	if (c->in_len > 4 || vnc_get32(c->in) != vencrypt_type(c->server))
		return -1;
	vnc_put8(&c->out, 1);
	vnc_client_flush(c);
	if (c->out.len)
		return -1; /* a byte that does not go out at once: nobody is there */
	c->tls = vnc_tls_start(c->server->tls, c->fd);
	c->tls_handshake = c->tls != NULL;
	return c->tls ? 4 : -1;
}

void vnc_tls_ready(struct vnc_client *c)
{
	if (c->server->has_password)
		c->doomed = challenge(c) < 0;
	else
		accept_client(c);
}

/* ---- initialisation ------------------------------------------------------------------------- */

static int read_init(struct vnc_client *c)
{
	const struct vnc *v = c->server;
	size_t n = strlen(v->screen.name);

	if (vnc_look(c->server) || vnc_client_resize(c))
		return -1;
	vnc_put16(&c->out, c->width);
	vnc_put16(&c->out, c->height);
	vnc_format_put(&c->out, &vnc_native);
	vnc_put32(&c->out, (uint32_t)n);
	vnc_put(&c->out, v->screen.name, n);
	c->is_set_up = true;
	c->step = vnc_read_message;
	return 1; /* whether others may share the screen is not the client's to say */
}
