/*
 * prune.h
 *		Which slices can hold rows that a query wants.
 */
#ifndef WH_PRUNE_H
#define WH_PRUNE_H

#include "nodes/params.h"
#include "nodes/pg_list.h"

#include "period.h"
#include "uniontable.h"

/* A slice that survived. */
typedef struct WhSurvivor
{
	char	   *tenant;
	char	   *schema;
	char	   *relation;
	DateADT		start;
	DateADT		end;
} WhSurvivor;

typedef struct WhPruned
{
	int			survivors;
	int			total;			/* slices of the template */
	double		rows;			/* in the survivors, as the ledger has it */
	List	   *slices;			/* of WhSurvivor *; NIL beyond "most" */
	uint64		digest;			/* of which they are; 0 beyond "most" */
	bool		mutable;		/* another day, another result */
	bool		unbound;		/* parameters without a value decide */
} WhPruned;

/*
 * Find the slices that can hold rows for which all of the quals are true; rti
 * is the foreign table in them.  Quals of any form may be given: what cannot
 * be judged keeps every slice.  params are the values of external parameters,
 * NULL where they are not known yet.  More survivors than "most" are counted,
 * not listed.  The result is in CurrentMemoryContext.
 */
extern WhPruned *wh_prune(const WhUnionTable *table, Index rti, List *quals,
						  ParamListInfo params, int most);

#endif							/* WH_PRUNE_H */
