/*
 * refresh.c
 *		Which units a call means, in what order.
 *
 * What one does is unit's.  Views are rebuilt once per run, after the last
 * byte, since that takes their strong lock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "depend.h"
#include "due.h"
#include "lock.h"
#include "refresh.h"
#include "slice.h"
#include "unionview.h"

/* More days than this in one call are a slip, or a job for several calls. */
#define MAX_DAYS 3700

/* The views of one template, and whether all of them are up to date. */
typedef struct Showing
{
	const WhTemplate *tmpl;
	bool		ok;
} Showing;

static List *units_of(const WhRequest *request, const WhTemplate *tmpl,
					  const WhTenant *tenant, TimestampTz now);
static List *lost_units(const WhRequest *request, const WhTemplate *tmpl,
						const WhTenant *tenant, DateADT today);
static List *add_due(List *units, const List *days, WhPurpose purpose,
					 const WhTemplate *tmpl, const WhTenant *tenant,
					 DateADT today);
static bool has_unit(const List *units, DateADT day);
static List *whole_units(const WhRequest *request, const WhTemplate *tmpl,
						 const WhTenant *tenant, DateADT today);
static bool is_whole_loaded(const WhTemplate *tmpl, const WhTenant *tenant);
static bool is_final(const WhTemplate *tmpl, const WhTenant *tenant, DateADT day);
static void check_days(const WhRequest *request, TimestampTz now);
static int	compare_tenant_day(const ListCell *a, const ListCell *b);
static void publish_template(WhRun *run, void *arg);

/*
 * Resolve names to records; see refresh.h.
 */
void
wh_request_resolve(WhRequest *request, const char *template_name,
				   const char *tenant)
{
	request->templates = template_name
		? list_make1(wh_template(template_name)) : wh_templates_enabled();
	request->tenants = tenant
		? list_make1(wh_tenant(tenant)) : wh_tenants_enabled();
	request->named = template_name != NULL && tenant != NULL;

	if (template_name != NULL)
	{
		const WhTemplate *tmpl = (const WhTemplate *) linitial(request->templates);

		if (!tmpl->enabled)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("template \"%s\" is disabled", template_name),
					 errhint("SELECT _wh.alter_template(%s, enabled => true);",
							 quote_literal_cstr(template_name))));
	}
	if (tenant != NULL)
	{
		const WhTenant *record = (const WhTenant *) linitial(request->tenants);

		if (!record->enabled)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("tenant \"%s\" is disabled", tenant),
					 errhint("SELECT _wh.alter_tenant(%s, enabled => true);",
							 quote_literal_cstr(tenant))));
		if (template_name != NULL &&
			!wh_template_applies((const WhTemplate *) linitial(request->templates), record))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("template \"%s\" does not apply to tenant \"%s\"",
							template_name, tenant),
					 errhint("Add it with SELECT _wh.alter_template(%s, tenants => ...);",
							 quote_literal_cstr(template_name))));
	}
}

/*
 * List the units of a request; see refresh.h.
 */
List *
wh_units(const WhRequest *request)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	List	   *units = NIL;
	ListCell   *lc;

	check_days(request, now);

	foreach(lc, wh_depend_order(request->templates))
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);
		ListCell   *lt;

		foreach(lt, request->tenants)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);

			if (wh_template_applies(tmpl, tenant))
				units = list_concat(units, units_of(request, tmpl, tenant, now));
		}
	}

	return units;
}

void
wh_units_by_tenant_day(List *units)
{
	list_sort(units, compare_tenant_day);
}

/*
 * Find the first day of a pair; see refresh.h.
 */
bool
wh_first_day(const WhTemplate *tmpl, const WhTenant *tenant, DateADT *day)
{
	List	   *slices;

	if (tmpl->has_start_date)
	{
		*day = tmpl->start_date;
		return true;
	}

	slices = wh_slices(tmpl->name, tenant->name);
	if (slices == NIL)
		return false;
	*day = wh_slice_first_day((const WhSlice *) linitial(slices));

	return true;
}

List *
wh_touch(List *templates, const WhUnit *unit, const WhRun *run)
{
	if (run->reason != NULL)
		return templates;

	return list_append_unique_ptr(templates, unconstify(WhTemplate *, unit->tmpl));
}

/*
 * Bring views up to date; see refresh.h.
 */
bool
wh_publish(List *templates)
{
	bool		ok = true;
	ListCell   *lc;

	foreach(lc, templates)
	{
		Showing		work = {(const WhTemplate *) lfirst(lc), true};
		WhRun		run = {0};

		run.template_name = work.tmpl->name;
		run.table_name = work.tmpl->name;
		wh_run_contained(&run, publish_template, &work);
		ok &= work.ok && run.error == NULL;
		if (run.error == NULL)
			continue;

		/* The rows are there; what failed is showing them. */
		wh_run_start(&run, "refresh");
		wh_run_finish(&run);
		wh_run_warn(&run);
	}

	return ok;
}

/*
 * List the days of one template and tenant.
 *
 * Without a range: the tenant's today, and before it every day of the
 * look-back that was not loaded since it closed.
 */
static List *
units_of(const WhRequest *request, const WhTemplate *tmpl,
		 const WhTenant *tenant, TimestampTz now)
{
	DateADT		today = wh_date_at(now, tenant->time_zone);
	DateADT		to = request->has_to ? request->to : today;
	DateADT		from = request->has_from ? request->from : to;
	bool		look_back = !request->has_from &&
	(to == today || to == wh_date_at(now, "UTC"));
	List	   *units = NIL;
	ListCell   *lc;

	if (request->lost_only && wh_template_is_daily(tmpl))
		return lost_units(request, tmpl, tenant, today);

	if (!wh_template_is_daily(tmpl))
	{
		units = whole_units(request, tmpl, tenant, today);
		from = to + 1;
		look_back = false;
	}
	else if (look_back)
	{
		from = to - tmpl->lookback_days;
		if (tmpl->has_start_date && from < tmpl->start_date)
			from = Min(to, tmpl->start_date);
	}

	for (DateADT day = from; day <= to; day++)
	{
		WhUnit	   *unit;
		bool		optional = request->missing_only || (look_back && day < to);

		if (optional && is_final(tmpl, tenant, day))
			continue;
		unit = wh_unit_make(tmpl, tenant, wh_period_day(day), day <= today);
		units = request->newest_first ? lcons(unit, units) : lappend(units, unit);
	}

	if (request->recheck && look_back)
		units = wh_template_is_local(tmpl) ?
			add_due(units, wh_due_overtaken(tmpl, tenant), WH_LOAD, tmpl, tenant, today) :
			add_due(units, wh_due_rechecks(tmpl, tenant, today), WH_RECHECK,
					tmpl, tenant, today);
	if (request->old_versions && look_back)
		units = add_due(units, wh_due_old_versions(tmpl, tenant), WH_LOAD,
						tmpl, tenant, today);

	foreach(lc, units)
	{
		WhUnit	   *unit = (WhUnit *) lfirst(lc);

		unit->rules = request->rules;
		unit->named = request->named && !request->scheduled;
	}

	return units;
}

/*
 * List the days in the range, if there is one, that hold no rows any more.
 */
static List *
lost_units(const WhRequest *request, const WhTemplate *tmpl,
		   const WhTenant *tenant, DateADT today)
{
	List	   *days = NIL;
	ListCell   *lc;

	foreach(lc, wh_due_lost(tmpl, tenant))
	{
		DateADT		day = lfirst_int(lc);

		if ((!request->has_from || day >= request->from) &&
			(!request->has_to || day <= request->to))
			days = lappend_int(days, day);
	}

	return add_due(NIL, days, WH_RESTORE, tmpl, tenant, today);
}

/*
 * Add days that nobody asked for, in their order.
 */
static List *
add_due(List *units, const List *days, WhPurpose purpose,
		const WhTemplate *tmpl, const WhTenant *tenant, DateADT today)
{
	ListCell   *lc;

	foreach(lc, days)
	{
		DateADT		day = lfirst_int(lc);
		WhUnit	   *unit;

		if (has_unit(units, day))
			continue;
		unit = wh_unit_make(tmpl, tenant, wh_period_day(day), day <= today);
		unit->purpose = purpose;
		units = lappend(units, unit);
	}

	return units;
}

static bool
has_unit(const List *units, DateADT day)
{
	ListCell   *lc;

	foreach(lc, units)
	{
		if (((const WhUnit *) lfirst(lc))->period.start == day)
			return true;
	}

	return false;
}

/*
 * List the units of a template that is not daily: one, for whatever days.  An
 * incremental one asked for earlier days has one for each month of them, so
 * that a long history is loaded in pieces that are kept.
 */
static List *
whole_units(const WhRequest *request, const WhTemplate *tmpl,
			const WhTenant *tenant, DateADT today)
{
	DateADT		to = request->has_to ? request->to : today;
	DateADT		from = request->has_from ? request->from : to;
	List	   *units = NIL;
	WhPeriod	whole = wh_period_whole();

	if (request->missing_only && is_whole_loaded(tmpl, tenant))
		return NIL;
	if (request->lost_only && wh_slice_find(tmpl->name, tenant->name, &whole) == NULL)
		return NIL;

	if (!wh_template_is_incremental(tmpl) || request->missing_only ||
		(!request->has_from && to >= today))
		return list_make1(wh_unit_make(tmpl, tenant, wh_period_whole(), true));

	for (DateADT day = from; day <= to;)
	{
		WhPeriod	month = wh_period_make(WH_MONTH, day);
		WhUnit	   *unit = wh_unit_make(tmpl, tenant, wh_period_whole(), true);

		unit->days.given = true;
		unit->days.from = day;
		unit->days.to = Min(to, month.end - 1);
		units = lappend(units, unit);
		day = month.end;
	}

	return units;
}

/*
 * Is the one relation there, by the template as it is now?
 */
static bool
is_whole_loaded(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice = wh_slice_find(tmpl->name, tenant->name, &whole);

	return slice != NULL && slice->template_version == tmpl->version &&
		wh_slice_is_populated(slice);
}

/*
 * Was the day loaded after it had closed, by the template as it is now, from
 * inputs that are as they were, and is it still there?
 */
static bool
is_final(const WhTemplate *tmpl, const WhTenant *tenant, DateADT day)
{
	const WhSlice *slice = wh_slice_covering(tmpl->name, tenant->name, day);
	WhPeriod	period = wh_period_day(day);

	if (slice == NULL)
		return false;
	if (wh_due_is_frozen(tmpl, tenant, day))
		return true;
	if (slice->period.kind != WH_DAY)
		return !list_member_int(slice->missing, day) &&
			OidIsValid(wh_slice_relid(slice));

	return strcmp(slice->state, "loaded") == 0 &&
		slice->template_version == tmpl->version &&
		wh_slice_is_populated(slice) &&
		slice->as_of >= wh_period_span(&period, tenant->time_zone).end &&
		!wh_depend_changed(tmpl, tenant, &period, slice->run_id);
}

/*
 * Check a range of days before anything is done.
 */
static void
check_days(const WhRequest *request, TimestampTz now)
{
	DateADT		latest = wh_date_at(now, "UTC");
	DateADT		from;
	DateADT		to;
	ListCell   *lc;

	foreach(lc, request->tenants)
		latest = Max(latest, wh_date_at(now, ((const WhTenant *) lfirst(lc))->time_zone));

	if ((request->has_from && DATE_NOT_FINITE(request->from)) ||
		(request->has_to && DATE_NOT_FINITE(request->to)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a day must be finite")));

	to = request->has_to ? request->to : latest;
	from = request->has_from ? request->from : to;
	if (Max(from, to) > latest && (from <= to || !request->has_to))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day %s is in the future", wh_date_text(Max(from, to))),
				 errdetail("The latest day that has begun is %s.", wh_date_text(latest)),
				 errhint("Use to_date => '%s' or earlier.", wh_date_text(latest))));
	if (from > to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_date %s is after to_date %s",
						wh_date_text(from), wh_date_text(to)),
				 errhint("Both days are inclusive; the earlier one comes first.")));
	if (to - from >= MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a call may span at most %d days", MAX_DAYS),
				 errdetail("From %s to %s it spans %d.",
						   wh_date_text(from), wh_date_text(to), to - from + 1),
				 errhint("Begin with from_date => '%s', to_date => '%s'.",
						 wh_date_text(from), wh_date_text(from + MAX_DAYS - 1))));
}

/*
 * Refuse more units in one transaction than the lock table has room for, long
 * before it says "out of shared memory" to everybody; and refills beside
 * others, since one locks readers out until the commit.
 */
void
wh_check_one_transaction(const List *units)
{
	int64		needed = 0;
	bool		rollups = false;
	ListCell   *lc;

	foreach(lc, units)
	{
		const WhUnit *unit = (const WhUnit *) lfirst(lc);

		rollups |= unit->rollup;
		needed += unit->rollup ? unit->locks : wh_relation_locks(unit->tmpl);
		if (unit->rules.method == WH_REFILL && list_length(units) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot refill %d slices in one transaction",
							list_length(units)),
					 errdetail("Each would lock its readers out until the last one is loaded."),
					 errhint("CALL _wh.run_refresh(...) commits each unit; or refill one slice at a time.")));
	}

	if (!wh_locks_fit(needed))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d units do not fit into one transaction", list_length(units)),
				 errdetail("They need about " INT64_FORMAT " locks, and the lock table has room for "
						   INT64_FORMAT " in all.", needed, wh_lock_capacity()),
				 errhint("CALL _wh.%s(...) commits each unit; or set max_locks_per_transaction = "
						 INT64_FORMAT " (now %d) and restart the server.",
						 rollups ? "run_rollup" : "run_refresh",
						 wh_locks_setting(needed), max_locks_per_xact)));
}

static int
compare_tenant_day(const ListCell *a, const ListCell *b)
{
	const WhUnit *left = (const WhUnit *) lfirst(a);
	const WhUnit *right = (const WhUnit *) lfirst(b);
	int			order = strcmp(left->tenant->name, right->tenant->name);

	/* What is made here shares nobody's snapshot, and comes after its inputs. */
	if (order == 0)
		order = left->tmpl->depth - right->tmpl->depth;
	if (order == 0)
		order = (left->period.start > right->period.start) -
			(left->period.start < right->period.start);
	if (order == 0)
		order = strcmp(left->tmpl->name, right->tmpl->name);

	return order;
}


static void
publish_template(WhRun *run, void *arg)
{
	Showing    *work = (Showing *) arg;

	run->status = "loaded";
	work->ok = wh_unionview_all(work->tmpl);
}
