/* SPDX-License-Identifier: Apache-2.0 */
/* Builds one machine from its description: memory, engine, interrupt chips, devices, vCPUs. */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vmm/backend/netdev.h"
#include "vmm/backend/nvram.h"
#include "vmm/boot/boot.h"
#include "vmm/device/fpuerror.h"
#include "vmm/device/irqchip.h"
#include "vmm/device/vga/vga.h"
#include "vmm/engine/cpumodel.h"
#include "vmm/firmwarefiles.h"
#include "vmm/machinegdb.h"
#include "vmm/machineprofile.h"
#include "vmm/snapshot/file.h"
#include "vmm/snapshot/load.h"
#include "vmm/snapshot/methods.h"

/* ---- what engines call, on vCPU threads ---------------------------------------------------------
 */

static uint32_t pio_read(void *opaque, uint16_t port, unsigned size)
{
	struct machine *m = opaque;
	uint32_t val;

	pthread_mutex_lock(&m->lock);
	val = (uint32_t)bus_read(&m->pio, port, size);
	pthread_mutex_unlock(&m->lock);
	return val;
}

static void pio_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct machine *m = opaque;

	pthread_mutex_lock(&m->lock);
	bus_write(&m->pio, port, size, val);
	pthread_mutex_unlock(&m->lock);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
	struct machine *m = opaque;
	uint64_t val;

	pthread_mutex_lock(&m->lock);
	val = bus_read(&m->mmio, gpa, size);
	pthread_mutex_unlock(&m->lock);
	return val;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t val)
{
	struct machine *m = opaque;

	pthread_mutex_lock(&m->lock);
	bus_write(&m->mmio, gpa, size, val);
	pthread_mutex_unlock(&m->lock);
}

static int pic_ack(void *opaque)
{
	struct machine *m = opaque;
	int vector;

	pthread_mutex_lock(&m->lock);
	vector = irqchip_pic_ack(m->irqchip);
	pthread_mutex_unlock(&m->lock);
	return vector;
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
	struct machine *m = opaque;

	pthread_mutex_lock(&m->lock);
	irqchip_ioapic_eoi(m->irqchip, vector);
	pthread_mutex_unlock(&m->lock);
}

static void fpu_error(void *opaque)
{
	struct machine *m = opaque;

	pthread_mutex_lock(&m->lock);
	fpuerror_assert(m->fpu_error);
	pthread_mutex_unlock(&m->lock);
}

static void lock_machine(void *opaque)
{
	pthread_mutex_lock(&((struct machine *)opaque)->lock);
}

static void unlock_machine(void *opaque)
{
	pthread_mutex_unlock(&((struct machine *)opaque)->lock);
}

static void init_engine_calls(struct machine *m)
{
	m->engine_calls = (struct engine_machine){
		.pio_read = pio_read,
		.pio_write = pio_write,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.pic_ack = pic_ack,
		.ioapic_eoi = ioapic_eoi,
		.fpu_error = fpu_error,
		.lock = lock_machine,
		.unlock = unlock_machine,
		.opaque = m,
	};
}

/* ---- interrupts: to the engine's chips or to ours
 * ------------------------------------------------ */

static void engine_irq_line(void *opaque, unsigned gsi, bool level)
{
	struct machine *m = opaque;

	m->engine->irq_line(m->vm, gsi, level);
}

static void engine_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct machine *m = opaque;

	m->engine->msi(m->vm, addr, data);
}

static void engine_extint(void *opaque, bool level)
{
	struct machine *m = opaque;

	m->engine->extint(m->vm, level);
}

static int create_irqchip(struct machine *m, struct err *e)
{
	struct irqchip_out out = {.extint = engine_extint, .msi = engine_msi, .opaque = m};

	m->engine_router = (struct irq_router){engine_irq_line, engine_msi, m};
	m->irq = &m->engine_router;
	if (m->engine->irqchip)
		return 0;
	if (irqchip_create(&m->irqchip, &m->env, &out, e))
		return e->code;
	m->irq = irqchip_router(m->irqchip);
	return 0;
}

/* ---- creation -----------------------------------------------------------------------------------
 */

static int device_ioeventfd(void *opaque, int fd, gpa_t addr, unsigned size, bool add)
{
	struct machine *m = opaque;

	return m->engine->ioeventfd(m->vm, fd, addr, size, add);
}

static void init_env(struct machine *m)
{
	m->env = (struct device_env){
		.pio = &m->pio,
		.mmio = &m->mmio,
		.mem = &m->mem,
		.clock = &m->clock,
		.loop = m->loop,
		.timers_replaced = &m->timers_replaced,
		.event = machine_event,
		.ioeventfd = device_ioeventfd,
		.move_memory = machine_move_memory,
		.opaque = m,
	};
}

static int create_engine(struct machine *m, struct err *e)
{
	struct engine_config cfg = {
		.machine = &m->engine_calls,
		.mem = &m->mem,
		.clock = &m->clock,
		.cpu = &m->cpu,
		.nvcpus = m->spec->cpus,
		.trace = m->spec->trace ? m->spec->trace : "",
	};

	m->engine = engine_select(m->spec->engine, &cfg.options, m->engine_why,
				  sizeof(m->engine_why), e);
	if (!m->engine)
		return e->code;
	if (cpu_model_select(m->spec->cpu_model, m->engine, &m->cpu, e))
		return e->code;
	return m->engine->vm_create(&cfg, &m->vm, e);
}

static int create_vcpus(struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < m->spec->cpus; i++) {
		struct vcpu *c = &m->vcpu[i];

		c->machine = m;
		c->index = i;
		if (m->engine->vcpu_create(m->vm, i, &c->engine, e))
			return e->code;
		m->nvcpus++;
	}
	return 0;
}

static struct boot_config boot_config(const struct machine *m)
{
	struct boot_config cfg = {
		.kernel = m->spec->kernel,
		.initrd = m->spec->initrd,
		.append = m->spec->append,
		.firmware = spec_firmware(m->spec),
		.modules = (const char *const *)m->spec->modules,
		.nmodules = m->spec->nmodules,
		.files = &m->boot_files,
		.nvcpus = m->spec->cpus,
		.text_screen = spec_has_screen(m->spec),
		.unpack = m->engine && m->engine->slow,
	};

	spec_uuid(m->spec, cfg.uuid);
	return cfg;
}

/* Before the engine is there. */
static int prepare_boot(struct machine *m, struct err *e)
{
	const struct boot_config cfg = boot_config(m);

	boot_open(&cfg, &m->boot_files);
	return boot_prepare_memory(&cfg, &m->mem, &m->rom_start, e);
}

int machine_boot(struct machine *m, struct err *e)
{
	const struct boot_config cfg = boot_config(m);
	struct x86_cpu_state *s = aligned_alloc(_Alignof(struct x86_cpu_state), sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "boot: out of memory");
	memset(s, 0, sizeof(*s));
	rc = boot_load(&cfg, &m->mem, s, e);
	for (unsigned i = 0; i < m->nvcpus && !rc; i++) {
		if (i)
			boot_ap_state(s, i);
		rc = m->engine->vcpu_set(m->vcpu[i].engine, s, e);
	}
	free(s);
	return rc;
}

static int prepare_display(struct machine *m, struct err *e)
{
	if (!spec_has_screen(m->spec))
		return 0;
	for (unsigned i = 0; i < MEM_MAX_SLOTS; i++)
		m->memory_wanted[i] = MEM_UNMAPPED;
	return vga_prepare_memory(&m->mem, e) ? e->code : machine_load_video_bios(m, e);
}

static int restore(struct machine *m, const char *path, struct err *e)
{
	struct state_file f;
	int rc = state_file_open(&f, path, e);

	if (rc)
		return rc;
	rc = machine_load(m, state_file_read, &f, e);
	if (rc)
		err_prefix(e, "%s", path);
	/* What the guest does from now on is not in it: it must never be used again. */
	else if (m->spec->restore_once && (unlink(path) || file_sync_parent(path, e)))
		rc = err_set(e, -errno, "%s: cannot be removed: %s", path, strerror(errno));
	state_file_close(&f);
	return rc;
}

static int begin(struct machine *m, struct err *e)
{
	int rc;

	if (!m->spec->restore)
		return machine_boot(m, e);
	rc = restore(m, m->spec->restore, e);
	for (unsigned i = 0; i < m->spec->nnets && !rc; i++)
		netdev_announce(m->net[i], m->spec->nets[i].mac);
	return rc;
}

int machine_create(struct machine **out, const struct spec *s, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, -ENOMEM, "machine: out of memory");
	m->spec = s;
	m->devices_end = &m->devices;
	m->holds = 1; /* until machine_run() */
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->parked, NULL);
	pthread_cond_init(&m->released, NULL);
	bus_init(&m->pio, 0x10000);
	bus_init(&m->mmio, 1ull << 52);
	init_engine_calls(m);
	if (loop_create(&m->loop, &m->lock, e) || mem_init(&m->mem, s->memory, e))
		goto destroy;
	clock_init(&m->clock, m->loop);
	init_env(m);
	if (prepare_boot(m, e) || machine_prepare_flash(m, e) || prepare_display(m, e) ||
	    create_engine(m, e) || create_irqchip(m, e))
		goto destroy;
	m->env.irq = m->irq;
	if (machine_create_devices(m, e) || create_vcpus(m, e) || begin(m, e) ||
	    machine_open_vnc(m, e))
		goto destroy;
	*out = m;
	return 0;
destroy:
	machine_destroy(m);
	return e->code;
}

void machine_destroy(struct machine *m)
{
	save_cancel(m->save);
	machine_typing_cancel(m);
	machine_stop_vcpus(m);
	machine_gdb_close(m, MACHINE_STATUS_ERROR);
	if (m->vnc)
		vnc_close(m->vnc);
	machine_destroy_devices(m);
	for (unsigned i = 0; i < m->nvcpus; i++)
		m->engine->vcpu_destroy(m->vcpu[i].engine);
	if (m->irqchip)
		irqchip_destroy(m->irqchip);
	if (m->vm)
		m->engine->vm_destroy(m->vm);
	if (m->nvram)
		nvram_close(m->nvram);
	loop_destroy(m->loop);
	mem_fini(&m->mem);
	free(m->video_bios.data);
	boot_files_close(&m->boot_files);
	pthread_cond_destroy(&m->released);
	pthread_cond_destroy(&m->parked);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int machine_run(struct machine *m)
{
	struct err e;
	int status;

	if ((m->vnc && vnc_start(m->vnc, &e)) || machine_start_vcpus(m, &e)) {
		log_warn("%s", e.text);
		return MACHINE_STATUS_ERROR;
	}
	pthread_mutex_lock(&m->lock);
	machine_release(m);
	pthread_mutex_unlock(&m->lock);
	status = loop_run(m->loop);
	machine_stop_vcpus(m);
	machine_profile_cancel(m);
	machine_gdb_close(m, status);
	return status;
}
