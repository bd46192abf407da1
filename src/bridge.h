/*
 * bridge.h
 *		Server, user mappings and schemas of a bridge.
 */
#ifndef WH_BRIDGE_H
#define WH_BRIDGE_H

#include "bridges.h"

/*
 * Make a schema of the owner's that the application roles may read, also what
 * will be made in it; one that is there must be his.  As the owner.
 */
extern void wh_bridge_open_schema(const WhBridge *bridge, const char *schema);

/*
 * Put a password into every user mapping of the bridge and log in with it: if
 * that fails, the error takes the mappings back to the old one.  Imports the
 * tables of a bridge that has none yet.  As the owner.
 */
extern void wh_bridge_set_password(const WhBridge *bridge, char *password);

#endif							/* WH_BRIDGE_H */
