/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: from a line to the method's call, its parameters checked, to the answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/control/internal.h"
#include "vmm/jsontext.h"

struct control_call {
	struct client *client; /* NULL: nobody waits for the answer */
	json_t *id;            /* NULL: a notification */
	struct given given;
	struct control *control;
	struct control_call *next;
};

/* ---- answers -------------------------------------------------------------------------------- */

/* Sentences may be cut inside a character. */
static json_t *failure(int code, const char *text)
{
	return json_pack("{s:i, s:o}", "code", code, "message", json_text(text));
}

static json_t *method_failure(const struct err *e)
{
	return json_pack("{s:i, s:o, s:{s:i}}", "code", RPC_METHOD_FAILED, "message",
			 json_text(e->text), "data", "errno", -e->code);
}

/* Takes over `value`. */
static void answer(struct client *cl, json_t *id, const char *key, json_t *value)
{
	client_send(cl, json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, key, value));
}

void request_refuse(struct client *cl, int code, const char *text)
{
	answer(cl, NULL, "error", failure(code, text));
}

/* ---- descriptors ---------------------------------------------------------------------------- */

void given_add(struct given *g, const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (g->n < SENDFD_MAX)
			g->fd[g->n++] = fds[i];
		else
			close(fds[i]);
}

void given_close(struct given *g)
{
	for (; g->next < g->n; g->next++)
		close(g->fd[g->next]);
	g->next = g->n = 0;
}

/* ---- calls in work -------------------------------------------------------------------------- */

static struct control_call *start_call(struct client *cl, json_t *id)
{
	struct control_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->client = cl;
	call->id = json_incref(id);
	call->given = cl->given;
	cl->given = (struct given){.n = 0};
	call->control = cl->control;
	call->next = cl->control->calls;
	cl->control->calls = call;
	return call;
}

static void end_call(struct control_call *call)
{
	struct control_call **link = call->control ? &call->control->calls : NULL;

	while (link && *link != call)
		link = &(*link)->next;
	if (link)
		*link = call->next;
	json_decref(call->id);
	given_close(&call->given);
	free(call);
}

int control_take_fd(struct control_call *call)
{
	struct given *g = &call->given;

	return g->next < g->n ? g->fd[g->next++] : -1;
}

void request_forget(struct control *c, const struct client *cl)
{
	for (struct control_call *call = c->calls; call; call = call->next)
		if (call->client == cl)
			call->client = NULL;
}

void request_abandon(struct control *c)
{
	for (struct control_call *call = c->calls; call; call = call->next)
		call->control = NULL;
}

void control_progress(struct control_call *call, const char *what, uint64_t done, uint64_t total)
{
	if (!call->client || !call->id)
		return;
	client_send(call->client,
		    json_pack("{s:s, s:s, s:{s:O, s:s, s:I, s:I}}", "jsonrpc", "2.0", "method",
			      "progress", "params", "id", call->id, "what", what, "done",
			      (json_int_t)done, "total", (json_int_t)total));
}

void control_finish(struct control_call *call, json_t *result, const struct err *e)
{
	bool failed = e && e->code;

	if (failed || !call->client || !call->id)
		json_decref(result);
	if (call->client && call->id && failed)
		answer(call->client, call->id, "error", method_failure(e));
	else if (call->client && call->id)
		answer(call->client, call->id, "result", result ? result : json_object());
	end_call(call);
}

/* ---- parameters ----------------------------------------------------------------------------- */

static const struct {
	json_type type;
	const char *words;
} types[] = {
	[CONTROL_STRING] = {JSON_STRING, "a string"},
	[CONTROL_UINT] = {JSON_INTEGER, "an integer"},
	[CONTROL_BOOL] = {JSON_TRUE, "true or false"},
	[CONTROL_ARRAY] = {JSON_ARRAY, "an array"},
	[CONTROL_OBJECT] = {JSON_OBJECT, "an object"},
};

static int check_value(const struct control_param *p, const json_t *value, struct err *e)
{
	json_type type = json_is_false(value) ? JSON_TRUE : json_typeof(value);

	if (type != types[p->type].type)
		return err_set(e, -EINVAL, "%s: give %s", p->name, types[p->type].words);
	if (p->type == CONTROL_UINT && json_integer_value(value) < 0)
		return err_set(e, -EINVAL, "%s: give a number that is not negative", p->name);
	return 0;
}

static const struct control_param *find_param(const struct control_method *m, const char *name)
{
	for (const struct control_param *p = m->params; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static int refuse_param(const struct control_method *m, const char *name, struct err *e)
{
	char known[256] = "";
	size_t len = 0;

	for (const struct control_param *p = m->params; p->name && len < sizeof(known); p++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					p->name);
	return err_set(e, -EINVAL, "%s: %s knows no such parameter; it takes %s", name, m->name,
		       len ? known : "none");
}

static int check_params(const struct control_method *m, json_t *params, struct err *e)
{
	const struct control_param *p;
	const char *name;
	json_t *value;

	if (!json_is_object(params))
		return err_set(e, -EINVAL, "params: give an object of named parameters");
	json_object_foreach(params, name, value)
	{
		p = find_param(m, name);
		if (!p)
			return refuse_param(m, name, e);
		if (check_value(p, value, e))
			return e->code;
	}
	for (p = m->params; p->name; p++)
		if (p->required && !json_object_get(params, p->name))
			return err_set(e, -EINVAL, "%s: %s needs this parameter", p->name, m->name);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static const struct control_method *find_method(const struct control *c, const char *name)
{
	for (const struct control_method *const *table = c->tables; *table; table++)
		for (const struct control_method *m = *table; m->name; m++)
			if (!strcmp(m->name, name))
				return m;
	return NULL;
}

static void run_method(struct client *cl, const struct control_method *m, json_t *params,
		       json_t *id)
{
	struct control_call *call = start_call(cl, id);
	json_t *result = NULL;
	struct err e = {0};

	if (!call)
		answer(cl, id, "error", failure(RPC_METHOD_FAILED, "out of memory"));
	else if (m->call(cl->control->opaque, params, call, &result, &e) != CONTROL_LATER)
		control_finish(call, result, &e);
}

/* Sends an error, also as the answer to a notification: its sender made a mistake. */
static void execute(struct client *cl, json_t *request, json_t *id)
{
	const char *name = json_string_value(json_object_get(request, "method"));
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	json_t *given = json_object_get(request, "params");
	const struct control_method *m;
	json_t *params;
	struct err e;

	if (!name || !version || strcmp(version, "2.0")) {
		answer(cl, id, "error", failure(RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request"));
		return;
	}
	m = find_method(cl->control, name);
	if (!m) {
		answer(cl, id, "error", failure(RPC_METHOD_NOT_FOUND, "there is no such method"));
		return;
	}
	params = given ? json_incref(given) : json_object();
	if (check_params(m, params, &e))
		answer(cl, id, "error", failure(RPC_INVALID_PARAMS, e.text));
	else
		run_method(cl, m, params, id);
	json_decref(params);
}

static bool id_ok(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

void request_line(struct client *cl, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *id = json_object_get(request, "id");

	if (!request)
		request_refuse(cl, RPC_PARSE_ERROR, "not a JSON object on one line");
	else if (id && !id_ok(id))
		request_refuse(cl, RPC_INVALID_REQUEST, "id: give a string or a number");
	else
		execute(cl, request, id);
	json_decref(request);
}
