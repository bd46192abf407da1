/*
 * bridge_catalog.h
 *		What tables and views a bridge's source has, and which of them have a
 *		foreign table here; as the owner.
 */
#ifndef WH_BRIDGE_CATALOG_H
#define WH_BRIDGE_CATALOG_H

#include "bridges.h"
#include "datatype/timestamp.h"

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
	char	   *schema;			/* both as at the source */
	char	   *name;
	bool		readable;		/* by our role there */
	Oid			relid;			/* the foreign table; InvalidOid at the source */
	List	   *columns;		/* of WhBridgeColumn * */
} WhBridgeTable;

/* Those of the bridge's own schemas, here and there, in order of name. */
extern List *wh_bridge_tables(const WhBridge *bridge);
extern List *wh_bridge_remote_tables(const WhBridge *bridge);

/* What one foreign table shows, whichever schema it is in. */
extern WhBridgeTable *wh_bridge_table_here(Oid relid);

/*
 * List those that the source has of the tables given, of which schema and name
 * count; as_of: the source's clock, not later than what it answered.
 */
extern List *wh_bridge_remote_named(const WhBridge *bridge, const List *tables,
									const char *subject, TimestampTz *as_of);

extern WhBridgeTable *wh_bridge_table_find(const List *tables, const char *name);
extern WhBridgeColumn *wh_bridge_column_find(const List *columns, const char *name);

/* The names of its columns, quoted, between commas. */
extern char *wh_bridge_column_list(const WhBridgeTable *table);

/*
 * List the types and collations (char *) of the tables' columns that this
 * database does not have; and does the column need one of them?
 */
extern List *wh_bridge_unknown_types(const List *tables);
extern bool wh_bridge_column_is_unknown(const WhBridgeColumn *column, const List *unknown);

#endif							/* WH_BRIDGE_CATALOG_H */
