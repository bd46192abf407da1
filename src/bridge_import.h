/*
 * bridge_import.h
 *		The foreign tables of a bridge, made like the tables of its source.
 */
#ifndef WH_BRIDGE_IMPORT_H
#define WH_BRIDGE_IMPORT_H

#include "bridge_catalog.h"

/* Write the statement that makes a foreign table like the source's. */
extern char *wh_bridge_table_sql(const WhBridge *bridge, const char *schema,
								 const char *name, const WhBridgeTable *source);

/* Is the foreign table like the source's: columns, types, what may be null? */
extern bool wh_bridge_table_fits(const WhBridgeTable *source, const WhBridgeTable *here);

/*
 * Tell each difference to "on_change", and mend it unless "dry_run".  Actions
 * are new, changed, gone, skipped (cannot be read here) and blocked (others
 * depend on what would change).  As the owner.
 */
typedef void (*WhOnChange) (void *arg, const char *action, const char *object,
							const char *detail);
extern void wh_bridge_sync(const WhBridge *bridge, bool dry_run,
						   WhOnChange on_change, void *arg);

#endif							/* WH_BRIDGE_IMPORT_H */
