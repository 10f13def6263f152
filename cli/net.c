/* SPDX-License-Identifier: Apache-2.0 */
/* baton net: virtual networks. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "manager/net/net.h"

struct net_context {
	bool json, isolated;
	const char *subnet;
};

static int set_subnet(void *context, const char *value, struct err *e)
{
	(void)e;
	((struct net_context *)context)->subnet = value;
	return 0;
}

typedef int net_verb(struct manager *m, struct net_context *c, const char *name, struct err *e);

static int with_manager(net_verb *verb, void *context, const char *name, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = verb(m, context, name, e);
	manager_close(m);
	return rc;
}

static json_t *describe(struct manager *m, const struct netdef *d)
{
	char subnet[INET_ADDRSTRLEN + 4], host[INET_ADDRSTRLEN];
	struct in_addr a = netdef_host(d);

	inet_ntop(AF_INET, &a, host, sizeof(host));
	inet_ntop(AF_INET, &d->subnet, subnet, sizeof(subnet));
	sprintf(subnet + strlen(subnet), "/%u", d->prefix);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "name", d->name, "bridge", d->bridge,
			 "subnet", subnet, "host", host, "isolated", d->isolated, "state",
			 keeper_is_up(m, &keeper_network, d->name) ? "up" : "down");
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* ---- create, delete ------------------------------------------------------------------------- */

static int create_net(struct manager *m, struct net_context *c, const char *name, struct err *e)
{
	struct netdef d;

	if (netdef_make(m, &d, name, c->subnet, e))
		return e->code;
	d.isolated = c->isolated;
	return netdef_save(m, &d, e);
}

static int create(void *context, char **operands, struct err *e)
{
	return with_manager(create_net, context, operands[0], e);
}

static const struct cli_option create_options[] = {
	{.name = "subnet",
	 .argument = "ADDRESS/LENGTH",
	 .set = set_subnet,
	 .help = "its IPv4 addresses, such as 10.77.0.0/24 (one that is free)"},
	CLI_FLAG("isolated", "no way out of it, no NAT", struct net_context, isolated),
	CLI_END,
};

static const struct cli_verb net_create = {
	.name = "net create",
	.operands = "NAME",
	.help = "define a network with NAT, DHCP and DNS, for --net network=NAME",
	.example = "baton net create lab --subnet 192.168.50.0/24",
	.min = 1,
	.max = 1,
	.options = create_options,
	.context_size = sizeof(struct net_context),
	.run = create,
};

static int delete_net(struct manager *m, struct net_context *c, const char *name, struct err *e)
{
	(void)c;
	if (keeper_is_up(m, &keeper_network, name))
		return err_set(e, -EBUSY, "%s is in use by running VMs; stop them first", name);
	return netdef_remove(m, name, e);
}

static int delete (void *context, char **operands, struct err *e)
{
	return with_manager(delete_net, context, operands[0], e);
}

static const struct cli_verb net_delete = {
	.name = "net delete",
	.operands = "NAME",
	.help = "remove a network that no running VM uses",
	.example = "baton net delete lab",
	.min = 1,
	.max = 1,
	.context_size = sizeof(struct net_context),
	.run = delete,
};

/* ---- list, info ----------------------------------------------------------------------------- */

static const struct cli_option json_options[] = {
	CLI_FLAG("json", "print JSON", struct net_context, json),
	CLI_END,
};

struct listing {
	struct manager *manager;
	json_t *list;
};

static int list_one(void *opaque, const struct netdef *d, struct err *e)
{
	struct listing *l = opaque;

	(void)e;
	return json_array_append_new(l->list, describe(l->manager, d));
}

static int list_nets(struct manager *m, struct net_context *c, const char *name, struct err *e)
{
	struct listing l = {m, json_array()};
	int rc = netdef_each(m, list_one, &l, e);
	json_t *net;
	size_t i;

	(void)name;
	if (!rc && c->json) {
		cli_print_json(l.list);
	} else if (!rc) {
		printf("%-20s %-6s %-20s %s\n", "NAME", "STATE", "SUBNET", "BRIDGE");
		json_array_foreach(l.list, i, net)
			printf("%-20s %-6s %-20s %s\n", text_of(net, "name"), text_of(net, "state"),
			       text_of(net, "subnet"), text_of(net, "bridge"));
	}
	json_decref(l.list);
	return rc;
}

static int list(void *context, char **operands, struct err *e)
{
	(void)operands;
	return with_manager(list_nets, context, NULL, e);
}

static const struct cli_verb net_list = {
	.name = "net list",
	.operands = "",
	.help = "list the virtual networks",
	.example = "baton net list",
	.options = json_options,
	.context_size = sizeof(struct net_context),
	.run = list,
};

static int info_net(struct manager *m, struct net_context *c, const char *name, struct err *e)
{
	struct netdef d;
	json_t *o, *value;
	const char *key;

	if (netdef_load(m, name, &d, e))
		return e->code;
	o = describe(m, &d);
	if (c->json)
		cli_print_json(o);
	else
		json_object_foreach(o, key, value)
			printf("%-12s %s\n", key,
			       json_is_boolean(value) ? (json_is_true(value) ? "yes" : "no")
						      : json_string_value(value));
	json_decref(o);
	return CLI_OK;
}

static int info(void *context, char **operands, struct err *e)
{
	return with_manager(info_net, context, operands[0], e);
}

static const struct cli_verb net_info = {
	.name = "net info",
	.operands = "NAME",
	.help = "tell what a network is and how it is",
	.example = "baton net info lab",
	.min = 1,
	.max = 1,
	.options = json_options,
	.context_size = sizeof(struct net_context),
	.run = info,
};

/* ---- leases --------------------------------------------------------------------------------- */

/* Lines of dnsmasq's file: expiry, Ethernet address, IPv4 address, host name or "*", client. */
static json_t *read_leases(FILE *f)
{
	char line[512], mac[32], address[32], host[256];
	json_t *leases = json_array();
	long long expires;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lld %31s %31s %255s", &expires, mac, address, host) == 4)
			json_array_append_new(leases, json_pack("{s:I, s:s, s:s, s:s}", "expires",
								(json_int_t)expires, "mac", mac,
								"address", address, "host",
								strcmp(host, "*") ? host : ""));
	return leases;
}

static void print_leases(const json_t *leases)
{
	size_t i;
	json_t *l;

	printf("%-18s %-16s %-20s %s\n", "MAC", "ADDRESS", "HOST", "EXPIRES");
	json_array_foreach(leases, i, l)
	{
		char until[32];

		cli_time(json_integer_value(json_object_get(l, "expires")), until);
		printf("%-18s %-16s %-20s %s\n", text_of(l, "mac"), text_of(l, "address"),
		       text_of(l, "host"), until);
	}
}

static int leases_of(struct manager *m, struct net_context *c, const char *name, struct err *e)
{
	char path[PATH_SIZE];
	struct netdef d;
	json_t *leases;
	FILE *f;

	if (netdef_load(m, name, &d, e) || netdef_path(m, name, "leases", path, e))
		return e->code;
	f = fopen(path, "re"); /* none yet: no leases */
	leases = read_leases(f);
	if (f)
		fclose(f);
	if (c->json)
		cli_print_json(leases);
	else
		print_leases(leases);
	json_decref(leases);
	return CLI_OK;
}

static int leases(void *context, char **operands, struct err *e)
{
	return with_manager(leases_of, context, operands[0], e);
}

static const struct cli_verb net_leases = {
	.name = "net leases",
	.operands = "NAME",
	.help = "list the addresses that a network has given out",
	.example = "baton net leases lab",
	.min = 1,
	.max = 1,
	.options = json_options,
	.context_size = sizeof(struct net_context),
	.run = leases,
};

static const struct cli_verb *const net_verbs[] = {&net_create, &net_list,   &net_info,
						   &net_delete, &net_leases, NULL};

const struct cli_verb cli_net = {
	.name = "net",
	.operands = "VERB",
	.help = "make and look after networks for virtual machines",
	.sub = net_verbs,
};
