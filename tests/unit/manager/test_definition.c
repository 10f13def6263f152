/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: what is read, refused, printed, and what becomes of paths. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "manager/definition.h"

#define UUID "\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\""
#define HEAD "{\"version\":1," UUID ",\"boot\":{\"kernel\":\"k\"}"

static int parse(struct definition *d, const char *text, struct err *e)
{
	definition_init(d);
	return definition_parse(d, text, strlen(text), e);
}

static void what_is_printed_reads_back(void **state)
{
	static const char text[] = HEAD ",\"title\":\"T\",\"description\":\"a\\nb\","
					"\"autostart\":true,\"memory\":\"64M\"}";
	struct definition d, again;
	char *printed, *twice;
	struct err e;

	(void)state;
	assert_int_equal(parse(&d, text, &e), 0);
	assert_string_equal(d.title, "T");
	assert_string_equal(d.description, "a\nb");
	assert_true(d.autostart);
	assert_int_equal(d.machine.memory, 64 << 20);
	printed = definition_print(&d);
	assert_int_equal(parse(&again, printed, &e), 0);
	twice = definition_print(&again);
	assert_string_equal(printed, twice);
	free(printed);
	free(twice);
	definition_free(&d);
	definition_free(&again);
}

static const struct {
	const char *text, *word; /* word: in the error */
} bad[] = {
	{"", "line 1"},
	{"[]", "object"},
	{"{\"version\":1,\"boot\":{\"kernel\":\"k\"}}", "uuid: missing"},
	{"{\"version\":1,\"uuid\":\"0\",\"boot\":{\"kernel\":\"k\"}}", "uuid"},
	{"{" UUID ",\"boot\":{\"kernel\":\"k\"}}", "version: missing"},
	{HEAD ",\"title\":1}", "title: must be a string"},
	{HEAD ",\"title\":\"a\\tb\"}", "title: must be one line"},
	{HEAD ",\"description\":[]}", "description: must be a string"},
	{HEAD ",\"autostart\":\"yes\"}", "autostart: must be true or false"},
	{HEAD ",\"name\":\"x\"}", "name: not part of a definition"},
	{HEAD ",\"control\":\"/x\"}", "control: not part"},
	{HEAD ",\"record\":\"/etc/passwd\"}", "record: not part"},
	{HEAD ",\"restore\":\"/x\"}", "restore: not part"},
	{HEAD ",\"nets\":[{\"type\":\"user\",\"fd\":3}]}", "nets[0].fd"},
	{HEAD ",\"title\":\"a\",\"title\":\"b\"}", "duplicate"},
	{HEAD ",\"titel\":\"a\"}", "titel: unknown key"},
	{HEAD ",\"disks\":[{\"path\":\"a\\u0000b\"}]}", "line 1"},
};

static void what_is_wrong_is_told_with_its_path(void **state)
{
	struct definition d;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(parse(&d, bad[i].text, &e) < 0);
		if (!strstr(e.text, bad[i].word))
			fail_msg("no \"%s\" in \"%s\"", bad[i].word, e.text);
		definition_free(&d);
	}
}

static void long_texts_are_refused(void **state)
{
	struct definition d;
	struct err e;

	(void)state;
	assert_int_equal(parse(&d, HEAD "}", &e), 0);
	d.title = calloc(1, 200);
	memset(d.title, 'x', 199);
	assert_int_equal(definition_check(&d, &e), -EINVAL);
	d.title[120] = '\0';
	assert_int_equal(definition_check(&d, &e), 0);
	definition_free(&d);
}

static void uuids_differ(void **state)
{
	struct definition d;
	char first[40];
	struct err e;

	(void)state;
	definition_init(&d);
	assert_int_equal(definition_new_uuid(&d, &e), 0);
	assert_true(spec_uuid_ok(d.machine.uuid));
	assert_int_equal(d.machine.uuid[14], '4');
	strcpy(first, d.machine.uuid);
	assert_int_equal(definition_new_uuid(&d, &e), 0);
	assert_string_not_equal(first, d.machine.uuid);
	definition_free(&d);
}

static void paths_go_with_their_folder(void **state)
{
	struct definition d;
	struct err e;

	(void)state;
	assert_int_equal(parse(&d,
			       HEAD ",\"serial\":\"unix:s\",\"disks\":[{\"path\":\"d\"},"
				    "{\"path\":\"/vm2/d\"}]}",
			       &e),
			 0);
	assert_int_equal(spec_rebase(&d.machine, "/vm", &e), 0);
	assert_string_equal(d.machine.kernel, "/vm/k");
	assert_string_equal(d.machine.serial, "unix:/vm/s");
	assert_string_equal(d.machine.disks[0].path, "/vm/d");
	assert_string_equal(d.machine.disks[1].path, "/vm2/d");
	assert_int_equal(spec_unbase(&d.machine, "/vm", &e), 0);
	assert_string_equal(d.machine.kernel, "k");
	assert_string_equal(d.machine.serial, "unix:s");
	assert_string_equal(d.machine.disks[0].path, "d");
	assert_string_equal(d.machine.disks[1].path, "/vm2/d");
	definition_free(&d);
}

static void a_file_is_replaced_or_left(void **state)
{
	char folder[] = "/tmp/baton-definition-XXXXXX", path[64];
	struct definition d;
	struct stat st;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/vm.json", folder);
	assert_int_equal(parse(&d, HEAD "}", &e), 0);
	assert_int_equal(definition_save(&d, path, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	d.machine.cpus = 0;
	assert_int_equal(definition_save(&d, path, &e), -EINVAL);
	definition_free(&d);
	definition_init(&d);
	assert_int_equal(definition_load(&d, path, &e), 0);
	assert_int_equal(d.machine.cpus, 1);
	definition_free(&d);
	assert_int_equal(file_remove_tree(folder, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_printed_reads_back),
		cmocka_unit_test(what_is_wrong_is_told_with_its_path),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(uuids_differ),
		cmocka_unit_test(paths_go_with_their_folder),
		cmocka_unit_test(a_file_is_replaced_or_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
