/*
 * due.c
 *		Which days are due without being asked for, and which never are.
 *
 * Told by the ledger, which knows when the source was read, and by the log,
 * which knows what was tried.  What becomes of such a day is refresh's.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "depend.h"
#include "due.h"
#include "inputlog.h"
#include "run.h"
#include "slice.h"

/* Days after which a recheck that did not happen is given up. */
#define RECHECK_WEEK 7

static bool is_input_lost(const WhTemplate *tmpl, const WhTenant *tenant,
						  DateADT day);
static bool is_recheck_due(const WhTemplate *tmpl, const WhTenant *tenant,
						   DateADT day, int age);

/*
 * List days to compare once more; see due.h.
 */
List *
wh_due_rechecks(const WhTemplate *tmpl, const WhTenant *tenant, DateADT today)
{
	List	   *days = NIL;
	ListCell   *lc;

	foreach(lc, tmpl->recheck_days)
	{
		int			age = lfirst_int(lc);

		for (int late = 0; late < RECHECK_WEEK; late++)
		{
			DateADT		day = today - 1 - age - late;

			if (is_recheck_due(tmpl, tenant, day, age))
				days = list_append_unique_int(days, day);
		}
	}

	return days;
}

/*
 * List days that inputs have overtaken; see due.h.
 */
List *
wh_due_overtaken(const WhTemplate *tmpl, const WhTenant *tenant)
{
	List	   *days = NIL;
	ListCell   *lc;

	if (tmpl->depends_on == NIL)
		return NIL;

	foreach(lc, wh_inputlog_days(tmpl->name, wh_depend_chain(tmpl), tenant->name))
	{
		DateADT		day = lfirst_int(lc);
		const WhSlice *slice = wh_slice_covering(tmpl->name, tenant->name, day);

		if (slice != NULL && !list_member_int(slice->missing, day) &&
			!wh_due_is_frozen(tmpl, tenant, day))
			days = lcons_int(day, days);
	}

	return days;
}

/*
 * List days of older versions; see due.h.  A roll-up has one version for all
 * its days, which none of them brings up to date.
 */
List *
wh_due_old_versions(const WhTemplate *tmpl, const WhTenant *tenant)
{
	List	   *days = NIL;
	List	   *slices = wh_slices(tmpl->name, tenant->name);

	for (int i = list_length(slices) - 1; i >= 0; i--)
	{
		const WhSlice *slice = (const WhSlice *) list_nth(slices, i);

		if (slice->period.kind == WH_DAY && slice->template_version != tmpl->version &&
			!wh_due_is_frozen(tmpl, tenant, slice->period.start))
			days = lappend_int(days, slice->period.start);
	}

	return days;
}

/*
 * List days that hold no rows any more; see due.h.
 */
List *
wh_due_lost(const WhTemplate *tmpl, const WhTenant *tenant)
{
	List	   *days = NIL;
	List	   *slices = wh_slices(tmpl->name, tenant->name);

	for (int i = list_length(slices) - 1; i >= 0; i--)
	{
		const WhSlice *slice = (const WhSlice *) list_nth(slices, i);

		if (slice->period.kind == WH_DAY && strcmp(slice->state, "empty") != 0 &&
			(!wh_slice_is_populated(slice) ||
			 is_input_lost(tmpl, tenant, slice->period.start)))
			days = lappend_int(days, slice->period.start);
	}

	return days;
}

/*
 * Has an input of a derived day lost its rows?  A restore makes such a day of
 * what its query finds then, which may be nothing.
 */
static bool
is_input_lost(const WhTemplate *tmpl, const WhTenant *tenant, DateADT day)
{
	WhPeriod	whole = wh_period_whole();
	ListCell   *lc;

	foreach(lc, wh_depend_inputs(tmpl))
	{
		const WhTemplate *input = (const WhTemplate *) lfirst(lc);
		const WhSlice *slice = wh_template_is_daily(input)
		? wh_slice_covering(input->name, tenant->name, day)
		: wh_slice_find(input->name, tenant->name, &whole);

		if (slice != NULL && strcmp(slice->state, "empty") != 0 &&
			!wh_slice_is_populated(slice))
			return true;
	}

	return false;
}

bool
wh_due_is_frozen(const WhTemplate *tmpl, const WhTenant *tenant, DateADT day)
{
	const WhSlice *slice;
	WhPeriod	period = wh_period_day(day);

	if (!tmpl->frozen)
		return false;
	slice = wh_slice_covering(tmpl->name, tenant->name, day);

	if (slice == NULL || strcmp(slice->state, "empty") == 0 ||
		!wh_slice_is_populated(slice))
		return false;
	if (slice->period.kind != WH_DAY)
		return !list_member_int(slice->missing, day);
	if (wh_template_is_local(tmpl))
		return wh_period_span(&period, tenant->time_zone).end <= GetCurrentTimestamp();

	return slice->as_of >= wh_period_span(&period, tenant->time_zone).end;
}

/*
 * Has the day, which is stored, not been read or compared since it reached
 * that age?  Days of a roll-up have no clock of their own: the log knows.
 */
static bool
is_recheck_due(const WhTemplate *tmpl, const WhTenant *tenant, DateADT day, int age)
{
	const WhSlice *slice = wh_slice_covering(tmpl->name, tenant->name, day);
	WhPeriod	last_day = wh_period_day(day + age);
	TimestampTz since = wh_period_span(&last_day, tenant->time_zone).end;

	if (slice == NULL || !wh_slice_is_populated(slice) ||
		(slice->period.kind == WH_DAY && slice->as_of >= since) ||
		(slice->period.kind != WH_DAY &&
		 (tmpl->time_column == NULL || list_member_int(slice->missing, day))))
		return false;

	return !wh_due_is_frozen(tmpl, tenant, day) &&
		!wh_run_rechecked(tmpl->name, tenant->name, day, since);
}
