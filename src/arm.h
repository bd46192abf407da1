/*
 * arm.h
 *		Surviving slices as relations that can be read: found, locked, and
 *		with the columns of the table that shows them.
 */
#ifndef WH_ARM_H
#define WH_ARM_H

#include "nodes/parsenodes.h"

#include "prune.h"

typedef struct WhArm
{
	const WhSurvivor *slice;
	Oid			relid;
	char		relkind;
} WhArm;

typedef struct WhArms
{
	WhPruned   *pruned;
	List	   *arms;			/* of WhArm *, each locked to be read */
	List	   *unfilled;		/* OIDs of relations that cannot be read yet */
} WhArms;

/*
 * Prune, and lock the relations of the survivors to be read, again until the
 * ledger did not change meanwhile.  More survivors than "most" are not locked,
 * nor any while parameters that decide have no value: then arms is NIL.  A relation that is gone is 42P01.
 */
extern WhArms *wh_arms(const WhUnionTable *table, Index rti, List *quals,
					   ParamListInfo params, int most);

/*
 * Return the columns that the table shows of an arm, as expressions over its
 * relation, which is range table entry 1; columns that were dropped are NULL.
 */
extern List *wh_arm_columns(const WhUnionTable *table, TupleDesc shown,
							const WhArm *arm, TupleDesc stored);

/* Write SELECT of those columns from the arm, read in the owner's name. */
extern Query *wh_arm_query(const WhUnionTable *table, TupleDesc shown,
						   const WhArm *arm);

#endif							/* WH_ARM_H */
