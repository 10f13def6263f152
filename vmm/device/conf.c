/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a device: look-up, range checks, and refusal of keys that no device asked for. */
#include "vmm/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *device_conf_str(struct device_conf *c, const char *key, const char *dflt)
{
	for (unsigned i = 0; i < c->nprops; i++) {
		if (strcmp(c->prop[i].key, key))
			continue;
		c->prop[i].used = true;
		return c->prop[i].value;
	}
	return dflt;
}

int device_conf_u64(struct device_conf *c, const char *key, uint64_t dflt, uint64_t min,
		    uint64_t max, uint64_t *out, struct err *e)
{
	const char *text = device_conf_str(c, key, NULL);
	char *end;

	if (!text) {
		*out = dflt;
		return 0;
	}
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text < '0' || *text > '9')
		return err_set(e, -EINVAL, "device %s: %s=%s is not a number", c->name, key, text);
	if (*out < min || *out > max)
		return err_set(e, -ERANGE,
			       "device %s: %s=%s must be from %#" PRIx64 " to %#" PRIx64, c->name,
			       key, text, min, max);
	return 0;
}

int device_conf_check(const struct device_conf *c, struct err *e)
{
	for (unsigned i = 0; i < c->nprops; i++)
		if (!c->prop[i].used)
			return err_set(e, -EINVAL, "device %s: it has no setting named %s", c->name,
				       c->prop[i].key);
	return 0;
}
