/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of snapshots: what its file may hold, and what stays right when it changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "manager/snaptree.h"

#define SNAP(name, parent)                                                                \
	"{\"name\": \"" name "\", \"parent\": " parent ", \"time\": 7, \"memory\": null," \
	" \"disks\": [null, {\"path\": \"d\", \"format\": \"raw\"}], \"definition\": {}}"
#define TREE(list, current)                                                     \
	"{\"version\": 1, \"snapshots\": [" list "], \"current\": " current "," \
	" \"images\": [], \"bases\": []}"

static int parse(struct snapshot_tree *t, const char *text, struct err *e)
{
	return snapshot_tree_parse(t, text, strlen(text), e);
}

static void damage_is_named(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"", "line"},
		{"[]", "version"},
		{"{\"version\": 2}", "version: only 1"},
		{"{\"version\": 1}", "snapshots: give a list"},
		{TREE("{}", "null"), "name is missing"},
		{TREE(SNAP("", "null"), "null"), "name is missing"},
		{TREE(SNAP("a/b", "null"), "null"), "name is missing"},
		{TREE("{\"name\": \"a\"}", "null"), "parent is missing"},
		{TREE(SNAP("a", "5"), "null"), "parent is missing"},
		{TREE(SNAP("a", "\"b\""), "null"), "its parent \"b\" is missing"},
		{TREE(SNAP("a", "\"a\""), "null"), "its parent \"a\" is missing"},
		{TREE(SNAP("a", "\"b\"") "," SNAP("b", "\"a\""), "null"), "parent"},
		{TREE(SNAP("a", "null") "," SNAP("a", "null"), "null"), "there twice"},
		{TREE(SNAP("a", "null"), "\"b\""), "current: there is no snapshot"},
		{TREE(SNAP("a", "null"), "7"), "current: missing"},
		{"{\"version\": 1, \"snapshots\": [], \"current\": null}", "images, bases"},
		{"{\"version\": 1, \"snapshots\": [], \"current\": null, \"images\": [],"
		 " \"bases\": [], \"pending\": []}",
		 "pending: damaged"},
		{TREE("{\"name\": \"a\", \"parent\": null, \"memory\": \"../x\"}", "null"),
		 "memory is missing"},
		{TREE("{\"name\": \"a\", \"parent\": null, \"memory\": null, \"definition\": {},"
		      " \"disks\": [], \"variables\": \"../x\"}",
		      "null"),
		 "variables is missing"},
		{TREE("{\"name\": \"a\", \"parent\": null, \"memory\": null, \"definition\": {},"
		      " \"disks\": [{\"path\": 1}]}",
		      "null"),
		 "disks is missing"},
	};
	struct snapshot_tree t;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(&t, rows[i].text, &e), -EINVAL);
		if (!strstr(e.text, rows[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, rows[i].words);
	}
}

#define THREE SNAP("a", "null") "," SNAP("b", "\"a\"") "," SNAP("c", "\"b\"")

static void children_go_to_the_grandparent(void **state)
{
	struct snapshot_tree t;
	struct err e;

	(void)state;
	assert_int_equal(parse(&t, TREE(THREE, "\"b\""), &e), 0);
	snapshot_remove(&t, snapshot_find(&t, "b", &e));
	assert_int_equal(t.n, 2);
	assert_string_equal(snapshot_find(&t, "c", &e)->parent, "a");
	assert_string_equal(t.current, "a");
	snapshot_set_name(&t, snapshot_find(&t, "a", &e), "new");
	assert_string_equal(snapshot_find(&t, "c", &e)->parent, "new");
	assert_string_equal(t.current, "new");
	snapshot_remove(&t, snapshot_find(&t, "new", &e));
	assert_string_equal(t.current, "");
	assert_string_equal(t.list[0].parent, "");
	snapshot_tree_free(&t);
}

static void what_is_saved_is_loaded(void **state)
{
	char path[] = "/tmp/baton-snaptree-XXXXXX";
	struct snapshot_tree t, u;
	struct err e;
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	assert_int_equal(parse(&t, TREE(THREE, "\"c\""), &e), 0);
	json_array_append_new(t.images, json_string("d.s1.qcow2"));
	assert_int_equal(snapshot_set_image(&t.list[1].disk[1].path, &t.list[1].disk[1].format, "x",
					    "qcow2", &e),
			 0);
	strcpy(t.list[2].memory, "3.state");
	t.list[1].variables = strdup("");
	t.list[2].variables = strdup("3.vars");
	assert_int_equal(snapshot_tree_save(&t, path, &e), 0);
	assert_int_equal(snapshot_tree_load(&u, path, &e), 0);
	assert_int_equal(u.n, 3);
	assert_string_equal(u.current, "c");
	assert_string_equal(u.list[2].memory, "3.state");
	assert_null(u.list[0].variables);
	assert_string_equal(u.list[1].variables, "");
	assert_string_equal(u.list[2].variables, "3.vars");
	assert_null(u.list[1].disk[0].path);
	assert_string_equal(u.list[1].disk[1].path, "x");
	assert_string_equal(u.list[1].disk[1].format, "qcow2");
	assert_int_equal(json_array_size(u.images), 1);
	assert_null(u.pending);
	snapshot_tree_free(&t);
	snapshot_tree_free(&u);
	unlink(path);
	assert_int_equal(snapshot_tree_load(&u, path, &e), 0); /* none is an empty tree */
	assert_int_equal(u.n, 0);
	snapshot_tree_free(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_is_named),
		cmocka_unit_test(children_go_to_the_grandparent),
		cmocka_unit_test(what_is_saved_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
