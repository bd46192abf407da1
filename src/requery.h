/*
 * requery.h
 *		A materialized view brought to the present rows of its own query, while
 *		others read it.
 */
#ifndef WH_REQUERY_H
#define WH_REQUERY_H

#include "delta.h"

/*
 * Run the query that the view was made with, as the current user, and write
 * what differs under RowExclusiveLock.  The caller has seen that the view is
 * populated, permanent, a heap and the owner's, and keeps other refreshes out.
 * Returns the number of rows of the query.
 */
extern uint64 wh_requery(Oid relid, WhDeltaCounts *counts);

#endif							/* WH_REQUERY_H */
