/*
 * bridge_link.h
 *		The server and the user mappings of a bridge, and their options.
 */
#ifndef WH_BRIDGE_LINK_H
#define WH_BRIDGE_LINK_H

#include "bridges.h"
#include "utils/jsonb.h"

/* An option that a caller gives; a NULL value asks for the default. */
typedef struct WhBridgeOption
{
	char	   *name;
	char	   *value;
} WhBridgeOption;

/*
 * Read options: 22023 for one that is not known, or of the wrong shape.  Those
 * of the endpoint are for "altering" only, and app_roles is left out then.
 */
extern List *wh_bridge_options_read(const char *server, Jsonb *json, bool altering);
extern const WhBridgeOption *wh_bridge_option_find(const List *options, const char *name);

/* A string, number or boolean as text. */
extern char *wh_bridge_option_text(const char *server, const char *name,
								   const JsonbValue *value);

/* Throw 22023 for what is not one host and port. */
extern void wh_bridge_check_endpoint(const char *server, const char *host, int port);

/* Create the server, USAGE for the owner. */
extern void wh_bridge_server_create(const WhBridge *bridge, const char *host, int port,
									const char *dbname, const List *options);

/*
 * Apply options to server, mappings and row (which the caller writes); true
 * when the endpoint changed and there was a password, which is gone then: it
 * was not given for that one.
 */
extern bool wh_bridge_options_apply(WhBridge *bridge, const List *options);

/*
 * Create a role's mapping; set, or with NULL drop, an option of it; drop it;
 * and drop all of them with the server.
 */
extern void wh_bridge_mapping_create(const WhBridge *bridge, const char *role);
extern void wh_bridge_mapping_set(const char *server, const char *role,
								  const char *name, char *value);
extern void wh_bridge_mapping_drop(const WhBridge *bridge, const char *role);
extern void wh_bridge_link_drop(const WhBridge *bridge);

#endif							/* WH_BRIDGE_LINK_H */
