/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for viewers, by mbedTLS. */
#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/backend/vnc/internal.h"

struct vnc_tls {
	mbedtls_ssl_config config;
	mbedtls_x509_crt cert;
	mbedtls_pk_context key;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
};

struct vnc_tls_session {
	mbedtls_ssl_context ssl;
	int fd;
	size_t retry; /* a write that waits must be repeated with this length */
};

static int fail(struct err *e, const char *path, int code)
{
	char why[128];

	mbedtls_strerror(code, why, sizeof(why));
	return err_set(e, -EINVAL, "tls: %s: %s", path, why);
}

static int load(struct vnc_tls *t, const char *cert, const char *key, struct err *e)
{
	int rc = mbedtls_ctr_drbg_seed(&t->random, mbedtls_entropy_func, &t->entropy, NULL, 0);

	if (rc)
		return fail(e, "random numbers", rc);
	rc = mbedtls_x509_crt_parse_file(&t->cert, cert);
	if (rc)
		return fail(e, cert, rc);
	rc = mbedtls_pk_parse_keyfile(&t->key, key, NULL);
	if (rc)
		return fail(e, key, rc);
	rc = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER,
					 MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	if (!rc)
		rc = mbedtls_ssl_conf_own_cert(&t->config, &t->cert, &t->key);
	if (rc)
		return fail(e, cert, rc);
	mbedtls_ssl_conf_min_version(&t->config, MBEDTLS_SSL_MAJOR_VERSION_3,
				     MBEDTLS_SSL_MINOR_VERSION_3); /* TLS 1.2 */
	mbedtls_ssl_conf_rng(&t->config, mbedtls_ctr_drbg_random, &t->random);
	return 0;
}

int vnc_tls_load(struct vnc_tls **out, const char *cert, const char *key, struct err *e)
{
	struct vnc_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "tls: out of memory");
	mbedtls_ssl_config_init(&t->config);
	mbedtls_x509_crt_init(&t->cert);
	mbedtls_pk_init(&t->key);
	mbedtls_entropy_init(&t->entropy);
	mbedtls_ctr_drbg_init(&t->random);
	if (load(t, cert, key, e)) {
		vnc_tls_free(t);
		return e->code;
	}
	*out = t;
	return 0;
}

void vnc_tls_free(struct vnc_tls *t)
{
	if (!t)
		return;
	mbedtls_ssl_config_free(&t->config);
	mbedtls_x509_crt_free(&t->cert);
	mbedtls_pk_free(&t->key);
	mbedtls_ctr_drbg_free(&t->random);
	mbedtls_entropy_free(&t->entropy);
	free(t);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static int bio_send(void *session, const unsigned char *buf, size_t len)
{
	ssize_t n = send(((struct vnc_tls_session *)session)->fd, buf, len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
						 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static int bio_recv(void *session, unsigned char *buf, size_t len)
{
	ssize_t n = recv(((struct vnc_tls_session *)session)->fd, buf, len, MSG_DONTWAIT);

	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ
						 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

struct vnc_tls_session *vnc_tls_start(struct vnc_tls *t, int fd)
{
	struct vnc_tls_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->fd = fd;
	mbedtls_ssl_init(&s->ssl);
	if (mbedtls_ssl_setup(&s->ssl, &t->config)) {
		vnc_tls_end(s);
		return NULL;
	}
	mbedtls_ssl_set_bio(&s->ssl, s, bio_send, bio_recv, NULL);
	return s;
}

void vnc_tls_end(struct vnc_tls_session *s)
{
	mbedtls_ssl_free(&s->ssl);
	free(s);
}

static int to_errno(int rc)
{
	if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
		return -EAGAIN;
	return rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? 0 : -EPROTO;
}

int vnc_tls_handshake(struct vnc_tls_session *s)
{
	int rc = mbedtls_ssl_handshake(&s->ssl);

	if (!rc)
		return 0;
	rc = to_errno(rc);
	return rc ? rc : -EPROTO;
}

ssize_t vnc_tls_read(struct vnc_tls_session *s, void *buf, size_t len)
{
	int n = mbedtls_ssl_read(&s->ssl, buf, len);

	return n >= 0 ? n : to_errno(n);
}

/* The library remembers a record that did not go out and counts the repetition's length as sent. */
ssize_t vnc_tls_write(struct vnc_tls_session *s, const void *buf, size_t len)
{
	int n = mbedtls_ssl_write(&s->ssl, buf, s->retry ? s->retry : len);

	if (n < 0 && to_errno(n) == -EAGAIN && !s->retry)
		s->retry = len;
	else if (n >= 0)
		s->retry = 0;
	return n >= 0 ? n : to_errno(n);
}
