/*
 * describe.h
 *		What a query would return at a tenant, against what was declared.
 */
#ifndef WH_DESCRIBE_H
#define WH_DESCRIBE_H

#include "access/tupdesc.h"
#include "conn.h"
#include "nodes/pg_list.h"
#include "template.h"

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

/* What a query that runs here returns. */
extern WhRemoteColumns *wh_describe_of(TupleDesc desc);

typedef enum WhChange
{
	WH_MISSING,
	WH_REORDERED,
	WH_RETYPED,
	WH_ADDED,
	WH_TWICE
} WhChange;

/* One way in which the source differs from the declaration. */
typedef struct WhDrift
{
	char	   *column;
	WhChange	change;
	char	   *declared_type;	/* NULL: not declared */
	char	   *source_type;	/* NULL: missing */
} WhDrift;

/*
 * Compare; returns a list of WhDrift *.  A source type that every value of fits
 * the declared type is no drift (int4 for int8, varchar and enums for text).
 */
extern List *wh_describe_drift(const WhRemoteColumns *remote, TupleDesc declared);

/*
 * Throw 42804, with a line for each drift in DETAIL, unless the template has
 * none or adapts to it: columns that are missing, added or reordered.  Returns
 * these lines (of char *).
 */
extern List *wh_describe_check(const WhRemoteColumns *remote,
							   const WhTemplate *tmpl, const char *subject);

extern bool wh_describe_has(const WhRemoteColumns *remote, const char *column);

/* The remote columns as column definitions ("id" integer, ...), inferred. */
extern char *wh_describe_definitions(const WhRemoteColumns *remote);

#endif							/* WH_DESCRIBE_H */
