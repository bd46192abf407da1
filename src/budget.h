/*
 * budget.h
 *		What the server's lock table has room for, and what our views and
 *		relations ask of it.
 */
#ifndef WH_BUDGET_H
#define WH_BUDGET_H

#include "published.h"
#include "template.h"

/* A view of ours, and what a query over the whole of it takes. */
typedef struct WhViewCost
{
	const WhPublished *view;
	bool		expanded;		/* layout expand: a query that asks for less
								 * takes less */
	int64		relations;		/* populated slices that it shows */
	int64		locks;
} WhViewCost;

/* Locks that the server's table has room for beside those held now. */
extern int64 wh_lock_capacity(void);

/* Locks that one relation of the template takes while it is made or changed. */
extern int64 wh_relation_locks(const WhTemplate *tmpl);

/*
 * May one transaction take so many more locks?  At most half of what is free,
 * so that the others keep theirs.
 */
extern bool wh_locks_fit(int64 locks);

/* The max_locks_per_transaction with which they would fit. */
extern int64 wh_locks_setting(int64 locks);

/* How a query over the whole of a view fits into the lock table. */
typedef enum WhFit
{
	WH_FITS,
	WH_FITS_FEW,				/* but not a handful of them at once */
	WH_FITS_NOT
} WhFit;

extern WhFit wh_view_fit(const WhViewCost *cost);

/* The max_locks_per_transaction with which that handful would fit. */
extern int64 wh_view_setting(const WhViewCost *cost);

/* List the views that are there in order of template and tenant. */
extern List *wh_view_costs(void);	/* of WhViewCost * */

/*
 * Throw 54000 unless the view of layout union over the tenant's slices, or
 * (tenant WH_PUBLIC_VIEW) over all of them, could be read once it is written.
 */
extern void wh_check_union_view(const WhTemplate *tmpl, const char *tenant,
								const char *schema);

#endif							/* WH_BUDGET_H */
