/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware: see acpipm.h. The machine is always in ACPI mode, so there is no SMI. */
#include "vmm/device/acpipm.h"

#include <errno.h>
#include <stdlib.h>

#define PM_HZ    3579545ull
#define NS_PER_S 1000000000ull

#define PM1_TMR    0x0001 /* the timer's bit 23 changed */
#define PM1_PWRBTN 0x0100
#define PM1_WAK    0x8000
#define PM1_STATUS (PM1_TMR | 0x0030 | 0x0700 | PM1_WAK) /* bits that a write of one clears */
#define PM1_ENABLE (PM1_TMR | 0x0020 | 0x0700)

#define CNT_SCI_EN     0x0001
#define CNT_SLP_TYP(v) ((v) >> 10 & 7)
#define CNT_SLP_EN     0x2000
#define CNT_KEPT       0x1c06 /* SLP_TYP, BM_RLD, GBL_RLS */

struct acpipm_hw {
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint16_t gpe_status, gpe_enable;
	uint64_t looked; /* PM timer ticks up to which PM1_TMR is right */
};

struct acpipm {
	struct device dev;
	struct acpipm_hw hw;
	const struct device_env *env;
	struct irq_line irq;
	struct clock_timer timer;
};

static const struct state_field acpipm_fields[] = {
	ST(1, struct acpipm_hw, pm1_status),
	ST(2, struct acpipm_hw, pm1_enable),
	ST(3, struct acpipm_hw, pm1_control),
	ST(4, struct acpipm_hw, gpe_status),
	ST(5, struct acpipm_hw, gpe_enable),
	ST(6, struct acpipm_hw, looked),
	ST_END,
};
static const struct state_desc acpipm_state = {"acpi-pm", 1, sizeof(struct acpipm_hw),
					       acpipm_fields};

static uint64_t pm_ticks(const struct acpipm *p)
{
	return (uint64_t)((unsigned __int128)clock_now(p->env->clock) * PM_HZ / NS_PER_S);
}

/* Brings the timer status, the SCI and the host timer in line with the registers. */
static void acpipm_update(struct acpipm *p)
{
	uint64_t now = pm_ticks(p), next;

	/* ACPI 4.8.3.3: the status is set whenever the top bit of the 24-bit counter toggles. */
	if (now >> 23 != p->hw.looked >> 23)
		p->hw.pm1_status |= PM1_TMR;
	p->hw.looked = now;
	irq_set(&p->irq,
		(p->hw.pm1_status & p->hw.pm1_enable) || (p->hw.gpe_status & p->hw.gpe_enable));
	if (!(p->hw.pm1_enable & PM1_TMR) || (p->hw.pm1_status & PM1_TMR)) {
		clock_timer_cancel(&p->timer);
		return;
	}
	next = ((now >> 23) + 1) << 23;
	clock_timer_set(&p->timer,
			(uint64_t)(((unsigned __int128)next * NS_PER_S + PM_HZ - 1) / PM_HZ));
}

static void acpipm_timer(void *opaque)
{
	acpipm_update(opaque);
}

void acpipm_power_button(struct device *d)
{
	struct acpipm *p = (struct acpipm *)d;

	p->hw.pm1_status |= PM1_PWRBTN;
	acpipm_update(p);
}

/* ---- registers: 16 bits each; the bus cuts wider accesses into these ------------------------- */

static uint64_t event_read(void *dev, uint64_t off, unsigned size)
{
	struct acpipm *p = dev;

	(void)size;
	acpipm_update(p);
	return off == 0 ? p->hw.pm1_status : off == 2 ? p->hw.pm1_enable : 0;
}

static void event_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpipm *p = dev;

	(void)size;
	acpipm_update(p);
	if (off == 0)
		p->hw.pm1_status &= ~(val & PM1_STATUS);
	else if (off == 2)
		p->hw.pm1_enable = (uint16_t)(val & PM1_ENABLE);
	acpipm_update(p);
}

static uint64_t control_read(void *dev, uint64_t off, unsigned size)
{
	struct acpipm *p = dev;

	(void)size;
	return off == 0 ? p->hw.pm1_control | CNT_SCI_EN : 0;
}

static void control_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpipm *p = dev;

	(void)size;
	if (off != 0)
		return;
	p->hw.pm1_control = (uint16_t)(val & CNT_KEPT);
	if ((val & CNT_SLP_EN) && CNT_SLP_TYP(val) == ACPIPM_S5_TYPE)
		p->env->event(p->env->opaque, MACHINE_POWEROFF, 0);
}

static uint64_t counter_read(void *dev, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return pm_ticks(dev) & 0xffffffff;
}

static void counter_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)val;
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned size)
{
	struct acpipm *p = dev;
	unsigned shift = off & 1 ? 8 : 0;

	(void)size;
	return (off < 2 ? p->hw.gpe_status : p->hw.gpe_enable) >> shift & 0xff;
}

static void gpe_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpipm *p = dev;
	unsigned shift = off & 1 ? 8 : 0;
	uint16_t byte = (uint16_t)((val & 0xff) << shift), mask = (uint16_t)(0xff << shift);

	(void)size;
	if (off < 2)
		p->hw.gpe_status &= ~byte;
	else
		p->hw.gpe_enable = (p->hw.gpe_enable & ~mask) | byte;
	acpipm_update(p);
}

static const struct io_ops event_io = {event_read, event_write, 2};
static const struct io_ops control_io = {control_read, control_write, 2};
static const struct io_ops counter_io = {counter_read, counter_write, 4};
static const struct io_ops gpe_io = {gpe_read, gpe_write, 1};

/* ---- life ------------------------------------------------------------------------------------ */

static void acpipm_reset(struct device *d)
{
	struct acpipm *p = (struct acpipm *)d;

	p->hw = (struct acpipm_hw){.looked = pm_ticks(p)};
	acpipm_update(p);
}

static void acpipm_destroy(struct device *d)
{
	struct acpipm *p = (struct acpipm *)d;

	clock_timer_cancel(&p->timer);
	bus_remove(p->env->pio, ACPIPM_PM1_EVT, p);
	bus_remove(p->env->pio, ACPIPM_PM1_CNT, p);
	bus_remove(p->env->pio, ACPIPM_PM_TMR, p);
	bus_remove(p->env->pio, ACPIPM_GPE0, p);
	free(p);
}

static void *acpipm_hw(struct device *d)
{
	return &((struct acpipm *)d)->hw;
}

static int acpipm_loaded(struct device *d, struct err *e)
{
	(void)e;
	acpipm_update((struct acpipm *)d);
	return 0;
}

static int add_registers(struct acpipm *p, struct err *e)
{
	struct bus *pio = p->env->pio;
	int rc = bus_add(pio, ACPIPM_PM1_EVT, 4, &event_io, p, "acpi-pm1-event", e);

	if (!rc)
		rc = bus_add(pio, ACPIPM_PM1_CNT, 2, &control_io, p, "acpi-pm1-control", e);
	if (!rc)
		rc = bus_add(pio, ACPIPM_PM_TMR, 4, &counter_io, p, "acpi-pm-timer", e);
	if (!rc)
		rc = bus_add(pio, ACPIPM_GPE0, ACPIPM_GPE0_LEN, &gpe_io, p, "acpi-gpe0", e);
	return rc;
}

static int acpipm_create(struct device **out, const struct device_env *env,
			 struct device_conf *conf, struct err *e)
{
	struct acpipm *p = calloc(1, sizeof(*p));
	int rc;

	(void)conf;
	if (!p)
		return err_set(e, -ENOMEM, "acpi-pm: out of memory");
	p->dev.ops = &acpipm_ops;
	p->env = env;
	p->irq = (struct irq_line){env->irq, ACPIPM_SCI_GSI};
	clock_timer_init(&p->timer, env->clock, acpipm_timer, p);
	rc = add_registers(p, e);
	if (rc) {
		acpipm_destroy(&p->dev);
		return rc;
	}
	acpipm_reset(&p->dev);
	*out = &p->dev;
	return 0;
}

const struct device_ops acpipm_ops = {
	.name = "acpi-pm",
	.help = "ACPI power management: power button, power-off, PM timer",
	.create = acpipm_create,
	.reset = acpipm_reset,
	.destroy = acpipm_destroy,
	.state = &acpipm_state,
	.hw = acpipm_hw,
	.loaded = acpipm_loaded,
};
