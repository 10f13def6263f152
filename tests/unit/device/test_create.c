/* SPDX-License-Identifier: Apache-2.0 */
/* Creating devices: settings, refusals, and nothing left behind by a refusal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/device/acpipm.h"
#include "vmm/device/hpet.h"
#include "vmm/device/irqchip.h"
#include "vmm/device/models.h"

static const struct device_ops *const models[] = {
	&pit_ops,    &rtc_ops,       &uart_ops,     &i8042_ops,
	&acpipm_ops, &debugexit_ops, &debugcon_ops, &hpet_ops,
};

#define NMODELS (sizeof(models) / sizeof(models[0]))

struct place {
	struct bus pio, mmio;
	struct vm_clock clock;
	struct device_env env;
};

static void place_init(struct place *p)
{
	memset(p, 0, sizeof(*p));
	bus_init(&p->pio, 0x10000);
	bus_init(&p->mmio, 1ull << 52);
	p->env = (struct device_env){.pio = &p->pio, .mmio = &p->mmio, .clock = &p->clock};
}

static int create(struct place *p, const struct device_ops *ops, const char *key, const char *value,
		  struct device **out, struct err *e)
{
	struct device_conf conf = {.name = ops->name};

	if (key) {
		conf.prop[0].key = key;
		conf.prop[0].value = value;
		conf.nprops = 1;
	}
	return ops->create(out, &p->env, &conf, e);
}

static void second_at_same_ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < NMODELS; i++) {
		struct device *first, *second;
		struct place p;
		struct err e;
		unsigned n;

		place_init(&p);
		assert_int_equal(create(&p, models[i], NULL, NULL, &first, &e), 0);
		n = p.pio.n;
		assert_int_equal(create(&p, models[i], NULL, NULL, &second, &e), -EEXIST);
		assert_non_null(strstr(e.text, "overlap"));
		assert_int_equal(p.pio.n, n);
		/* the sentence is optional */
		assert_int_equal(create(&p, models[i], NULL, NULL, &second, NULL), -EEXIST);
		first->ops->destroy(first);
		assert_int_equal(p.pio.n, 0);
		assert_null(p.clock.armed);
	}
}

/* Each port of a device in turn belongs to another already. */
static void ports_taken(void **state)
{
	static const struct io_ops none;

	(void)state;
	for (size_t i = 0; i < NMODELS; i++) {
		struct device *d;
		struct place p;
		struct err e;
		unsigned nports;

		place_init(&p);
		assert_int_equal(create(&p, models[i], NULL, NULL, &d, &e), 0);
		nports = p.pio.n;
		for (unsigned k = 0; k < nports; k++) {
			struct device *refused;
			struct place q;

			place_init(&q);
			assert_int_equal(
				bus_add(&q.pio, p.pio.r[k].base, 1, &none, NULL, "other", &e), 0);
			assert_int_equal(create(&q, models[i], NULL, NULL, &refused, &e), -EEXIST);
			assert_int_equal(q.pio.n, 1);
		}
		d->ops->destroy(d);
	}
}

static void irqchip_ports_taken(void **state)
{
	static const uint64_t taken[] = {0x20, 0xa0, 0x4d0};
	static const struct io_ops none;
	struct irqchip_out to = {0};
	struct irqchip *chip;
	struct place p;
	struct err e;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		place_init(&p);
		assert_int_equal(bus_add(&p.pio, taken[i], 1, &none, NULL, "other", &e), 0);
		assert_int_equal(irqchip_create(&chip, &p.env, &to, &e), -EEXIST);
		assert_int_equal(p.pio.n, 1);
	}
	place_init(&p);
	assert_int_equal(bus_add(&p.mmio, 0xfec00000, 1, &none, NULL, "other", &e), 0);
	assert_int_equal(irqchip_create(&chip, &p.env, &to, &e), -EEXIST);
	assert_int_equal(p.pio.n + p.mmio.n, 1);
}

static void settings(void **state)
{
	static const struct {
		const struct device_ops *ops;
		const char *key, *value;
		int rc;
	} rows[] = {
		{&uart_ops, "port", "0x2f8", 0},
		{&uart_ops, "port", "0xfff9", -ERANGE},
		{&uart_ops, "port", "", -EINVAL},
		{&uart_ops, "port", "-1", -EINVAL},
		{&uart_ops, "port", "12x", -EINVAL},
		{&uart_ops, "irq", "24", -ERANGE},
		{&uart_ops, "irq", "99999999999999999999", -EINVAL},
		{&debugexit_ops, "port", "0x501", 0},
		{&debugexit_ops, "port", "0xfffd", -ERANGE},
		{&debugcon_ops, "port", "0xe9", 0},
		{&debugcon_ops, "port", "0x10000", -ERANGE},
		{&rtc_ops, "epoch", "0", 0},
		{&rtc_ops, "epoch", "0x300000000", -ERANGE},
		{&pit_ops, "irq", "zero", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct device *d;
		struct place p;
		struct err e;

		place_init(&p);
		assert_int_equal(create(&p, rows[i].ops, rows[i].key, rows[i].value, &d, &e),
				 rows[i].rc);
		if (rows[i].rc)
			assert_non_null(strstr(e.text, rows[i].key));
		else
			d->ops->destroy(d);
		assert_int_equal(p.pio.n, 0);
	}
}

static void unknown_setting(void **state)
{
	struct device_conf conf = {.name = "pit", .nprops = 1};
	struct err e;

	(void)state;
	conf.prop[0].key = "speed";
	conf.prop[0].value = "fast";
	assert_int_equal(device_conf_check(&conf, &e), -EINVAL);
	assert_non_null(strstr(e.text, "speed"));
	assert_string_equal(device_conf_str(&conf, "speed", NULL), "fast");
	assert_int_equal(device_conf_check(&conf, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(second_at_same_ports), cmocka_unit_test(ports_taken),
		cmocka_unit_test(irqchip_ports_taken),  cmocka_unit_test(settings),
		cmocka_unit_test(unknown_setting),
	};

	return cmocka_run_group_tests_name("device creation", tests, NULL, NULL);
}
