/*
 * uniontable.h
 *		The foreign tables that show the slices of a template: which relations
 *		they are, and what their options say.
 */
#ifndef WH_UNIONTABLE_H
#define WH_UNIONTABLE_H

#include "utils/rel.h"

/* The server of these tables. */
#define WH_UNION_SERVER "pg_warehouse_union"

/* The column that names the schema a row comes from. */
#define WH_SCHEMA_COLUMN "schema_name"

typedef struct WhUnionTable
{
	Oid			relid;
	Oid			owner;			/* in whose name slices are read */
	char	   *template_name;
	AttrNumber	time_attr;		/* 0: rows cannot be told apart by time */
	Oid			time_type;		/* date, timestamp or timestamptz */
	char	   *bounds_of;		/* wh_slice_bounds_of() */
	AttrNumber	schema_attr;	/* 0: it has no such column */
} WhUnionTable;

/* Is the foreign table one of ours?  Asks the syscache only. */
extern bool wh_union_is_ours(Oid relid);

/* Read what a foreign table of ours shows, into CurrentMemoryContext. */
extern WhUnionTable *wh_union_table(Relation rel);

/*
 * Drop the kept plans of every session that read the template through a
 * foreign table of ours, once this transaction commits; NULL: of any template.
 */
extern void wh_union_invalidate(const char *template_name);

#endif							/* WH_UNIONTABLE_H */
