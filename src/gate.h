/*
 * gate.h
 *		The gate that template text passes: PostgreSQL's own parser says what
 *		it is, nothing is spliced unread.  Touches no table.
 */
#ifndef WH_GATE_H
#define WH_GATE_H

#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "period.h"

/* What the placeholders of a query stand for. */
typedef struct WhPlaceholders
{
	const char *tenant;			/* {TENANT}: made a literal */
	const WhPeriod *period;		/* {TARGET_DATE}; NULL kind WHOLE: none */
	WhSpan		span;			/* {DAY_START}, {DAY_END} */
} WhPlaceholders;

/*
 * Check a query template: exactly one SELECT (or VALUES, WITH ... SELECT)
 * without INTO, row locks and data-modifying WITH; known placeholders only.
 * One that is "daily" must have {TARGET_DATE} or {DAY_START}/{DAY_END}, any
 * other must not.  Throws 42601 with the position in the text, or 22023.
 */
extern void wh_gate_query(const char *query, bool daily);

/* Fill the placeholders in and pass the gate once more; palloc'd. */
extern char *wh_gate_render(const char *query, const WhPlaceholders *values);

/*
 * Parse a column list (names and types only) to a blessed-free TupleDesc in
 * CurrentMemoryContext.  Types are looked up with search_path = pg_catalog.
 */
extern TupleDesc wh_gate_columns(const char *definitions);

/* The column list as SQL again: "id" integer, "at" timestamp with time zone. */
extern char *wh_columns_sql(TupleDesc columns);

/* Check index definitions against the columns; NULL and "" mean none. */
extern void wh_gate_indexes(const char *indexes, TupleDesc columns);

/* The same definitions as IndexStmt trees for one relation (wh_ddl_stmt). */
extern List *wh_gate_index_stmts(const char *indexes, TupleDesc columns,
								 const char *schema, const char *relname);

/* Is this text exactly one COPY (SELECT ...) TO STDOUT?  Else throws 22023. */
extern void wh_gate_copy(const char *sql);

#endif							/* WH_GATE_H */
