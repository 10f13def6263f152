/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a VM that is about to start to its networks. */
#include <string.h>
#include <unistd.h>

#include "manager/net/net.h"

static int start_user(struct manager *m, struct spec_net *n, struct err *e)
{
	(void)m;
	return net_start_passt(n, &n->fd, e);
}

static int start_bridge(struct manager *m, struct spec_net *n, struct err *e)
{
	(void)m;
	return net_open_tap(n->name, n->mac, &n->fd, e);
}

static int start_internal(struct manager *m, struct spec_net *n, struct err *e)
{
	return keeper_join(m, &keeper_internal, n->name, &n->fd, e);
}

/* The keeper makes the bridge; the VM's own TAP goes in there. */
static int start_network(struct manager *m, struct spec_net *n, struct err *e)
{
	struct netdef d;

	if (netdef_load(m, n->name, &d, e) || keeper_join(m, &keeper_network, n->name, &n->hold, e))
		return e->code;
	return net_open_tap(d.bridge, n->mac, &n->fd, e);
}

static const struct {
	const char *type;
	int (*start)(struct manager *m, struct spec_net *n, struct err *e);
} types[] = {
	{"user", start_user},
	{"bridge", start_bridge},
	{"internal", start_internal},
	{"network", start_network},
};

static int start_net(struct manager *m, struct spec_net *n, struct err *e)
{
	for (size_t i = 0; n->fd < 0 && i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i].type, n->type))
			return types[i].start(m, n, e);
	return 0;
}

int manager_start_nets(struct manager *m, struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->nnets; i++)
		if (start_net(m, &s->nets[i], e)) {
			err_prefix(e, "nets[%u]", i);
			manager_close_nets(s);
			return e->code;
		}
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void manager_close_nets(struct spec *s)
{
	for (unsigned i = 0; i < s->nnets; i++) {
		close_fd(&s->nets[i].fd);
		close_fd(&s->nets[i].hold);
	}
}
