/*
 * plain.h
 *		A materialized view of ours becomes a table, in place.
 */
#ifndef WH_PLAIN_H
#define WH_PLAIN_H

#include "nodes/pg_list.h"

/* A materialized view whose rule asks _wh.fetch(). */
typedef struct WhFetching
{
	Oid			relid;
	char	   *schema;
	char	   *name;
	bool		populated;
} WhFetching;

/* List those of the owner, in the ledger or not, in order of name. */
extern List *wh_plain_candidates(void); /* of WhFetching * */

/*
 * Turn one that is populated into a table with the same rows, indexes, grants
 * and comments, and the same OID, so that whatever is built on it stays.  The
 * caller is the owner, and has the lock already or bounds the wait for it.
 */
extern void wh_plain_table(Oid relid);

/*
 * List the materialized views (OIDs) that derived templates have made for a
 * tenant; of those which name this template as an input, or all (NULL).
 */
extern List *wh_plain_derived(const char *input, const char *tenant);

/*
 * Let materialized views stand without their queries, which may read what is
 * about to go: all of them become tables at one moment, and one without rows
 * goes; 55P03 when readers do not make room.
 */
extern void wh_plain_tables(const List *relids);

/* Pick those that read a relation by their query. */
extern List *wh_plain_reading(const List *relids, Oid relid);

#endif							/* WH_PLAIN_H */
