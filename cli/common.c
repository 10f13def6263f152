/* SPDX-License-Identifier: Apache-2.0 */
/* What several verbs need. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "base/printable.h"
#include "cli/cli.h"
#include "manager/control_client.h"
#include "manager/vm.h"

void cli_print_json(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
}

void cli_put(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		make_printable(copy);
	fputs(copy ? copy : "?", stdout);
	free(copy);
}

void cli_put_lines(const char *key, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		char *line = strndup(text, len);

		printf("%-12s ", key);
		cli_put(line ? line : "?");
		putchar('\n');
		free(line);
		text += len + (text[len] == '\n');
		key = "";
	}
}

void cli_time(int64_t since, char out[32])
{
	time_t t = since;
	struct tm tm;

	if (!since || !localtime_r(&t, &tm))
		strcpy(out, "-");
	else
		strftime(out, 32, "%F %T", &tm);
}

int cli_call_fd(const char *name, const char *method, json_t *params, int fd, json_t **result,
		struct err *e)
{
	struct manager *m;
	struct vm_info vm;
	int rc = manager_open(&m, e);

	if (!rc) {
		rc = manager_find(m, name, &vm, e);
		manager_close(m);
	}
	if (rc) {
		json_decref(params);
		return rc;
	}
	if (control_call_fd(vm.control, method, params, fd, result, e))
		return err_prefix(e, "%s", name);
	return 0;
}

int cli_call(const char *name, const char *method, json_t *params, json_t **result, struct err *e)
{
	return cli_call_fd(name, method, params, -1, result, e);
}

int cli_for_each(char **names,
		 int (*fn)(struct manager *m, void *opaque, const char *name, struct err *e),
		 void *opaque, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e), failed = 0;

	if (rc)
		return rc;
	for (; *names; names++) {
		rc = fn(m, opaque, *names, e);
		failed = rc ? rc : failed;
		if (rc && names[1])
			fprintf(stderr, "baton: %s\n", e->text);
	}
	manager_close(m);
	/* The sentence is told: by the caller if it is the last name's. */
	return failed && !rc ? CLI_ERROR : rc;
}

void cli_say_when(struct manager *m, const char *name)
{
	struct vm_status v;
	struct err none;

	if (vm_look(m, name, &v, &none))
		return;
	if (v.pid)
		fprintf(stderr, "baton: %s is running; the change takes effect at its next start\n",
			name);
	else if (v.state == VM_SAVED)
		fprintf(stderr,
			"baton: %s is saved and goes on only as the machine that it was; to boot "
			"it "
			"with the change: baton start %s --discard-saved\n",
			name, name);
}

void cli_warn_memory(const char *name, uint64_t memory)
{
	uint64_t available = file_number("/proc/meminfo", "MemAvailable:") * 1024;

	if (available && memory > available)
		fprintf(stderr,
			"baton: warning: %s has %llu MiB of memory, more than the %llu MiB that "
			"this host has available\n",
			name, (unsigned long long)(memory / MIB),
			(unsigned long long)(available / MIB));
}

int cli_start_vm(struct manager *m, const char *name, struct err *e)
{
	struct vm_status v;
	struct err none;
	int rc;

	if (!vm_look(m, name, &v, &none) && !v.pid)
		cli_warn_memory(v.name, v.memory);
	rc = vm_start(m, name, e);
	if (!rc && !vm_look(m, name, &v, &none) && v.state == VM_PAUSED)
		fprintf(stderr,
			"baton: %s is paused, as it was when it was saved: baton resume %s\n", name,
			name);
	return rc;
}

bool cli_ask(const char *fmt, ...)
{
	char line[16];
	va_list ap;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" [y/N] ", stderr);
	return fgets(line, sizeof(line), stdin) && (*line == 'y' || *line == 'Y');
}
