/*
 * describe.h
 *		What a query would return at a tenant, against what was declared.
 */
#ifndef WH_DESCRIBE_H
#define WH_DESCRIBE_H

#include "access/tupdesc.h"
#include "conn.h"

typedef struct WhRemoteColumn
{
	char	   *name;
	Oid			typid;			/* of the source; built in when < 10000 */
	int32		typmod;
	char	   *type_name;		/* the source's format_type() */
	Oid			relid;			/* whose column it is there; or InvalidOid */
	int			attnum;
} WhRemoteColumn;

typedef struct WhRemoteColumns
{
	int			n;
	WhRemoteColumn *columns;
} WhRemoteColumns;

/*
 * Begin the connection's transaction and describe the query in it, in one
 * round trip; no row is read.  palloc'd.
 */
extern WhRemoteColumns *wh_describe(WhConn *conn, const char *query);

/*
 * Compare: missing, added, reordered or retyped columns are 42804 with a line
 * for each in DETAIL.  A source type that every value of fits the declared
 * type passes (int4 for int8, varchar and enums for text).
 */
extern void wh_describe_check(const WhRemoteColumns *remote, TupleDesc declared,
							  const char *template_name, WhConn *conn);

/* The remote columns as column definitions ("id" integer, ...), inferred. */
extern char *wh_describe_definitions(const WhRemoteColumns *remote);

#endif							/* WH_DESCRIBE_H */
