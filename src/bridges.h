/*
 * bridges.h
 *		_wh.bridges: one row per postgres_fdw server of ours, and
 *		_wh.bridge_relations: the views that we made over its tables.
 */
#ifndef WH_BRIDGES_H
#define WH_BRIDGES_H

#include "nodes/pg_list.h"
#include "tenant.h"
#include "utils/array.h"

typedef struct WhBridge
{
	char	   *server;
	char	   *username;
	char	   *remote_schema;
	char	   *local_schema;
	List	   *tables;			/* of char *; NIL: every one */
	List	   *app_roles;		/* of char * */
} WhBridge;

typedef enum WhBridgeKind
{
	WH_BRIDGE_SHIM,
	WH_BRIDGE_SNAPSHOT
} WhBridgeKind;

/* A view over the foreign table "source". */
typedef struct WhBridgeRelation
{
	char	   *schema;
	char	   *name;
	char	   *source;
} WhBridgeRelation;

/*
 * Look a bridge up, as the current user, who has become the owner; the result
 * is in CurrentMemoryContext.  Unknown: 42704 with HINT _wh.create_bridge(),
 * or NULL from the _find form.  The _to_change form keeps others who would
 * change it out until the end of the transaction; 55P03 after lock_deadline.
 */
extern WhBridge *wh_bridge(const char *server);
extern WhBridge *wh_bridge_to_change(const char *server);
extern WhBridge *wh_bridge_find(const char *server);

extern List *wh_bridge_servers(void);	/* of char *, in order of name */

/*
 * The bridge to a tenant's own database: host, port and dbname are the
 * tenant's.  Of several the one that is named like the tenant, else the first
 * in order of name; NULL for none.
 */
extern WhBridge *wh_bridge_to(const WhTenant *tenant);

/*
 * Write the row as the installer.  Inserting one whose local schema is another
 * bridge's is 42710.
 */
extern void wh_bridge_insert(const WhBridge *bridge);
extern void wh_bridge_update(const WhBridge *bridge);
extern void wh_bridge_delete(const char *server);

/*
 * The relations of a kind that are there still, in order of name; those that
 * somebody has dropped or replaced by something else are not listed.  And the
 * one of a list that is over a foreign table, NULL for none.
 */
extern List *wh_bridge_relations(const char *server, WhBridgeKind kind);
extern WhBridgeRelation *wh_bridge_relation_over(const List *relations, const char *source);
extern void wh_bridge_relation_put(const WhBridge *bridge, WhBridgeKind kind,
								   const WhBridgeRelation *relation);
extern void wh_bridge_relation_forget(const WhBridgeRelation *relation);

/*
 * The endpoint of a bridge as conn.h wants it, from the options of its server:
 * a superuser wrote them, so a socket or a lesser sslmode is no question here.
 */
extern WhTenant *wh_bridge_endpoint(const WhBridge *bridge);

/* The elements of a name[] as char *; 22004 when one of them is NULL. */
extern List *wh_bridge_names(ArrayType *names);

/* Is the name in a list of char *? */
extern bool wh_bridge_names_have(const List *names, const char *name);

/* The owner and the application roles: whoever has a mapping. */
extern List *wh_bridge_roles(const WhBridge *bridge);

/*
 * The value of an option of the server, or of a role's user mapping; NULL
 * when it is not there.
 */
extern char *wh_bridge_server_option(const char *server, const char *option);
extern char *wh_bridge_mapping_option(const char *server, const char *role,
									  const char *option);

#endif							/* WH_BRIDGES_H */
