/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"

/* What this kernel lacks, in words. */
struct lacking {
	char text[800];
	size_t used;
};

/* The other parts want it. */
static int no_new_privileges(struct err *e)
{
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 0;
	return err_set(e, -ENOSYS, "no_new_privs (%s)", strerror(errno));
}

/* Of the result of a part: 0, also when this kernel lacks it. */
static int note(struct lacking *l, int rc, struct err *e)
{
	if (!rc || (rc != -ENOSYS && rc != -EOPNOTSUPP))
		return rc ? err_prefix(e, "sandbox") : 0;
	if (l->used < sizeof(l->text))
		l->used += (size_t)snprintf(l->text + l->used, sizeof(l->text) - l->used, "%s%s",
					    l->used ? ", " : "", e->text);
	return 0;
}

int sandbox_enter(const struct spec *s, const char *description, struct err *e)
{
	const char *mode = s->sandbox ? s->sandbox : "auto";
	struct lacking l = {0};

	if (!strcmp(mode, "off"))
		return 0;
	if (note(&l, no_new_privileges(e), e) || note(&l, sandbox_files(s, description, e), e) ||
	    note(&l, sandbox_calls(e), e))
		return e->code;
	if (l.used && !strcmp(mode, "on"))
		return err_set(
			e, -EOPNOTSUPP,
			"sandbox: this host's kernel lacks %s; \"--sandbox auto\" takes what "
			"there is",
			l.text);
	if (l.used)
		log_info("sandbox: this host's kernel lacks %s", l.text);
	return 0;
}
