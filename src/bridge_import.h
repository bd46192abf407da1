/*
 * bridge_import.h
 *		The foreign tables of a bridge: what the source has, what is here, and
 *		making the second like the first.
 */
#ifndef WH_BRIDGE_IMPORT_H
#define WH_BRIDGE_IMPORT_H

#include "bridges.h"

typedef struct WhBridgeColumn
{
	char	   *name;
	char	   *type;			/* as format_type() writes it */
	char	   *collation;		/* NULL: the type's own */
	bool		not_null;
	int			key;			/* position in the primary key; 0: none */
} WhBridgeColumn;

typedef struct WhBridgeTable
{
	char	   *name;			/* as at the source */
	bool		readable;		/* by our role there */
	Oid			relid;			/* the foreign table; InvalidOid at the source */
	List	   *columns;		/* of WhBridgeColumn * */
} WhBridgeTable;

/* Both in order of name; as the owner. */
extern List *wh_bridge_tables(const WhBridge *bridge);
extern List *wh_bridge_remote_tables(const WhBridge *bridge);

extern WhBridgeTable *wh_bridge_table_find(const List *tables, const char *name);

/* The names of its columns, quoted, between commas. */
extern char *wh_bridge_column_list(const WhBridgeTable *table);

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
