/* SPDX-License-Identifier: Apache-2.0 */
/* Each device is created with its n-th allocation failing: an error that says so, and nothing left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "guest.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/disk.h"
#include "vmm/backend/netdev.h"

/* Linked with --wrap=calloc: the devices' allocations come here. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static unsigned fail_after; /* 0: never */

void *__wrap_calloc(size_t n, size_t size)
{
	if (fail_after && !--fail_after)
		return NULL;
	return __real_calloc(n, size);
}

static void nothing(struct disk *d)
{
	(void)d;
}

static void each_allocation(void **state)
{
	static const struct disk_ops disk_ops = {
		.kick = nothing, .drain = nothing, .destroy = nothing};
	struct disk disk = {.ops = &disk_ops, .size = 1 << 20};
	struct netdev net = {0};
	struct chardev chr = {0};
	const struct {
		const struct device_ops *ops;
		void *backend;
	} models[] = {
		{&virtio_blk_ops, &disk}, {&virtio_net_ops, &net},     {&virtio_console_ops, &chr},
		{&virtio_rng_ops, NULL},  {&virtio_balloon_ops, NULL},
	};
	struct guest g;

	(void)state;
	guest_init(&g);
	for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		unsigned regions = g.mmio.n, n = 0;
		struct device *d;
		struct err e;
		int rc;

		do {
			struct device_conf conf = {.name = models[i].ops->name,
						   .backend = models[i].backend};

			fail_after = ++n;
			rc = models[i].ops->create(&d, &g.env, &conf, &e);
			if (rc) {
				assert_int_equal(rc, -ENOMEM);
				assert_non_null(strstr(e.text, "out of memory"));
				assert_int_equal(g.mmio.n, regions);
				assert_int_equal(guest_cfg_read(&g, 1, 0, 4), 0xffffffff);
			}
		} while (rc);
		fail_after = 0;
		assert_in_range(n, 3, 9); /* the device and its transport at least */
		guest_remove(&g, d);
	}
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
