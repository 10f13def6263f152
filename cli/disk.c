/* SPDX-License-Identifier: Apache-2.0 */
/* baton disk: images and the disks of VMs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "cli/cli.h"
#include "cli/run.h"
#include "manager/disk.h"

/* Exit statuses of `baton disk check`, as qemu-img's. */
#define CHECK_DAMAGE     2
#define CHECK_LEAKS      3
#define CHECK_IMPOSSIBLE 63

struct disk_context {
	char *format, *source_format, *backing, *backing_format;
	uint64_t cluster;
	bool json, fixed, repair, shrink, any_backing;
	struct cli_progress bar;
	const char *what; /* for the bar */
};

static int set_text(char **field, const char *value, struct err *e)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : err_set(e, -ENOMEM, "out of memory");
}

#define TEXT_SETTER(field)                                                           \
	static int set_##field(void *context, const char *value, struct err *e)      \
	{                                                                            \
		return set_text(&((struct disk_context *)context)->field, value, e); \
	}

TEXT_SETTER(format)
TEXT_SETTER(source_format)
TEXT_SETTER(backing)
TEXT_SETTER(backing_format)

static int set_cluster(void *context, const char *value, struct err *e)
{
	return num_parse_size(value, 1, &((struct disk_context *)context)->cluster, e);
}

static void fini(void *context)
{
	struct disk_context *c = context;

	free(c->format);
	free(c->source_format);
	free(c->backing);
	free(c->backing_format);
}

static void progress(void *opaque, uint64_t done, uint64_t total)
{
	struct disk_context *c = opaque;

	cli_progress(&c->bar, c->what, done, total);
}

/* "20.0 GiB" */
static const char *human(uint64_t bytes, char out[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes;
	unsigned u = 0;

	for (; n >= 1024 && u < 6; u++)
		n /= 1024;
	snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", n, units[u]);
	return out;
}

#define OPT_FORMAT                                                       \
	{                                                                \
		"format", "NAME",                                        \
			"raw, qcow2 or vdi (create and convert: by the " \
			"name's end, qcow2; else: by the content)",      \
			set_format                                       \
	}
#define OPT_JSON CLI_FLAG("json", "print JSON", struct disk_context, json)

/* ---- create --------------------------------------------------------------------------------- */

static void fill_create(const struct disk_context *c, const char *path, struct image_create *out)
{
	*out = (struct image_create){.format = c->format ? c->format : disk_format_for(path),
				     .backing = c->backing,
				     .backing_format = c->backing_format,
				     .cluster = c->cluster > UINT32_MAX ? 1 : (uint32_t)c->cluster,
				     .fixed = c->fixed};
}

static int create(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	struct image_create how;

	fill_create(c, operands[0], &how);
	if (!operands[1] && !c->backing)
		return err_set(e, -EINVAL, "disk create needs a SIZE, or --backing FILE");
	if (operands[1] && num_parse_size(operands[1], MIB, &how.size, e))
		return e->code;
	if (disk_make(operands[0], &how, e))
		return err_prefix(e, "%s", operands[0]);
	return CLI_OK;
}

static const struct cli_option create_options[] = {
	OPT_FORMAT,
	{"backing", "FILE", "an overlay: what is not written is read from FILE", set_backing},
	{"backing-format", "NAME", "format of that file (by its content)", set_backing_format},
	{"cluster", "SIZE", "unit of allocation of a qcow2 image (64K)", set_cluster},
	CLI_FLAG("fixed", "take all space at once (raw, vdi)", struct disk_context, fixed),
	CLI_END,
};

static const struct cli_verb disk_create = {
	.name = "disk create",
	.operands = "FILE [SIZE]",
	.help = "make an empty disk image, or an overlay on another one",
	.details = "SIZE is as in 512M or 20G; a bare number is MiB.",
	.example = "baton disk create web.qcow2 20G\n"
		   "baton disk create test.qcow2 --backing web.qcow2",
	.min = 1,
	.max = 2,
	.options = create_options,
	.context_size = sizeof(struct disk_context),
	.run = create,
	.fini = fini,
};

/* ---- info ----------------------------------------------------------------------------------- */

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void print_text(const char *indent, const char *label, const char *s)
{
	printf("%s%-9s ", indent, label);
	cli_put(s);
	putchar('\n');
}

static void print_image(const json_t *o, const char *indent)
{
	char size[32], used[32];

	print_text(indent, "file:", text(o, "path"));
	print_text(indent, "format:", text(o, "format"));
	printf("%ssize:     %s (%" PRIu64 " bytes)\n", indent, human(number(o, "size"), size),
	       number(o, "size"));
	printf("%son disk:  %s\n", indent, human(number(o, "used"), used));
	if (number(o, "cluster") > 1)
		printf("%scluster:  %" PRIu64 "\n", indent, number(o, "cluster"));
	if (text(o, "backing"))
		print_text(indent, "backing:", text(o, "backing"));
}

static int info(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	json_t *o, *link;
	size_t i;

	if (disk_describe(operands[0], c->format, &o, e))
		return e->code;
	if (c->json) {
		cli_print_json(o);
	} else {
		print_image(o, "");
		if (text(o, "in_use"))
			puts(text(o, "in_use"));
		if (text(o, "problem"))
			print_text("", "problem:", text(o, "problem"));
		json_array_foreach(json_object_get(o, "chain"), i, link)
		{
			printf("\n");
			print_image(link, "  ");
		}
	}
	json_decref(o);
	return CLI_OK;
}

static const struct cli_option info_options[] = {OPT_FORMAT, OPT_JSON, CLI_END};

static const struct cli_verb disk_info = {
	.name = "disk info",
	.operands = "FILE",
	.help = "say what an image is, what it stands on and who uses it",
	.example = "baton disk info web.qcow2",
	.min = 1,
	.max = 1,
	.options = info_options,
	.context_size = sizeof(struct disk_context),
	.run = info,
	.fini = fini,
};

/* ---- resize --------------------------------------------------------------------------------- */

static int resize(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	bool shrinks;
	uint64_t size;

	if (disk_new_size(operands[0], c->format, operands[1], &size, &shrinks, e))
		return err_prefix(e, "%s", operands[0]);
	if (shrinks && !c->shrink)
		return err_set(e, -EINVAL,
			       "%s: it would become smaller, and what is behind its new end would "
			       "be lost; add --shrink if you mean it",
			       operands[0]);
	if (disk_set_size(operands[0], c->format, size, e))
		return err_prefix(e, "%s", operands[0]);
	return CLI_OK;
}

static const struct cli_option resize_options[] = {
	OPT_FORMAT,
	CLI_FLAG("shrink", "allow a smaller size, which loses data", struct disk_context, shrink),
	CLI_END,
};

/* "-5G" is an operand: it stands behind "--". */
static const struct cli_verb disk_resize = {
	.name = "disk resize",
	.operands = "FILE SIZE",
	.help = "change the size that the guest sees: 20G, +5G, or -- FILE -5G",
	.example = "baton disk resize web.qcow2 +10G",
	.min = 2,
	.max = 2,
	.options = resize_options,
	.context_size = sizeof(struct disk_context),
	.run = resize,
	.fini = fini,
};

/* ---- convert, compact ----------------------------------------------------------------------- */

static int convert(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	const struct image_access a = {.any_backing = c->any_backing};
	struct image_convert how = {.source = operands[0],
				    .target = operands[1],
				    .source_format = c->source_format,
				    .a = &a,
				    .progress = progress,
				    .opaque = c};
	int rc;

	c->what = "convert";
	fill_create(c, operands[1], &how.create);
	rc = image_convert(&how, e);
	cli_progress_end(&c->bar);
	return rc;
}

static const struct cli_option convert_options[] = {
	OPT_FORMAT,
	{"source-format", "NAME", "format of SOURCE (by its content)", set_source_format},
	{"cluster", "SIZE", "unit of allocation of a qcow2 image (64K)", set_cluster},
	CLI_FLAG("fixed", "take all space at once (raw, vdi)", struct disk_context, fixed),
	CLI_FLAG("allow-backing", "SOURCE may stand on images in any folder", struct disk_context,
		 any_backing),
	CLI_END,
};

static const struct cli_verb disk_convert = {
	.name = "disk convert",
	.operands = "SOURCE TARGET",
	.help = "copy an image to a new one in another format, without what it stands on",
	.example = "baton disk convert web.vdi web.qcow2",
	.min = 2,
	.max = 2,
	.options = convert_options,
	.context_size = sizeof(struct disk_context),
	.run = convert,
	.fini = fini,
};

static int compact(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	char text_of[32];
	uint64_t freed;
	int rc;

	c->what = "compact";
	rc = image_compact(operands[0], c->format, &freed, progress, c, e);
	cli_progress_end(&c->bar);
	if (rc)
		return err_prefix(e, "%s", operands[0]);
	printf("%s given back\n", human(freed, text_of));
	return CLI_OK;
}

static const struct cli_option format_only[] = {OPT_FORMAT, CLI_END};

static const struct cli_verb disk_compact = {
	.name = "disk compact",
	.operands = "FILE",
	.help = "give the space of zeros in an image back to the host",
	.example = "baton disk compact web.qcow2",
	.min = 1,
	.max = 1,
	.options = format_only,
	.context_size = sizeof(struct disk_context),
	.run = compact,
	.fini = fini,
};

/* ---- check ---------------------------------------------------------------------------------- */

static void say_finding(void *opaque, const char *finding)
{
	const struct disk_context *c = opaque;

	if (!c->json)
		puts(finding);
}

static void print_check(const struct disk_context *c, const struct image_check *k)
{
	if (c->json) {
		json_t *o =
			json_pack("{s:I, s:I, s:I, s:I, s:I}", "corruptions",
				  (json_int_t)k->corruptions, "leaks", (json_int_t)k->leaks,
				  "repaired", (json_int_t)k->repaired, "allocated_clusters",
				  (json_int_t)k->allocated, "total_clusters", (json_int_t)k->total);

		cli_print_json(o);
		json_decref(o);
		return;
	}
	printf("%" PRIu64 " damaged, %" PRIu64 " leaked, %" PRIu64 " repaired; %" PRIu64
	       " of %" PRIu64 " clusters in use\n",
	       k->corruptions, k->leaks, k->repaired, k->allocated, k->total);
}

static int check(void *context, char **operands, struct err *e)
{
	struct disk_context *c = context;
	struct image_check k = {.say = say_finding, .opaque = c};
	int rc = image_check(operands[0], c->format, c->repair, &k, e);

	if (rc) {
		err_prefix(e, "%s", operands[0]);
		if (rc != -ENOTSUP)
			return rc;
		fprintf(stderr, "baton: %s\n", e->text);
		return CHECK_IMPOSSIBLE;
	}
	print_check(c, &k);
	if (k.repaired == k.corruptions + k.leaks)
		return CLI_OK;
	return k.corruptions ? CHECK_DAMAGE : CHECK_LEAKS;
}

static const struct cli_option check_options[] = {
	OPT_FORMAT,
	CLI_FLAG("repair", "put right what can be", struct disk_context, repair),
	OPT_JSON,
	CLI_END,
};

static const struct cli_verb disk_check = {
	.name = "disk check",
	.operands = "FILE",
	.help = "look for damage and lost space in a qcow2 or VDI image",
	.details =
		"Exit status: 0 nothing found or all repaired, 2 damage, 3 only lost space, 63 the "
		"format has nothing to check, 1 other errors.",
	.example = "baton disk check --repair web.qcow2",
	.min = 1,
	.max = 1,
	.options = check_options,
	.context_size = sizeof(struct disk_context),
	.run = check,
	.fini = fini,
};

/* ---- the group ------------------------------------------------------------------------------- */

static const struct cli_verb *const disk_verbs[] = {
	&disk_create,  &disk_info,       &disk_resize,     &disk_convert, &disk_check,
	&disk_compact, &cli_disk_attach, &cli_disk_detach, NULL,
};

const struct cli_verb cli_disk = {
	.name = "disk",
	.sub = disk_verbs,
	.operands = "",
	.help = "make, look at, convert, check and attach disk images",
};
