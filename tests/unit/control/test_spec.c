/* SPDX-License-Identifier: Apache-2.0 */
/* Machine descriptions: what is read comes back when printed, what is wrong is named by its path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "vmm/spec.h"

#define KERNEL "\"version\": 1, \"boot\": {\"kernel\": \"k\"}"

static int parse(struct spec *s, const char *text, struct err *e)
{
	int rc;

	spec_init(s);
	rc = spec_parse(s, text, strlen(text), e);
	return rc ? rc : spec_check(s, e);
}

static void a_full_description_is_read(void **state)
{
	static const char text[] =
		"{\"version\": 1, \"name\": \"demo\", \"memory\": \"1G\", \"cpus\": 4,"
		" \"cpu_shares\": 200, \"cpu_cap\": 150,"
		" \"engine\": \"bt\", \"cpu_model\": \"v3\","
		" \"boot\": {\"kernel\": \"k\", \"append\": \"a\", \"modules\": [\"m x\", \"n\"]},"
		" \"serial\": \"unix:/s\", \"disks\": [{\"path\": \"d\", \"readonly\": true},"
		" {\"path\": \"e\", \"format\": \"raw\"}],"
		" \"nets\": [{\"type\": \"user\", \"mac\": \"52:54:00:ab:cd:ef\","
		" \"forwards\": [\"tcp:8080:80\"], \"fd\": 5}, {\"type\": \"user\"}],"
		" \"devices\": [{\"name\": \"debug-exit\", \"port\": 244, \"x\": \"y\"}],"
		" \"reboot\": false, \"trace\": \"exits\", \"control\": \"/c\"}";
	struct spec s, again;
	struct err e;
	char *printed, *twice;

	(void)state;
	assert_int_equal(parse(&s, text, &e), 0);
	assert_string_equal(s.name, "demo");
	assert_int_equal(s.memory, GIB);
	assert_int_equal(s.cpus, 4);
	assert_string_equal(s.modules[1], "n");
	assert_true(s.disks[0].readonly && !s.disks[1].readonly);
	assert_int_equal(s.nets[0].mac[3], 0xab);
	assert_int_equal(s.nets[0].fd, 5);
	assert_int_equal(s.nets[1].fd, -1);
	assert_int_equal(s.nets[1].mac[5], 0x57); /* the second default */
	assert_string_equal(s.devices[0].value[0], "244");
	assert_false(s.reboot);
	printed = spec_print(&s);
	assert_int_equal(parse(&again, printed, &e), 0);
	twice = spec_print(&again);
	assert_string_equal(printed, twice);
	assert_int_equal(again.cpu_shares, 200);
	assert_int_equal(again.cpu_cap, 150);
	free(printed);
	free(twice);
	spec_free(&s);
	spec_free(&again);
}

static void defaults_stand(void **state)
{
	struct spec s;
	struct err e;

	(void)state;
	assert_int_equal(parse(&s, "{" KERNEL "}", &e), 0);
	assert_int_equal(s.memory, 512 * MIB);
	assert_int_equal(s.cpus, 1);
	assert_string_equal(s.engine, "auto");
	assert_string_equal(s.serial, "stdio");
	assert_true(s.reboot);
	spec_free(&s);
}

static const struct {
	const char *text, *words;
} faults[] = {
	{"", "line 1"},
	{"{", "line 1"},
	{"[1]", "description: must be an object"},
	{"{\"boot\": {}}", "version: missing"},
	{"{\"version\": 2}", "version: must be 1"},
	{"{\"version\": 1}", "nothing to start"},
	{"{" KERNEL ", \"memroy\": 1}", "memroy: unknown key"},
	{"{" KERNEL ", \"memory\": 1, \"memory\": 2}", "duplicate"},
	{"{" KERNEL ", \"memory\": true}", "memory: must be a whole number"},
	{"{" KERNEL ", \"memory\": 3145728}", "too small"},
	{"{" KERNEL ", \"memory\": -1}", "memory: must be from 0"},
	{"{" KERNEL ", \"memory\": \"many\"}", "memory: \"many\" is not a size"},
	{"{" KERNEL ", \"memory\": 10485761}", "whole number of MiB"},
	{"{" KERNEL ", \"memory\": \"8T\"}", "too large"},
	{"{" KERNEL ", \"cpus\": 0}", "cpus: must be from 1"},
	{"{" KERNEL ", \"cpus\": 65}", "cpus: must be from 1"},
	{"{" KERNEL ", \"cpus\": 1.5}", "cpus: must be a whole number"},
	{"{" KERNEL ", \"cpu_shares\": 0}", "cpu_shares: must be from 1"},
	{"{" KERNEL ", \"cpu_shares\": 10001}", "cpu_shares: must be from 1"},
	{"{" KERNEL ", \"cpu_cap\": 6401}", "cpu_cap: must be from 1"},
	{"{" KERNEL ", \"name\": \"../x\"}", "name: \"../x\""},
	{"{" KERNEL ", \"name\": \"\"}", "name:"},
	{"{" KERNEL ", \"reboot\": 1}", "reboot: must be true or false"},
	{"{" KERNEL ", \"serial\": \"com1\"}", "serial: \"com1\""},
	{"{" KERNEL ", \"disks\": {}}", "disks: must be an array"},
	{"{" KERNEL ", \"disks\": [{}]}", "disks[0].path: missing"},
	{"{" KERNEL ", \"disks\": [{\"path\": \"a\"}, {\"path\": 1}]}", "disks[1].path: must be"},
	{"{" KERNEL ", \"disks\": [{\"path\": \"a\", \"format\": \"qcow9\"}]}", "disks[0].format"},
	{"{" KERNEL ", \"disks\": [{\"path\": \"a\"}, {\"path\": \"a\"}]}",
	 "a is disks[0] already"},
	{"{" KERNEL ", \"disks\": [{\"path\": \"a\", \"ro\": true}]}", "disks[0].ro: unknown"},
	{"{" KERNEL ", \"nets\": [{}]}", "nets[0].type"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"tap\"}]}", "nets[0].type"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"user\", \"mac\": \"52:54\"}]}", "nets[0].mac"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"user\", \"mac\": \"01:00:00:00:00:01\"}]}", "group"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"user\", \"forwards\": [\"tcp:0:80\"]}]}",
	 "nets[0].forwards[0]"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"user\", \"forwards\": [\"tcp:80:80x\"]}]}",
	 "nets[0].forwards[0]"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"user\", \"name\": \"x\"}]}", "nets[0].name: user"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"bridge\"}]}", "nets[0].name: a bridge"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"bridge\", \"name\": \"longer-than-15-ch\"}]}",
	 "up to 15"},
	{"{" KERNEL ", \"nets\": [{\"type\": \"internal\", \"name\": \"../x\"}]}", "nets[0].name"},
	{"{" KERNEL
	 ", \"nets\": [{\"type\": \"internal\", \"name\": \"x\", \"forwards\": [\"tcp:1:1\"]}]}",
	 "nets[0].forwards: only user"},
	{"{" KERNEL ", \"display\": \"crt\"}", "display: \"crt\" is none of"},
	{"{" KERNEL ", \"display\": \"vnc=0.0.0.0:5900\"}", "display: other hosts"},
	{"{" KERNEL ", \"devices\": [{\"port\": 1}]}", "devices[0].name: missing"},
	{"{" KERNEL ", \"devices\": [{\"name\": \"x\", \"port\": []}]}", "devices[0].port: must"},
	{"{\"version\": 1, \"boot\": {\"kernel\": \"k\", \"firmware\": \"f\"}}", "exclude"},
	{"{\"version\": 1, \"boot\": {\"initrd\": \"i\", \"firmware\": \"f\"}}",
	 "go with a kernel"},
	{"{\"version\": 1, \"boot\": {\"kernel\": \"k\", \"modules\": [\" x\"]}}", "modules[0]"},
	{"{\"version\": 1, \"boot\": \"k\"}", "boot: must be an object"},
};

static void faults_are_named_by_their_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct spec s;
		struct err e;

		if (!parse(&s, faults[i].text, &e))
			fail_msg("%s was accepted", faults[i].text);
		if (!strstr(e.text, faults[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, faults[i].words);
		spec_free(&s);
	}
}

static void too_many_entries_are_refused(void **state)
{
	char text[4096] = "{" KERNEL ", \"disks\": [{}";
	struct spec s;
	struct err e;

	(void)state;
	for (int i = 0; i < SPEC_MAX_DISKS; i++)
		strcat(text, ", {}");
	strcat(text, "]}");
	assert_true(parse(&s, text, &e) < 0);
	assert_non_null(strstr(e.text, "disks: more than 16"));
	spec_free(&s);
}

static void a_missing_file_is_named(void **state)
{
	struct spec s;
	struct err e;

	(void)state;
	spec_init(&s);
	assert_true(spec_load("/does/not/exist", &s, &e) < 0);
	assert_non_null(strstr(e.text, "/does/not/exist: No such file"));
	spec_free(&s);
}

static void forwards(void **state)
{
	static const struct {
		const char *text, *host; /* host NULL: refused */
		unsigned hostport, guestport;
	} rows[] = {
		{"tcp:8080:80", "", 8080, 80},
		{"udp:53:65535", "", 53, 65535},
		{"tcp:127.0.0.1:8080:80", "127.0.0.1", 8080, 80},
		{"udp:[::1]:8080:80", "::1", 8080, 80},
		{"tcp:[::1]8080:80", NULL, 0, 0},
		{"tcp:[127.0.0.1]:8080:80", NULL, 0, 0},
		{"tcp:::1:8080:80", NULL, 0, 0},
		{"tcp:1.2.3:8080:80", NULL, 0, 0},
		{"tcp:[::1:8080:80", NULL, 0, 0},
		{"tcp:localhost:8080:80", NULL, 0, 0},
		{"sctp:8080:80", NULL, 0, 0},
		{"tcp:8080", NULL, 0, 0},
		{"tcp:8080:", NULL, 0, 0},
		{"tcp:0:80", NULL, 0, 0},
		{"tcp:65536:80", NULL, 0, 0},
		{"tcp:80:65536", NULL, 0, 0},
		{"tcp:+80:80", NULL, 0, 0},
		{"tcp:80:80 ", NULL, 0, 0},
		{"tcp:99999999999999999999:80", NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned hostport, guestport;
		char host[64];

		if (spec_forward_parse(rows[i].text, host, &hostport, &guestport) !=
		    (rows[i].host != NULL))
			fail_msg("%s", rows[i].text);
		if (!rows[i].host)
			continue;
		assert_string_equal(host, rows[i].host);
		assert_int_equal(hostport, rows[i].hostport);
		assert_int_equal(guestport, rows[i].guestport);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forwards),
		cmocka_unit_test(a_full_description_is_read),
		cmocka_unit_test(defaults_stand),
		cmocka_unit_test(faults_are_named_by_their_path),
		cmocka_unit_test(too_many_entries_are_refused),
		cmocka_unit_test(a_missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
