/*
 * cond.h
 *		What a query's qual says about a slice.
 */
#ifndef WH_COND_H
#define WH_COND_H

#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

#include "monotone.h"
#include "uniontable.h"

typedef enum WhCondKind
{
	WH_EVERY,					/* holds for all slices */
	WH_NONE,
	WH_ALL_OF,					/* the kids */
	WH_ANY_OF,
	WH_SCHEMA,					/* the test holds for the slice's schema */
	WH_BELOW,					/* ... for its lower end */
	WH_ABOVE,					/* ... for its upper end */
	WH_UNKNOWN					/* a parameter will tell */
} WhCondKind;

typedef struct WhCond
{
	WhCondKind	kind;
	List	   *kids;			/* of WhCond * */
	ExprState  *test;
	WhMonotone	monotone;		/* of what is compared, BELOW and ABOVE */
} WhCond;

/* Judges the quals on one table of ours with the values of the moment. */
typedef struct WhJudge
{
	const WhUnionTable *table;
	Index		rti;			/* the table in the quals */
	bool		mutable;		/* another day, another result */
	bool		unbound;		/* parameters without a value decide */

	bool		has_params;
	PlannerInfo root;
	PlannerGlobal glob;
	ExprContext *econtext;
	ParamListInfo value;		/* what a test is about: $1 */
} WhJudge;

/*
 * Start to judge, in CurrentMemoryContext; params is NULL where external
 * parameters have no value yet.
 */
extern void wh_judge_start(WhJudge *judge, const WhUnionTable *table, Index rti,
						   ParamListInfo params, EState *estate);

/* Compile quals that all must be true, and note what the result hangs on. */
extern WhCond *wh_cond_of_all(WhJudge *judge, List *quals);

/* Is the test of a condition (SCHEMA, BELOW, ABOVE) true of a value? */
extern bool wh_cond_holds(WhJudge *judge, const WhCond *cond, Oid type,
						  Datum value);

#endif							/* WH_COND_H */
