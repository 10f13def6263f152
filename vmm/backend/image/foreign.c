/* SPDX-License-Identifier: Apache-2.0 */
/* Formats that others write and nobody reads here, by their first bytes: they are not raw disks. */
#include <string.h>

#include "vmm/backend/image/image.h"

static const struct {
	const char *magic, *name;
} foreign[] = {
	{"KDMV", "VMDK"},
	{"COWD", "VMDK"},
	{"# Disk DescriptorFile", "VMDK"},
	{"vhdxfile", "VHDX"},
	{"conectix", "VHD"},
	{"QED", "QED"}, /* and its NUL */
	{"WithoutFreeSpace", "Parallels"},
	{"WithouFreSpacExt", "Parallels"},
};

const char *image_foreign(const uint8_t head[IMAGE_HEAD_BYTES])
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		size_t n = strlen(foreign[i].magic);

		n += n < 4;
		if (!memcmp(head, foreign[i].magic, n))
			return foreign[i].name;
	}
	return NULL;
}
