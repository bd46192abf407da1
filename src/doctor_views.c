/*
 * doctor_views.c
 *		Checks of what reading our views costs.
 *
 * The arithmetic is budget's; here it becomes a word of warning before the
 * server says "out of shared memory" to everybody.
 */
#include "postgres.h"

#include "storage/lock.h"

#include "budget.h"
#include "doctor.h"

static const WhViewCost *costliest(bool expanded, const char *template_name,
								   List *costs);
static char *what_it_takes(const WhViewCost *cost);
static WhFindingStatus how_bad(const WhViewCost *cost);

/*
 * Find out whether reading the whole of a view of layout expand fits: only a
 * larger lock table, or fewer and larger slices, can help there.
 */
void
wh_check_lock_budget(WhDoctor *doctor)
{
	const WhViewCost *cost;
	WhRole		caller;

	wh_become_owner(&caller);
	cost = costliest(true, NULL, wh_view_costs());
	if (cost != NULL && how_bad(cost) != WH_FINDING_OK)
		wh_finding(doctor, how_bad(cost),
				   psprintf("%s; takes effect at the next restart", what_it_takes(cost)),
				   psprintf("ALTER SYSTEM SET max_locks_per_transaction = " INT64_FORMAT ";",
							wh_view_setting(cost)));
	wh_role_leave(&caller);
}

/*
 * Find the templates whose views of layout union every query pays for in
 * full.
 */
void
wh_check_union_views(WhDoctor *doctor)
{
	List	   *costs;
	const char *last = NULL;
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	costs = wh_view_costs();
	foreach(lc, costs)
	{
		const char *name = ((const WhViewCost *) lfirst(lc))->view->template_name;
		const WhViewCost *cost;

		/* They come in order of template. */
		if (last != NULL && strcmp(last, name) == 0)
			continue;
		last = name;
		cost = costliest(false, name, costs);
		if (cost != NULL && how_bad(cost) != WH_FINDING_OK)
			wh_finding(doctor, how_bad(cost), what_it_takes(cost),
					   wh_template_expand_sql(name));
	}
	wh_role_leave(&caller);
}

/*
 * Find the view of a layout, and of a template unless that is NULL, that
 * takes most locks; NULL when there is none.
 */
static const WhViewCost *
costliest(bool expanded, const char *template_name, List *costs)
{
	const WhViewCost *most = NULL;
	ListCell   *lc;

	foreach(lc, costs)
	{
		const WhViewCost *cost = (const WhViewCost *) lfirst(lc);

		if (cost->expanded == expanded &&
			(template_name == NULL ||
			 strcmp(cost->view->template_name, template_name) == 0) &&
			(most == NULL || cost->locks > most->locks))
			most = cost;
	}

	return most;
}

static char *
what_it_takes(const WhViewCost *cost)
{
	return psprintf("a query over all of view \"%s.%s\" takes " INT64_FORMAT
					" locks for " INT64_FORMAT " slices, and the lock table has room for "
					INT64_FORMAT " (max_locks_per_transaction %d)",
					cost->view->view_schema, cost->view->view_name,
					cost->locks, cost->relations, wh_lock_capacity(),
					max_locks_per_xact);
}

static WhFindingStatus
how_bad(const WhViewCost *cost)
{
	switch (wh_view_fit(cost))
	{
		case WH_FITS_NOT:
			return WH_FINDING_ERROR;
		case WH_FITS_FEW:
			return WH_FINDING_WARN;
		default:
			return WH_FINDING_OK;
	}
}
