/* SPDX-License-Identifier: Apache-2.0 */
/* The control method that types: combinations of keys by name, or a text. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/keymap.h"
#include "vmm/control/control.h"
#include "vmm/machine.h"

#define STEP_NS    20000000ull /* between two movements of a key: as fast as firmware can follow */
#define PATIENCE   250         /* steps in a row in which the keyboard may be full */
#define MAX_EVENTS 32768
#define PROGRESS   100

/* Machine->typing: one call at a time. */
struct typing {
	struct machine *machine;
	struct control_call *call;
	struct loop_timer timer;
	unsigned n, at, refused;
	struct {
		uint8_t key;
		bool down;
	} event[MAX_EVENTS];
};

/* ---- what is to be typed -------------------------------------------------------------------- */

static int add(struct typing *t, unsigned key, bool down, struct err *e)
{
	if (t->n == MAX_EVENTS)
		return err_set(e, -E2BIG, "more than %d keys at once", MAX_EVENTS / 4);
	t->event[t->n].key = (uint8_t)key;
	t->event[t->n++].down = down;
	return 0;
}

/* "ctrl-alt-delete": all go down in this order and up in the opposite one. */
static int add_combination(struct typing *t, const char *text, struct err *e)
{
	unsigned first = t->n, pressed;
	const char *at = text;

	while (at) {
		size_t n = strcspn(at, "-");
		unsigned key = key_of_name(at, n);

		if (!key)
			return err_set(
				e, -EINVAL,
				"\"%.40s\": there is no key \"%.*s\"; names are a, 1, f1, ret, "
				"esc, tab, spc, minus, up, delete, ctrl, alt, shift, ...",
				text, (int)n, at);
		if (add(t, key, true, e))
			return e->code;
		at = at[n] ? at + n + 1 : NULL;
	}
	pressed = t->n - first;
	for (unsigned i = 0; i < pressed; i++)
		if (add(t, t->event[first + pressed - 1 - i].key, false, e))
			return e->code;
	return 0;
}

static int add_keys(struct typing *t, const json_t *keys, struct err *e)
{
	size_t i;
	json_t *key;

	json_array_foreach(keys, i, key)
	{
		if (!json_is_string(key))
			return err_set(e, -EINVAL, "keys[%zu]: must be a string", i);
		if (add_combination(t, json_string_value(key), e))
			return e->code;
	}
	return 0;
}

static int add_text(struct typing *t, const char *text, struct err *e)
{
	for (; *text; text++) {
		bool shift;
		unsigned key = key_of_char((unsigned char)*text, &shift);

		if (!key)
			return err_set(e, -EINVAL, "a US keyboard cannot type the byte 0x%02x",
				       (unsigned char)*text);
		if ((shift && add(t, KEY_LEFTSHIFT, true, e)) || add(t, key, true, e) ||
		    add(t, key, false, e) || (shift && add(t, KEY_LEFTSHIFT, false, e)))
			return e->code;
	}
	return 0;
}

/* ---- typing --------------------------------------------------------------------------------- */

static void finish(struct typing *t, const struct err *e)
{
	t->machine->typing = NULL;
	loop_timer_cancel(t->machine->loop, &t->timer);
	control_finish(t->call, NULL, e);
	free(t);
}

static void type_next(void *opaque)
{
	struct typing *t = opaque;
	struct err e = {0};

	if (input_key(&t->machine->input, t->event[t->at].key, t->event[t->at].down)) {
		t->at++;
		t->refused = 0;
		if (t->at % PROGRESS == 0)
			control_progress(t->call, "keys", t->at, t->n);
	} else if (++t->refused == PATIENCE) {
		err_set(&e, -ETIMEDOUT, "the guest does not read its keyboard");
	}
	if (t->at == t->n || e.code)
		finish(t, &e);
	else
		loop_timer_set(t->machine->loop, &t->timer, loop_now() + STEP_NS);
}

void machine_typing_cancel(struct machine *m)
{
	const struct err gone = {-ECANCELED, "the VM ended before all keys were typed"};

	if (m->typing)
		finish(m->typing, &gone);
}

static int check(const struct machine *m, const json_t *params, struct err *e)
{
	if (m->user_paused)
		return err_set(e, -EAGAIN, "it is paused; `baton resume` it first");
	if (m->typing)
		return err_set(e, -EBUSY, "another call is still typing");
	if (!json_object_get(params, "keys") == !json_object_get(params, "text"))
		return err_set(e, -EINVAL, "give either keys or text");
	return 0;
}

/* {"keys": ["ctrl-alt-delete", "ret"]} or {"text": "root\n"}; answers when all are typed. */
static int sendkey(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		   struct err *e)
{
	struct machine *m = opaque;
	const char *text = json_string_value(json_object_get(params, "text"));
	struct typing *t;
	int rc = check(m, params, e);

	(void)result;
	if (rc)
		return rc;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	rc = text ? add_text(t, text, e) : add_keys(t, json_object_get(params, "keys"), e);
	if (rc || !t->n) {
		free(t);
		return rc;
	}
	t->machine = m;
	t->call = call;
	t->timer = (struct loop_timer){.fn = type_next, .opaque = t};
	m->typing = t;
	loop_timer_set(m->loop, &t->timer, loop_now());
	return CONTROL_LATER;
}

const struct control_method sendkey_methods[] = {
	{"sendkey", sendkey, {{"keys", CONTROL_ARRAY, false}, {"text", CONTROL_STRING, false}}},
	{NULL, NULL, {{0}}},
};
