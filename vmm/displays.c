/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's screen: its adapter, the memory of it, and the control methods that look at it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vmm/backend/png.h"
#include "vmm/control/control.h"
#include "vmm/machine.h"

#define VIDEO_BIOS     "/usr/share/seabios/vgabios-stdvga.bin"
#define VIDEO_BIOS_MAX (128u << 10)

/* ---- the video BIOS ------------------------------------------------------------------------- */

/* Padded to a power of two, as a ROM's size has to be. */
static int pad_video_bios(struct machine *m, size_t len, const char *path, struct err *e)
{
	uint64_t size = 2048;
	uint8_t *data;

	while (size < len)
		size *= 2;
	data = realloc(m->video_bios.data, size);
	if (!data)
		return err_set(e, -ENOMEM, "video BIOS %s: out of memory", path);
	memset(data + len, 0, size - len);
	m->video_bios.data = data;
	m->video_bios.size = size;
	return 0;
}

/* Only a BIOS and text modes need it: a host without the file has a graphics adapter all the same.
 */
int machine_load_video_bios(struct machine *m, struct err *e)
{
	const char *path = m->spec->video_bios ? m->spec->video_bios : VIDEO_BIOS;
	size_t len;

	if (!m->spec->video_bios && access(path, R_OK)) {
		log_info("no video BIOS: install the package seabios for text modes");
		return 0;
	}
	if (file_read(path, VIDEO_BIOS_MAX, (char **)&m->video_bios.data, &len, e))
		return err_prefix(e, "video BIOS");
	return pad_video_bios(m, len, path, e);
}

/* ---- the server ----------------------------------------------------------------------------- */

/* Without an address: beside the control socket, which is the VM's own place. */
static int default_address(const struct machine *m, struct vnc_config *c, struct err *e)
{
	const char *control = m->spec->control;
	size_t n = control ? strlen(control) : 0;

	if (n > 5 && !strcmp(control + n - 5, ".sock"))
		n -= 5;
	if (asprintf(&c->unix_path, "%.*s.vnc", (int)n, control ? control : "") < 0) {
		c->unix_path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

int machine_open_vnc(struct machine *m, struct err *e)
{
	const char *text = spec_display(m->spec);
	struct vnc_screen screen = {&m->display, &m->input, &m->lock,
				    m->spec->name ? m->spec->name : "Baton"};
	struct vnc_config c;
	int rc;

	if (strncmp(text, "vnc", 3))
		return 0;
	rc = vnc_config_parse(text, &c, e);
	if (!rc && !c.unix_path && !c.host && m->spec->control)
		rc = default_address(m, &c, e);
	if (!rc)
		rc = vnc_open(&m->vnc, &c, &screen, e);
	vnc_config_free(&c);
	return rc ? err_prefix(e, "display") : 0;
}

/* ---- memory of devices ---------------------------------------------------------------------- */

static void move_now(void *opaque)
{
	struct machine *m = opaque;

	m->memory_moves = false;
	machine_hold(m);
	for (unsigned i = 0; i < m->mem.nslots; i++) {
		gpa_t old = m->mem.slot[i].gpa;
		int rc;

		if (!m->mem.slot[i].device || old == m->memory_wanted[i])
			continue;
		mem_move(&m->mem, i, m->memory_wanted[i]);
		rc = m->engine->mem_moved(m->vm, i, old);
		if (rc) /* the device still answers on the bus */
			log_warn("device memory at %#llx: %s",
				 (unsigned long long)m->memory_wanted[i], strerror(-rc));
	}
	machine_release(m);
}

/* The calling vCPU is inside a device access: the main thread does the work. */
void machine_move_memory(void *opaque, unsigned slot, gpa_t gpa)
{
	struct machine *m = opaque;

	m->memory_wanted[slot] = gpa;
	if (!m->memory_moves)
		loop_call(m->loop, move_now, m);
	m->memory_moves = true;
}

/* ---- control methods ------------------------------------------------------------------------ */

static int no_screen(const struct machine *m, struct err *e)
{
	if (m->display.draw)
		return 0;
	return err_set(e, -ENODEV, "the machine has no screen; start it with --display vnc or vga");
}

/* To the file that came along, otherwise to a new one, or one that is there, of that name. */
static int write_picture(struct control_call *call, const char *path, const struct surface *s,
			 struct err *e)
{
	int fd = control_take_fd(call);

	if (fd < 0)
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return png_write(fd, s, e) ? err_prefix(e, "%s", path) : 0;
}

/* {"path"}: the picture as a PNG file. */
static int screenshot(void *opaque, const json_t *params, struct control_call *call,
		      json_t **result, struct err *e)
{
	struct machine *m = opaque;
	const char *path = json_string_value(json_object_get(params, "path"));
	struct surface s = {0};
	int rc = no_screen(m, e);

	if (rc)
		return rc;
	rc = display_look(&m->display, &s);
	if (rc)
		rc = err_set(e, rc, "no memory for the picture");
	else
		rc = write_picture(call, path, &s, e);
	if (!rc)
		*result = json_pack("{s:i, s:i}", "width", (int)s.width, "height", (int)s.height);
	surface_free(&s);
	return rc;
}

static int screen_text(void *opaque, const json_t *params, struct control_call *call,
		       json_t **result, struct err *e)
{
	struct machine *m = opaque;
	char *text;
	int rc = no_screen(m, e);

	(void)params, (void)call;
	if (rc)
		return rc;
	text = display_read_text(&m->display);
	if (!text)
		return err_set(e, -ENOTSUP, "the screen shows a picture, not text; take a PNG");
	*result = json_pack("{s:s}", "text", text);
	free(text);
	return 0;
}

/* Where a viewer finds the screen; null: nowhere. */
static int display_info(void *opaque, const json_t *params, struct control_call *call,
			json_t **result, struct err *e)
{
	const struct machine *m = opaque;

	(void)params, (void)call, (void)e;
	*result = json_pack("{s:b, s:s?}", "screen", m->display.draw != NULL, "vnc",
			    m->vnc ? vnc_address(m->vnc) : NULL);
	return 0;
}

const struct control_method display_methods[] = {
	{"display", display_info, {{0}}},
	{"screenshot", screenshot, {{"path", CONTROL_STRING, true}}},
	{"screen_text", screen_text, {{0}}},
	{NULL, NULL, {{0}}},
};
