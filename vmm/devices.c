/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices a machine has: the PC's own, then what the description asks for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/chardev.h"
#include "vmm/backend/netdev.h"
#include "vmm/device/irqchip.h"
#include "vmm/device/pci/pci.h"
#include "vmm/device/vga/vga.h"
#include "vmm/drives.h"
#include "vmm/firmwarefiles.h"
#include "vmm/machine.h"

/* Devices that a description can ask for but not leave out, in bus order. */
static const struct {
	const char *name;
	bool unless_irqchip; /* the engine's interrupt chips bring it along */
} board[] = {
	{"pit", true},      {"fpu-error", false}, {"rtc", false},      {"i8042", false},
	{"acpi-pm", false}, {"pci-host", false},  {"ich9-lpc", false},
};

int machine_add_device(struct machine *m, struct device_conf *conf, struct device **out,
		       struct err *e)
{
	const struct device_ops *ops = device_find(conf->name);
	struct device *d;
	unsigned instance = 0;

	if (!ops)
		return err_set(e, -EINVAL,
			       "there is no device \"%s\"; see `baton run --device help`",
			       conf->name);
	if (ops->create(&d, &m->env, conf, e))
		return e->code; /* the sentence names the device */
	for (struct device *o = m->devices; o; o = o->next)
		instance += o->ops == ops;
	d->ops = ops;
	d->instance = instance;
	d->next = NULL;
	*m->devices_end = d;
	m->devices_end = &d->next;
	if (device_conf_check(conf, e))
		return e->code; /* the sentence names the device */
	if (out)
		*out = d;
	return 0;
}

static int add_board(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < sizeof(board) / sizeof(board[0]); i++) {
		struct device_conf conf = {.name = board[i].name};
		struct device *d;

		if (board[i].unless_irqchip && m->engine->irqchip)
			continue;
		if (!strcmp(board[i].name, "i8042"))
			conf.backend = &m->input;
		if (machine_add_device(m, &conf, &d, e))
			return e->code;
		if (!strcmp(board[i].name, "acpi-pm"))
			m->acpi_pm = d;
		if (!strcmp(board[i].name, "fpu-error"))
			m->fpu_error = d;
		if (!strcmp(board[i].name, "pci-host"))
			m->env.pci = pci_host_of(d);
	}
	return 0;
}

/* `--device vga,xres=...` has settings for the adapter that `display` asks for. */
static bool is_screen(const struct spec_device *d)
{
	return !strcmp(d->name, "vga");
}

static void take_settings(struct device_conf *conf, const struct spec_device *d)
{
	for (unsigned p = 0; p < d->nprops; p++) {
		conf->prop[p].key = d->key[p];
		conf->prop[p].value = d->value[p];
	}
	conf->nprops = d->nprops;
}

static int add_screen(struct machine *m, struct err *e)
{
	struct vga_setup setup = {&m->display, m->video_bios.data, m->video_bios.size};
	struct device_conf conf = {.name = "vga", .backend = &setup};

	for (unsigned i = 0; i < m->spec->ndevices; i++)
		if (is_screen(&m->spec->devices[i]))
			take_settings(&conf, &m->spec->devices[i]);
	return spec_has_screen(m->spec) ? machine_add_device(m, &conf, NULL, e) : 0;
}

static void own(struct machine *m, void (*destroy)(void *), void *backend)
{
	m->backend[m->nbackends++] = (struct machine_backend){destroy, backend};
}

static void chardev_destroy(void *c)
{
	((struct chardev *)c)->ops->destroy(c);
}

static void netdev_destroy(void *n)
{
	((struct netdev *)n)->ops->destroy(n);
}

static void user_quits(void *opaque)
{
	machine_end(opaque, MACHINE_STATUS_OK);
}

static int add_serial(struct machine *m, struct err *e)
{
	struct device_conf conf = {.name = "uart"};
	struct chardev *c;

	if (chardev_open(m->spec->serial, m->loop, user_quits, m, &c, e))
		return err_prefix(e, "serial");
	own(m, chardev_destroy, c);
	conf.backend = c;
	return machine_add_device(m, &conf, NULL, e);
}

static bool is_tap(const struct spec_net *n)
{
	return !strcmp(n->type, "bridge") || !strcmp(n->type, "network");
}

static void add_prop(struct device_conf *conf, const char *key, const char *value)
{
	conf->prop[conf->nprops].key = key;
	conf->prop[conf->nprops++].value = value;
}

static int add_nets(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < m->spec->nnets; i++) {
		const struct spec_net *s = &m->spec->nets[i];
		bool virtio = !s->model || !strcmp(s->model, "virtio");
		struct device_conf conf = {.name = virtio ? "virtio-net" : s->model};
		char mac[18];
		struct device *dev;
		struct netdev *n;

		if (s->fd < 0)
			return err_set(e, -EINVAL,
				       "nets[%u]: no connected descriptor was handed over", i);
		if (is_tap(s) ? netdev_tap_open(s->fd, m->loop, &n, e)
			      : netdev_stream_open(s->fd, m->loop, &n, e))
			return err_prefix(e, "nets[%u]", i);
		if (strcmp(s->type, "user")) /* passt alone takes larger ones from all */
			n->mtu = 0;
		own(m, netdev_destroy, n);
		m->net[i] = n;
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", s->mac[0], s->mac[1],
			 s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
		add_prop(&conf, "mac", mac);
		/* Firmware's network code keeps buffers of the largest packet: iPXE has no room. */
		if (virtio)
			add_prop(&conf, "mtu", spec_firmware(m->spec) ? "0" : "1");
		conf.backend = n;
		if (machine_add_device(m, &conf, &dev, e) ||
		    machine_note_bootable(m, dev, 0, "net", s->bootindex, e))
			return e->code;
	}
	return 0;
}

/* The machine's own setting "chardev" opens the back end of a device that takes one. */
static int open_chardev(struct machine *m, struct device_conf *conf, struct err *e)
{
	const struct device_ops *ops = device_find(conf->name);
	struct chardev *c;
	const char *text;

	if (!ops || !ops->takes_chardev)
		return 0;
	text = device_conf_str(conf, "chardev", NULL);
	if (!text)
		return 0;
	if (chardev_open(text, m->loop, user_quits, m, &c, e))
		return err_prefix(e, "device %s: chardev", conf->name);
	own(m, chardev_destroy, c);
	conf->backend = c;
	return 0;
}

static int add_listed(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < m->spec->ndevices; i++) {
		const struct spec_device *s = &m->spec->devices[i];
		struct device_conf conf = {.name = s->name};

		if (is_screen(s) && spec_has_screen(m->spec))
			continue;
		take_settings(&conf, s);
		if (open_chardev(m, &conf, e) || machine_add_device(m, &conf, NULL, e))
			return e->code;
	}
	return 0;
}

/* Entropy, memory on demand and a pointer cost a guest that ignores them nothing. */
static int add_defaults(struct machine *m, struct err *e)
{
	const struct {
		const char *name;
		bool wanted;
		void *backend;
	} defaults[] = {
		{"virtio-rng", true, NULL},
		{"virtio-balloon", true, NULL},
		{"virtio-tablet", spec_has_screen(m->spec), &m->input},
	};

	for (unsigned i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		struct device_conf conf = {.name = defaults[i].name,
					   .backend = defaults[i].backend};
		bool listed = !defaults[i].wanted;

		for (unsigned d = 0; d < m->spec->ndevices; d++)
			listed |= !strcmp(m->spec->devices[d].name, conf.name);
		if (!listed && machine_add_device(m, &conf, NULL, e))
			return e->code;
	}
	return 0;
}

int machine_create_devices(struct machine *m, struct err *e)
{
	if (add_board(m, e) || add_screen(m, e) || machine_add_firmware(m, e) || add_serial(m, e) ||
	    machine_add_drives(m, e) || add_nets(m, e) || add_listed(m, e) || add_defaults(m, e))
		return e->code;
	return machine_fill_firmware(m, e);
}

static void reset_device(struct device *d)
{
	d->ops->reset(d);
}

void machine_reset_devices(struct machine *m)
{
	if (m->irqchip) {
		reset_device(irqchip_pic(m->irqchip));
		reset_device(irqchip_ioapic(m->irqchip));
	} else {
		m->engine->chips_reset(m->vm);
	}
	for (struct device *d = m->devices; d; d = d->next)
		reset_device(d);
}

void machine_destroy_devices(struct machine *m)
{
	struct device *d;

	while ((d = m->devices)) {
		m->devices = d->next;
		d->ops->destroy(d);
	}
	while (m->nbackends) {
		struct machine_backend *b = &m->backend[--m->nbackends];

		b->destroy(b->backend);
	}
	machine_close_drives(m);
}
