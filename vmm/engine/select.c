/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the engine: as named, or by measuring what this host's KVM is worth. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/engine/engine.h"
#include "vmm/engine/kvm/host.h"

static const struct engine_ops *const engines[] = {&engine_kvm, &engine_bt};

/* Measuring says which is faster; whether that one has all it needs says its own probe. */
static const struct engine_ops *choose(char *why, size_t whylen, struct err *e)
{
	struct kvm_host host;

	kvm_host_measure(&host);
	if (kvm_host_advice(&host, why, whylen))
		return &engine_kvm;
	return engine_bt.probe(e) ? NULL : &engine_bt;
}

static const struct engine_ops *find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strlen(engines[i]->name) == len && !memcmp(engines[i]->name, name, len))
			return engines[i];
	return NULL;
}

const struct engine_ops *engine_select(const char *text, const char **options, char *why,
				       size_t whylen, struct err *e)
{
	size_t len = strcspn(text, ",");
	const struct engine_ops *ops;

	*options = text[len] ? text + len + 1 : "";
	if (len == 4 && !memcmp(text, "auto", 4)) {
		if (**options) {
			err_set(e, -EINVAL,
				"engine auto has no options; name kvm or bt to give \"%s\"",
				*options);
			return NULL;
		}
		return choose(why, whylen, e);
	}
	ops = find(text, len);
	if (!ops) {
		err_set(e, -EINVAL, "engine \"%.*s\" is unknown; there are auto, kvm, bt", (int)len,
			text);
		return NULL;
	}
	if (ops->probe(e)) {
		err_prefix(e, "engine %s", ops->name);
		return NULL;
	}
	snprintf(why, whylen, "engine %s: as asked for", ops->name);
	return ops;
}
