/*
 * tally.h
 *		Rows counted and hashed by SQL that means the same at the source and
 *		here.
 */
#ifndef WH_TALLY_H
#define WH_TALLY_H

#include "access/tupdesc.h"
#include "conn.h"
#include "describe.h"
#include "nodes/pg_list.h"

/* Equal tallies: the same rows, in whatever order. */
typedef struct WhTally
{
	int64		rows;
	char	   *hash;
} WhTally;

/*
 * Tally what queries return at the source, in one statement of the transaction
 * that is begun; "remote" is what their columns are there.  Fills an array, in
 * the order of the list (of char *).
 */
extern void wh_tally_source(WhConn *conn, const List *queries,
							TupleDesc declared, const WhRemoteColumns *remote,
							WhTally *tallies);

/*
 * Tally stored rows as the declared columns: "relation" is a qualified name,
 * "stored" what its columns are, "condition" picks its rows (NULL: all).
 */
extern void wh_tally_stored(const char *relation, TupleDesc stored,
							const char *condition, TupleDesc declared,
							WhTally *tally);

/*
 * Tally what a query here returns under the active snapshot; its columns are
 * the declared ones.
 */
extern void wh_tally_query(const char *query, TupleDesc declared, WhTally *tally);

/* The rows of one query, or relation, in groups: by SQL on q. */
typedef struct WhTallyGroups
{
	int			n;
	const char *number;			/* 1 to n */
	const char *condition;		/* that rows of any group meet */
} WhTallyGroups;

/*
 * The same two for groups of rows; fills an array of n tallies each.
 */
extern void wh_tally_source_groups(WhConn *conn, const char *query,
								   const WhTallyGroups *groups,
								   TupleDesc declared,
								   const WhRemoteColumns *remote,
								   WhTally *tallies);
extern void wh_tally_stored_groups(const char *relation, TupleDesc stored,
								   const WhTallyGroups *groups,
								   TupleDesc declared, WhTally *tallies);

/*
 * Have values written here as sessions at tenants write them, until the end of
 * the subtransaction or of the GUC nest level.
 */
extern void wh_tally_pin_settings(void);

extern bool wh_tally_equal(const WhTally *a, const WhTally *b);

#endif							/* WH_TALLY_H */
