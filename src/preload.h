/*
 * preload.h
 *		Which sessions load this library when they begin.
 */
#ifndef WH_PRELOAD_H
#define WH_PRELOAD_H

#include "nodes/pg_list.h"

/* A setting that leaves the library out, and the statement that mends it. */
typedef struct WhPreloadGap
{
	char	   *role;			/* NULL: whoever has no setting of its own */
	char	   *sql;			/* keeps the other libraries */
} WhPreloadGap;

/*
 * List the gaps of this database, its own first.  NIL where the server itself
 * preloads the library.
 */
extern List *wh_preload_gaps(void); /* of WhPreloadGap * */

#endif							/* WH_PRELOAD_H */
