/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of virtual networks: their text, and the addresses that follow from it. */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "manager/net/net.h"

#define PREFIX_MIN 16
#define PREFIX_MAX 29

/* ---- addresses ------------------------------------------------------------------------------ */

static struct in_addr at(const struct netdef *d, uint32_t n)
{
	return (struct in_addr){htonl(ntohl(d->subnet.s_addr) + n)};
}

struct in_addr netdef_mask(const struct netdef *d)
{
	return (struct in_addr){htonl(UINT32_MAX << (32 - d->prefix))};
}

struct in_addr netdef_host(const struct netdef *d)
{
	return at(d, 1);
}

struct in_addr netdef_first(const struct netdef *d)
{
	return at(d, 2);
}

struct in_addr netdef_last(const struct netdef *d)
{
	return at(d, (1u << (32 - d->prefix)) - 2);
}

bool netdef_overlaps(const struct netdef *d, struct in_addr other, struct in_addr mask)
{
	uint32_t m = netdef_mask(d).s_addr & mask.s_addr;

	return ((d->subnet.s_addr ^ other.s_addr) & m) == 0;
}

int netdef_set_subnet(struct netdef *d, const char *text, struct err *e)
{
	char address[INET_ADDRSTRLEN] = "";
	unsigned prefix;
	int used = 0;

	if (!text || sscanf(text, "%15[0-9.]/%2u%n", address, &prefix, &used) != 2 || text[used] ||
	    inet_pton(AF_INET, address, &d->subnet) != 1)
		return err_set(e, -EINVAL, "subnet: must be of the form 10.77.0.0/24");
	if (prefix < PREFIX_MIN || prefix > PREFIX_MAX)
		return err_set(e, -ERANGE,
			       "subnet: the length behind the stroke must be from %d to "
			       "%d",
			       PREFIX_MIN, PREFIX_MAX);
	d->prefix = prefix;
	if (d->subnet.s_addr & ~netdef_mask(d).s_addr)
		return err_set(e, -EINVAL, "subnet: %s/%u has bits behind its prefix", address,
			       prefix);
	return 0;
}

/* ---- text ----------------------------------------------------------------------------------- */

static int unpack(struct netdef *d, json_t *o, struct err *e)
{
	const char *name, *bridge, *subnet;
	int version, isolated;
	json_error_t why;

	if (json_unpack_ex(o, &why, JSON_STRICT, "{s:i, s:s, s:s, s:s, s:b}", "version", &version,
			   "name", &name, "bridge", &bridge, "subnet", &subnet, "isolated",
			   &isolated))
		return err_set(e, -EINVAL, "%s", why.text);
	if (version != 1)
		return err_set(e, -EINVAL, "version: must be 1, the one that this Baton reads");
	if (!spec_name_ok(name) || strlen(name) > NETDEF_NAME_MAX)
		return err_set(e, -EINVAL, "name: \"%.80s\" does not do", name);
	if (!spec_name_ok(bridge) || strlen(bridge) >= sizeof(d->bridge))
		return err_set(e, -EINVAL, "bridge: \"%.80s\" is no interface's name", bridge);
	strcpy(d->name, name);
	strcpy(d->bridge, bridge);
	d->isolated = isolated;
	return netdef_set_subnet(d, subnet, e);
}

int netdef_parse(struct netdef *d, const char *text, size_t len, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	int rc;

	if (!o)
		return err_set(e, -EINVAL, "line %d: %s", why.line, why.text);
	rc = unpack(d, o, e);
	json_decref(o);
	return rc;
}

char *netdef_print(const struct netdef *d)
{
	char subnet[INET_ADDRSTRLEN + 4];
	json_t *o;
	char *text;

	inet_ntop(AF_INET, &d->subnet, subnet, sizeof(subnet));
	sprintf(subnet + strlen(subnet), "/%u", d->prefix);
	o = json_pack("{s:i, s:s, s:s, s:s, s:b}", "version", 1, "name", d->name, "bridge",
		      d->bridge, "subnet", subnet, "isolated", d->isolated);
	text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	return text;
}
