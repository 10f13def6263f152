/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metal.h"

#include <string.h>
#include <sys/utsname.h>

bool on_bare_metal(void)
{
	struct utsname u;

	return !uname(&u) && !strncmp(u.version, "Baton", 5);
}
