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

#endif							/* WH_PLAIN_H */
