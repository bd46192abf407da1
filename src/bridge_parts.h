/*
 * bridge_parts.h
 *		What belongs to a bridge: foreign tables, views and schemas; who may
 *		read them, and their end.
 */
#ifndef WH_BRIDGE_PARTS_H
#define WH_BRIDGE_PARTS_H

#include "bridges.h"

typedef struct WhBridgeParts
{
	List	   *snapshots;		/* OIDs */
	List	   *shims;
	List	   *tables;
	List	   *live;			/* of live templates, over its server */
	List	   *schemas;		/* of char *: those with any of it */
	List	   *dropped;		/* of char *: what wh_bridge_parts_drop()
								 * drops */
	List	   *kept;			/* of char *: what it has left */
} WhBridgeParts;

/* Find them; here and below, as the owner. */
extern WhBridgeParts *wh_bridge_parts(const WhBridge *bridge);

/*
 * Let a role read all of it, or no more; and a schema with what the owner will
 * make in it.
 */
extern void wh_bridge_parts_admit(const WhBridgeParts *parts, const char *role);
extern void wh_bridge_parts_expel(const WhBridgeParts *parts, const char *role);
extern void wh_bridge_admit(const char *schema, const char *role);
extern void wh_bridge_expel(const char *schema, const char *role);

/* Does nothing depend on the schema, and is it the owner's to drop? */
extern bool wh_bridge_schema_is_empty(const char *schema);

/*
 * Throw 2BP01 when rows would go though nobody said drop_data, or something
 * of others depends on any of it; and drop it, with schemas that are empty
 * then.
 */
extern void wh_bridge_parts_check(const WhBridge *bridge, const WhBridgeParts *parts,
								  bool drop_data);
extern void wh_bridge_parts_drop(const WhBridge *bridge, WhBridgeParts *parts);

#endif							/* WH_BRIDGE_PARTS_H */
