/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/definition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"

#define TITLE_MAX       120
#define DESCRIPTION_MAX 4096

void definition_init(struct definition *d)
{
	memset(d, 0, sizeof(*d));
	spec_init(&d->machine);
}

void definition_free(struct definition *d)
{
	spec_free(&d->machine);
	free(d->title);
	free(d->description);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int take_text(json_t *root, const char *key, char **out, struct err *e)
{
	const json_t *value = json_object_get(root, key);

	if (!value)
		return 0;
	if (!json_is_string(value))
		return err_set(e, -EINVAL, "%s: must be a string", key);
	free(*out);
	*out = strdup(json_string_value(value));
	json_object_del(root, key);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int take_bool(json_t *root, const char *key, bool *out, struct err *e)
{
	const json_t *value = json_object_get(root, key);

	if (!value)
		return 0;
	if (!json_is_boolean(value))
		return err_set(e, -EINVAL, "%s: must be true or false", key);
	*out = json_is_true(value);
	json_object_del(root, key);
	return 0;
}

/* Takes out what is the manager's; the rest is the machine's description. */
static int from_json(struct definition *d, json_t *root, struct err *e)
{
	if (take_text(root, "title", &d->title, e) ||
	    take_text(root, "description", &d->description, e) ||
	    take_bool(root, "autostart", &d->autostart, e) || spec_from_json(&d->machine, root, e))
		return e->code;
	return definition_check(d, e);
}

int definition_parse(struct definition *d, const char *json, size_t len, struct err *e)
{
	json_error_t why;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	int rc;

	if (!root)
		return err_set(e, -EINVAL, "line %d, column %d: %s", why.line, why.column,
			       why.text);
	rc = from_json(d, root, e);
	json_decref(root);
	return rc;
}

int definition_load(struct definition *d, const char *path, struct err *e)
{
	char *text;
	size_t len;
	int rc = file_read(path, SPEC_MAX_FILE, &text, &len, e);

	if (rc)
		return rc;
	rc = definition_parse(d, text, len, e);
	if (rc)
		err_prefix(e, "%s", path);
	free(text);
	return rc;
}

/* ---- checking ------------------------------------------------------------------------------- */

static int check_text(const char *key, const char *text, size_t max, struct err *e)
{
	if (text && strlen(text) > max)
		return err_set(e, -EINVAL, "%s: longer than %zu bytes", key, max);
	return 0;
}

int definition_check(const struct definition *d, struct err *e)
{
	const struct spec *s = &d->machine;
	const struct {
		const char *key, *value;
	} run[] = {{"control", s->control},
		   {"record", s->record},
		   {"restore", s->restore},
		   {"pool", s->pool}};

	if (!s->uuid)
		return err_set(e, -EINVAL, "uuid: missing");
	if (s->name)
		return err_set(e, -EINVAL,
			       "name: not part of a definition; `baton rename` changes it");
	for (unsigned i = 0; i < sizeof(run) / sizeof(run[0]); i++)
		if (run[i].value)
			return err_set(e, -EINVAL, "%s: not part of a definition; leave it out",
				       run[i].key);
	for (unsigned i = 0; i < s->nnets; i++)
		if (s->nets[i].fd >= 0)
			return err_set(e, -EINVAL,
				       "nets[%u].fd: not part of a definition; leave it out", i);
	if (check_text("title", d->title, TITLE_MAX, e) ||
	    check_text("description", d->description, DESCRIPTION_MAX, e))
		return e->code;
	if (d->title && strpbrk(d->title, "\n\r\t"))
		return err_set(e, -EINVAL, "title: must be one line without tabs");
	return spec_check(s, e);
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool set_text(json_t *o, const char *key, const char *text)
{
	return !text || !json_object_set_new(o, key, json_string(text));
}

json_t *definition_to_json(const struct definition *d)
{
	json_t *machine = spec_to_json(&d->machine), *o = json_pack("{s:i}", "version", 1);
	bool ok = machine && set_text(o, "uuid", d->machine.uuid) &&
		  set_text(o, "title", d->title) && set_text(o, "description", d->description);

	json_object_set_new(o, "autostart", json_boolean(d->autostart));
	if (ok && !json_object_update_missing(o, machine)) {
		json_decref(machine);
		return o;
	}
	json_decref(machine);
	json_decref(o);
	return NULL;
}

char *definition_print(const struct definition *d)
{
	json_t *o = definition_to_json(d);
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;

	json_decref(o);
	return text;
}

int definition_save(const struct definition *d, const char *path, struct err *e)
{
	char *text;
	int rc = definition_check(d, e);

	if (rc)
		return rc;
	text = definition_print(d);
	if (!text)
		return err_set(e, -EINVAL, "a file's name or another text is not UTF-8");
	rc = file_replace(path, text, strlen(text), e);
	free(text);
	return rc;
}

int definition_new_uuid(struct definition *d, struct err *e)
{
	uint8_t b[16];
	char *text;

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_set(e, -errno, "random numbers: %s", strerror(errno));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
	if (asprintf(&text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		     b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
		     b[12], b[13], b[14], b[15]) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	free(d->machine.uuid);
	d->machine.uuid = text;
	return 0;
}
