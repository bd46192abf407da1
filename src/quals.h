/*
 * quals.h
 *		Foreign tables of ours in a query, each with the quals that its rows
 *		must pass to matter.
 */
#ifndef WH_QUALS_H
#define WH_QUALS_H

#include "nodes/parsenodes.h"

typedef struct WhTarget
{
	Query	   *query;			/* that it stands in */
	RangeTblEntry *rte;
	Index		rti;
	List	   *quals;
	bool		plain;			/* read only, columns only: may be replaced by
								 * a subquery */
} WhTarget;

/* Is there such a foreign table anywhere in the query?  Cheap. */
extern bool wh_reads_slices(Query *query);

/*
 * List them.  A row for which one of the quals is not true can be left out
 * without changing the query's result.  The query stays as it is.
 */
extern List *wh_targets(Query *query);	/* of WhTarget * */

#endif							/* WH_QUALS_H */
