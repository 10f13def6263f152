/* SPDX-License-Identifier: Apache-2.0 */
/* The text that describes a VNC server. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/vnc/vnc.h"

void vnc_config_free(struct vnc_config *c)
{
	char *all[] = {c->unix_path, c->host, c->password_file, c->tls_cert, c->tls_key};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
	memset(c, 0, sizeof(*c));
}

static int set(char **to, const char *text, struct err *e)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static bool is_numeric(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1;
}

static bool is_own(const char *host)
{
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return !strcmp(host, "localhost") || !strcmp(host, "::1");
}

/* "127.0.0.1:5901", "[::1]:5901". */
static int parse_address(char *text, struct vnc_config *c, struct err *e)
{
	char *colon = strrchr(text, ':'), *host = text, *end;
	unsigned long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return err_set(e, -EINVAL, "\"%.80s\" is not of the form HOST:PORT", text);
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return err_set(e, -EINVAL, "port \"%.20s\": must be from 0 to 65535", colon + 1);
	*colon = '\0';
	if (*host == '[' && colon[-1] == ']') {
		host++;
		colon[-1] = '\0';
	}
	if (!is_numeric(host) && strcmp(host, "localhost"))
		return err_set(e, -EINVAL,
			       "\"%.80s\" is no address; give a numeric one, such as 127.0.0.1",
			       host);
	c->port = (uint16_t)port;
	return set(&c->host, host, e);
}

static int parse_option(const char *text, struct vnc_config *c, struct err *e)
{
	const struct {
		const char *key;
		char **to;
	} options[] = {
		{"password-file=", &c->password_file},
		{"tls-cert=", &c->tls_cert},
		{"tls-key=", &c->tls_key},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t n = strlen(options[i].key);

		if (!strncmp(text, options[i].key, n) && text[n])
			return set(options[i].to, text + n, e);
	}
	return err_set(e, -EINVAL,
		       "\"%.80s\": vnc has password-file=FILE, tls-cert=FILE and tls-key=FILE",
		       text);
}

static int parse_parts(char *rest, struct vnc_config *c, struct err *e)
{
	char *part = strsep(&rest, ",");
	int rc = 0;

	if (!strncmp(part, "vnc=unix:", 9) && part[9])
		rc = set(&c->unix_path, part + 9, e);
	else if (!strncmp(part, "vnc=", 4))
		rc = parse_address(part + 4, c, e);
	else if (strcmp(part, "vnc"))
		rc = err_set(e, -EINVAL,
			     "\"%.80s\" is none of vnc, vnc=unix:PATH and vnc=HOST:PORT", part);
	while (!rc && (part = strsep(&rest, ",")))
		rc = parse_option(part, c, e);
	return rc;
}

static int check(const struct vnc_config *c, struct err *e)
{
	if (!c->tls_cert != !c->tls_key)
		return err_set(e, -EINVAL, "tls-cert and tls-key go together");
	if (c->host && !is_own(c->host) && !c->password_file && !c->tls_cert)
		return err_set(e, -EPERM,
			       "other hosts could see and use the screen at %s; add password-file= "
			       "or tls-cert= and tls-key=, or listen on 127.0.0.1",
			       c->host);
	return 0;
}

int vnc_config_parse(const char *text, struct vnc_config *c, struct err *e)
{
	char *copy = strdup(text);
	int rc;

	memset(c, 0, sizeof(*c));
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	rc = parse_parts(copy, c, e);
	if (!rc)
		rc = check(c, e);
	if (rc)
		vnc_config_free(c);
	free(copy);
	return rc;
}

char *vnc_config_print(const struct vnc_config *c)
{
	const struct {
		const char *key, *value;
	} parts[] = {{"=unix:", c->unix_path},
		     {",password-file=", c->password_file},
		     {",tls-cert=", c->tls_cert},
		     {",tls-key=", c->tls_key}};
	bool six = c->host && strchr(c->host, ':');
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("vnc", f);
	if (c->host)
		fprintf(f, "=%s%s%s:%u", six ? "[" : "", c->host, six ? "]" : "", c->port);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].value)
			fprintf(f, "%s%s", parts[i].key, parts[i].value);
	fclose(f);
	return text;
}
