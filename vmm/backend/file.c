/* SPDX-License-Identifier: Apache-2.0 */
/* Output into a file, which is emptied first; there is no input. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/backend/charkinds.h"
#include "vmm/backend/outring.h"

struct file {
	struct chardev chr;
	int fd;
	unsigned long errors;
	struct outring ring; /* only fills when PATH is a FIFO or the like */
};

static void file_write(struct chardev *c, const void *data, size_t len)
{
	struct file *f = (struct file *)c;
	int rc = outring_write(&f->ring, f->fd, data, len);

	if (rc && !f->errors++)
		log_warn("console file: %s; output is lost", strerror(rc));
}

static void file_poll_input(struct chardev *c)
{
	(void)c;
}

static void file_destroy(struct chardev *c)
{
	struct file *f = (struct file *)c;

	outring_drain(&f->ring, f->fd, 100);
	close(f->fd);
	free(f);
}

static const struct chardev_ops file_ops = {file_write, file_poll_input, file_destroy};

int chardev_open_file(const struct chardev_request *q, struct chardev **out, struct err *e)
{
	struct file *f;
	int fd = open(q->arg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      0666);

	if (fd < 0)
		return err_set(e, -errno, "cannot write to %s: %s", q->arg, strerror(errno));
	f = calloc(1, sizeof(*f));
	if (!f) {
		close(fd);
		return err_set(e, -ENOMEM, "out of memory");
	}
	f->chr.ops = &file_ops;
	f->fd = fd;
	*out = &f->chr;
	return 0;
}
