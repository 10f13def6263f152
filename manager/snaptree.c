/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of snapshots in memory and as JSON. */
#include "manager/snaptree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAX_FILE (256u << 20)

/* ---- memory --------------------------------------------------------------------------------- */

void snapshot_free(struct snapshot *s)
{
	for (unsigned i = 0; i < s->ndisks; i++) {
		free(s->disk[i].path);
		free(s->disk[i].format);
	}
	free(s->description);
	free(s->variables);
	json_decref(s->definition);
}

void snapshot_tree_free(struct snapshot_tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		snapshot_free(&t->list[i]);
	free(t->list);
	json_decref(t->images);
	json_decref(t->bases);
	json_decref(t->pending);
	memset(t, 0, sizeof(*t));
}

struct snapshot *snapshot_find(const struct snapshot_tree *t, const char *name, struct err *e)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->list[i].name, name))
			return &t->list[i];
	err_set(e, -ENOENT, "there is no snapshot \"%.64s\"; see `baton snapshot list`", name);
	return NULL;
}

int snapshot_set_image(char **path, char **format, const char *new_path, const char *new_format,
		       struct err *e)
{
	char *p = strdup(new_path), *f = strdup(new_format);

	if (!p || !f) {
		free(p);
		free(f);
		return err_set(e, -ENOMEM, "out of memory");
	}
	free(*path);
	free(*format);
	*path = p;
	*format = f;
	return 0;
}

int snapshot_append(struct snapshot_tree *t, const struct snapshot *s, struct err *e)
{
	struct snapshot *list = realloc(t->list, (t->n + 1) * sizeof(*list));

	if (!list)
		return err_set(e, -ENOMEM, "out of memory");
	t->list = list;
	list[t->n++] = *s;
	return 0;
}

static void replace_name(struct snapshot_tree *t, const char *old, const char *new)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->list[i].parent, old))
			strcpy(t->list[i].parent, new);
	if (!strcmp(t->current, old))
		strcpy(t->current, new);
}

void snapshot_remove(struct snapshot_tree *t, struct snapshot *s)
{
	replace_name(t, s->name, s->parent);
	snapshot_free(s);
	memmove(s, s + 1, (size_t)(t->list + t->n - s - 1) * sizeof(*s));
	t->n--;
}

void snapshot_set_name(struct snapshot_tree *t, struct snapshot *s, const char *name)
{
	char old[64];

	strcpy(old, s->name);
	snprintf(s->name, sizeof(s->name), "%s", name);
	replace_name(t, old, s->name);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int bad(const char *name, const char *key, struct err *e)
{
	return err_set(e, -EINVAL, "snapshot \"%s\": %s is missing or damaged", name, key);
}

/* A text that fits and names no other folder. */
static bool copy_name(char *out, size_t size, const json_t *value, bool empty_ok)
{
	const char *text = json_is_null(value) ? "" : json_string_value(value);

	if (!text || strlen(text) >= size || strchr(text, '/') || (!*text && !empty_ok))
		return false;
	strcpy(out, text);
	return true;
}

static int read_disks(struct snapshot *s, const json_t *list, struct err *e)
{
	if (!json_is_array(list) || json_array_size(list) > SPEC_MAX_DISKS)
		return bad(s->name, "disks", e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);
		const char *path = json_string_value(json_object_get(d, "path"));
		const char *format = json_string_value(json_object_get(d, "format"));

		if (!json_is_null(d) && (!path || !format))
			return bad(s->name, "disks", e);
		s->disk[i].path = path ? strdup(path) : NULL;
		s->disk[i].format = format ? strdup(format) : NULL;
		s->ndisks++;
	}
	return 0;
}

static int read_variables(struct snapshot *s, const json_t *value, struct err *e)
{
	char name[32];

	if (!value)
		return 0;
	if (!copy_name(name, sizeof(name), value, true))
		return bad(s->name, "variables", e);
	s->variables = strdup(name);
	return s->variables ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_fields(struct snapshot *s, const json_t *o, struct err *e)
{
	const char *text = json_string_value(json_object_get(o, "description"));

	if (!copy_name(s->name, sizeof(s->name), json_object_get(o, "name"), false))
		return bad("?", "name", e);
	if (!copy_name(s->parent, sizeof(s->parent), json_object_get(o, "parent"), true))
		return bad(s->name, "parent", e);
	if (!copy_name(s->memory, sizeof(s->memory), json_object_get(o, "memory"), true))
		return bad(s->name, "memory", e);
	s->time = json_integer_value(json_object_get(o, "time"));
	s->description = strdup(text ? text : "");
	s->definition = json_incref(json_object_get(o, "definition"));
	if (!json_is_object(s->definition))
		return bad(s->name, "definition", e);
	if (read_variables(s, json_object_get(o, "variables"), e))
		return e->code;
	return read_disks(s, json_object_get(o, "disks"), e);
}

static int read_snapshot(struct snapshot_tree *t, const json_t *o, struct err *e)
{
	struct snapshot s = {0};
	int rc = read_fields(&s, o, e);

	if (!rc)
		rc = snapshot_append(t, &s, e);
	if (rc)
		snapshot_free(&s);
	return rc;
}

/* Each parent comes before its children: there are neither strangers nor circles. */
static int check_parents(const struct snapshot_tree *t, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct snapshot_tree before = {.list = t->list, .n = i};
		const struct snapshot *s = &t->list[i];

		if (*s->parent && !snapshot_find(&before, s->parent, NULL))
			return err_set(e, -EINVAL, "snapshot \"%s\": its parent \"%s\" is missing",
				       s->name, s->parent);
		if (snapshot_find(&before, s->name, NULL))
			return err_set(e, -EINVAL, "snapshot \"%s\" is there twice", s->name);
	}
	if (*t->current && !snapshot_find(t, t->current, NULL))
		return err_set(e, -EINVAL, "current: there is no snapshot \"%s\"", t->current);
	return 0;
}

/* What a restore has not done yet: the files it names lie in the folder, too. */
static int read_pending(struct snapshot_tree *t, json_t *pending, struct err *e)
{
	static const char *const files[] = {"memory", "variables"};
	char name[sizeof(t->list->memory)];

	if (pending && !json_is_object(json_object_get(pending, "definition")))
		return err_set(e, -EINVAL, "pending: damaged");
	for (unsigned i = 0; i < 2; i++) {
		json_t *file = json_object_get(pending, files[i]);

		if (file && !copy_name(name, sizeof(name), file, true))
			return err_set(e, -EINVAL, "pending.%s: give a file's name", files[i]);
	}
	t->pending = json_incref(pending);
	return 0;
}

static int read_tree(struct snapshot_tree *t, const json_t *o, struct err *e)
{
	const json_t *list = json_object_get(o, "snapshots");

	if (json_integer_value(json_object_get(o, "version")) != 1)
		return err_set(e, -EINVAL, "version: only 1 is known");
	if (!json_is_array(list) || json_array_size(list) > SNAPSHOT_MAX)
		return err_set(e, -EINVAL, "snapshots: give a list of at most %d", SNAPSHOT_MAX);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (read_snapshot(t, json_array_get(list, i), e))
			return e->code;
	if (!copy_name(t->current, sizeof(t->current), json_object_get(o, "current"), true))
		return err_set(e, -EINVAL, "current: missing or damaged");
	t->images = json_incref(json_object_get(o, "images"));
	t->bases = json_incref(json_object_get(o, "bases"));
	if (!json_is_array(t->images) || !json_is_array(t->bases))
		return err_set(e, -EINVAL, "images, bases: missing or damaged");
	if (read_pending(t, json_object_get(o, "pending"), e))
		return e->code;
	return check_parents(t, e);
}

int snapshot_tree_parse(struct snapshot_tree *t, const char *text, size_t len, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	int rc;

	memset(t, 0, sizeof(*t));
	rc = o ? read_tree(t, o, e) : err_set(e, -EINVAL, "line %d: %s", why.line, why.text);
	json_decref(o);
	if (rc)
		snapshot_tree_free(t);
	return rc;
}

int snapshot_tree_load(struct snapshot_tree *t, const char *path, struct err *e)
{
	size_t len;
	char *text;
	int rc;

	memset(t, 0, sizeof(*t));
	rc = file_read(path, MAX_FILE, &text, &len, e);
	if (rc == -ENOENT) {
		t->images = json_array();
		t->bases = json_array();
		return 0;
	}
	if (rc)
		return rc;
	rc = snapshot_tree_parse(t, text, len, e);
	free(text);
	return rc ? err_prefix(e, "%s", path) : 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static json_t *print_snapshot(const struct snapshot *s)
{
	json_t *disks = json_array();

	for (unsigned i = 0; i < s->ndisks; i++) {
		const struct snapshot_disk *d = &s->disk[i];

		json_array_append_new(disks, d->path ? json_pack("{s:s, s:s}", "path", d->path,
								 "format", d->format)
						     : json_null());
	}
	return json_pack("{s:s, s:s?, s:I, s:s, s:s?, s:s*, s:o, s:O}", "name", s->name, "parent",
			 *s->parent ? s->parent : NULL, "time", (json_int_t)s->time, "description",
			 s->description ? s->description : "", "memory",
			 *s->memory ? s->memory : NULL, "variables", s->variables, "disks", disks,
			 "definition", s->definition);
}

int snapshot_tree_save(const struct snapshot_tree *t, const char *path, struct err *e)
{
	json_t *list = json_array(), *o;
	char *text;
	int rc;

	for (size_t i = 0; i < t->n; i++)
		if (json_array_append_new(list, print_snapshot(&t->list[i]))) {
			json_decref(list);
			return err_set(e, -EINVAL, "snapshot \"%s\": a text is not UTF-8",
				       t->list[i].name);
		}
	o = json_pack("{s:i, s:s?, s:o, s:O, s:O, s:O*}", "version", 1, "current",
		      *t->current ? t->current : NULL, "snapshots", list, "images", t->images,
		      "bases", t->bases, "pending", t->pending);
	text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
	json_decref(o);
	rc = text ? file_replace(path, text, strlen(text), e)
		  : err_set(e, -ENOMEM, "out of memory");
	free(text);
	return rc;
}
