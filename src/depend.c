/*
 * depend.c
 *		Which templates come before which.
 *
 * A derived template names its inputs in options.depends_on; those may have
 * inputs of their own.  A row of mv_templates is checked by itself only, so a
 * name can lead nowhere or back: whoever walks here survives that.  How the
 * inputs stand is told by the ledger and the log, not by the call at hand, so
 * that it counts for whatever session asks.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "depend.h"
#include "inputlog.h"
#include "slice.h"
#include "watermark.h"

static int	depth_of(const List *all, WhTemplate *tmpl, List *path);
static WhTemplate *find(const List *all, const char *name);
static bool is_named(const List *names, const char *name);
static void gather(const List *all, const WhTemplate *tmpl, List **inputs);
static List *circle(const List *all, const WhTemplate *tmpl, const char *start,
					List *path, List **seen);
static char *path_text(const List *path);
static bool has_failed(const WhTemplate *input, const WhTenant *tenant,
					   const WhPeriod *period);
static bool is_there(const WhTemplate *input, const WhTenant *tenant,
					 const WhPeriod *period);
static TimestampTz as_of_input(const WhTemplate *input, const WhTenant *tenant,
							   const WhPeriod *period, TimestampTz now);

/*
 * Put inputs first; see depend.h.
 */
List *
wh_depend_order(List *templates)
{
	List	   *ordered = NIL;
	List	   *all = NIL;
	int			deepest = 0;
	ListCell   *lc;

	foreach(lc, templates)
	{
		WhTemplate *tmpl = (WhTemplate *) lfirst(lc);

		if (tmpl->depends_on != NIL && all == NIL)
			all = wh_templates_all();
		tmpl->depth = depth_of(all, tmpl, NIL);
		deepest = Max(deepest, tmpl->depth);
	}
	if (deepest == 0)
		return templates;

	for (int depth = 0; depth <= deepest; depth++)
	{
		foreach(lc, templates)
		{
			if (((const WhTemplate *) lfirst(lc))->depth == depth)
				ordered = lappend(ordered, lfirst(lc));
		}
	}

	return ordered;
}

/*
 * Check what a template depends on; see depend.h.
 */
void
wh_depend_check(const WhTemplate *tmpl)
{
	List	   *all = wh_templates_all();
	List	   *seen = NIL;
	List	   *path;
	ListCell   *lc;

	foreach(lc, tmpl->depends_on)
	{
		const char *name = (const char *) lfirst(lc);

		if (find(all, name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("template \"%s\" does not exist", name),
					 errdetail("Template \"%s\" is to depend on it.", tmpl->name),
					 errhint("Define it first with SELECT _wh.add_template(%s, query_template => ...);",
							 quote_literal_cstr(name))));
	}

	path = circle(all, tmpl, tmpl->name, list_make1(tmpl->name), &seen);
	if (path != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template \"%s\" cannot depend on itself", tmpl->name),
				 errdetail("It would by way of %s.", path_text(path)),
				 errhint("Leave one of these out of depends_on.")));
}

List *
wh_depend_inputs(const WhTemplate *tmpl)
{
	List	   *all = tmpl->depends_on == NIL ? NIL : wh_templates_all();
	List	   *inputs = NIL;
	ListCell   *lc;

	foreach(lc, tmpl->depends_on)
	{
		WhTemplate *input = find(all, (const char *) lfirst(lc));

		if (input != NULL)
			inputs = lappend(inputs, input);
	}

	return inputs;
}

List *
wh_depend_chain(const WhTemplate *tmpl)
{
	List	   *inputs = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	if (tmpl->depends_on != NIL)
		gather(wh_templates_all(), tmpl, &inputs);
	foreach(lc, inputs)
		names = lappend(names, ((const WhTemplate *) lfirst(lc))->name);

	return names;
}

List *
wh_depend_readers(const char *name)
{
	List	   *readers = NIL;
	ListCell   *lc;

	foreach(lc, wh_templates_all())
	{
		if (is_named(((const WhTemplate *) lfirst(lc))->depends_on, name))
			readers = lappend(readers, lfirst(lc));
	}

	return readers;
}

/*
 * Say what is in the way of a unit; see depend.h.  A failure further up has
 * kept all in between from being made, so it counts the same.
 */
char *
wh_depend_hindrance(const WhTemplate *tmpl, const WhTenant *tenant,
					const WhPeriod *period, const char **input)
{
	List	   *all;
	List	   *inputs = NIL;
	List	   *seen = NIL;
	List	   *path;
	ListCell   *lc;

	if (tmpl->depends_on == NIL)
		return NULL;

	all = wh_templates_all();
	path = circle(all, tmpl, tmpl->name, list_make1(tmpl->name), &seen);
	if (path != NIL)
	{
		*input = (const char *) linitial(tmpl->depends_on);
		return psprintf("template \"%s\" depends on itself: %s", tmpl->name,
						path_text(path));
	}

	gather(all, tmpl, &inputs);
	foreach(lc, inputs)
	{
		const WhTemplate *one = (const WhTemplate *) lfirst(lc);

		*input = one->name;
		if (has_failed(one, tenant, period))
			return wh_depend_failed(tmpl, tenant, one->name);
	}
	foreach(lc, tmpl->depends_on)
	{
		const WhTemplate *one = find(all, (const char *) lfirst(lc));

		*input = (const char *) lfirst(lc);
		if (one == NULL)
			return psprintf("input \"%s\" of template \"%s\" does not exist",
							*input, tmpl->name);
		if (!is_there(one, tenant, period))
			return psprintf("input \"%s\" of template \"%s\" has not been loaded for tenant \"%s\"%s",
							*input, tmpl->name, tenant->name,
							period->kind == WH_WHOLE || !wh_template_is_daily(one) ? "" :
							psprintf(" on %s", wh_date_text(period->start)));
	}
	*input = NULL;

	return NULL;
}

char *
wh_depend_failed(const WhTemplate *tmpl, const WhTenant *tenant,
				 const char *input)
{
	return psprintf("input \"%s\" of template \"%s\" failed for tenant \"%s\": what is stored stays as it was",
					input, tmpl->name, tenant->name);
}

/*
 * Say how far the inputs have been read; see depend.h.
 */
TimestampTz
wh_depend_as_of(const WhTemplate *tmpl, const WhTenant *tenant,
				const WhPeriod *period, TimestampTz now)
{
	ListCell   *lc;

	foreach(lc, wh_depend_inputs(tmpl))
		now = Min(now, as_of_input((const WhTemplate *) lfirst(lc), tenant,
								   period, now));

	return now;
}

bool
wh_depend_changed(const WhTemplate *tmpl, const WhTenant *tenant,
				  const WhPeriod *period, int64 run_id)
{
	return tmpl->depends_on != NIL &&
		wh_inputlog_changed(run_id, wh_depend_chain(tmpl), tenant->name, period);
}

/*
 * Tell how far a template is from those that depend on none; "path" are those
 * that led here, one of which a circle meets again.
 */
static int
depth_of(const List *all, WhTemplate *tmpl, List *path)
{
	int			depth = 0;
	ListCell   *lc;

	if (tmpl->depth > 0 || is_named(path, tmpl->name))
		return tmpl->depth;

	path = lappend(list_copy(path), tmpl->name);
	foreach(lc, tmpl->depends_on)
	{
		WhTemplate *input = find(all, (const char *) lfirst(lc));

		if (input != NULL)
			depth = Max(depth, 1 + depth_of(all, input, path));
	}
	tmpl->depth = depth;

	return depth;
}

static WhTemplate *
find(const List *all, const char *name)
{
	ListCell   *lc;

	foreach(lc, all)
	{
		if (strcmp(((const WhTemplate *) lfirst(lc))->name, name) == 0)
			return (WhTemplate *) lfirst(lc);
	}

	return NULL;
}

static bool
is_named(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}

	return false;
}

/*
 * Gather the inputs, and theirs, each once.
 */
static void
gather(const List *all, const WhTemplate *tmpl, List **inputs)
{
	ListCell   *lc;

	foreach(lc, tmpl->depends_on)
	{
		WhTemplate *input = find(all, (const char *) lfirst(lc));

		if (input == NULL || list_member_ptr(*inputs, input))
			continue;
		*inputs = lappend(*inputs, input);
		gather(all, input, inputs);
	}
}

/*
 * Find a way from a template back to "start", which "path" begins with; NIL
 * for none.  What was "seen" has been walked.
 */
static List *
circle(const List *all, const WhTemplate *tmpl, const char *start,
	   List *path, List **seen)
{
	ListCell   *lc;

	foreach(lc, tmpl->depends_on)
	{
		char	   *name = (char *) lfirst(lc);
		List	   *further = lappend(list_copy(path), name);
		const WhTemplate *input = find(all, name);
		List	   *found;

		if (strcmp(name, start) == 0)
			return further;
		if (input == NULL || is_named(*seen, name))
			continue;
		*seen = lappend(*seen, name);
		found = circle(all, input, start, further, seen);
		if (found != NIL)
			return found;
	}

	return NIL;
}

static char *
path_text(const List *path)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, path)
		appendStringInfo(&text, "%s%s", text.len == 0 ? "" : " -> ",
						 (const char *) lfirst(lc));

	return text.data;
}

/*
 * Did the input's last attempt at what the period is made of fail?  A whole
 * over days stands on all of them; those that a refresh without dates loads
 * are asked for, else a day that the source has purged would hold it up for
 * ever.
 */
static bool
has_failed(const WhTemplate *input, const WhTenant *tenant,
		   const WhPeriod *period)
{
	WhPeriod	whole = wh_period_whole();
	DateADT		today;

	if (!wh_template_is_daily(input))
		return wh_inputlog_failed(input->name, tenant->name, whole.start, whole.start);
	if (period->kind != WH_WHOLE)
		return wh_inputlog_failed(input->name, tenant->name, period->start, period->end - 1);

	today = wh_date_at(GetCurrentTimestamp(), tenant->time_zone);

	return wh_inputlog_failed(input->name, tenant->name, today - input->lookback_days, today);
}

/*
 * Does the input hold what the period is made of?  A live one is a view.
 */
static bool
is_there(const WhTemplate *input, const WhTenant *tenant,
		 const WhPeriod *period)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice;

	if (wh_template_is_live(input))
		return true;
	if (wh_template_is_daily(input) && period->kind == WH_WHOLE)
		return wh_slices(input->name, tenant->name) != NIL;

	slice = wh_template_is_daily(input)
		? wh_slice_covering(input->name, tenant->name, period->start)
		: wh_slice_find(input->name, tenant->name, &whole);

	return slice != NULL && strcmp(slice->state, "empty") != 0 &&
		!list_member_int(slice->missing, period->start) &&
		wh_slice_is_populated(slice);
}

/*
 * Say how far one input has been read.  A roll-up holds days that had closed.
 */
static TimestampTz
as_of_input(const WhTemplate *input, const WhTenant *tenant,
			const WhPeriod *period, TimestampTz now)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice;

	if (wh_template_is_live(input) ||
		(wh_template_is_daily(input) && period->kind == WH_WHOLE))
		return now;
	if (wh_template_is_incremental(input))
		return wh_watermark(input->name, tenant->name)->source_clock;

	slice = wh_template_is_daily(input)
		? wh_slice_covering(input->name, tenant->name, period->start)
		: wh_slice_find(input->name, tenant->name, &whole);
	if (slice == NULL)
		return DT_NOBEGIN;

	return wh_template_is_daily(input) && slice->period.kind != WH_DAY ? now : slice->as_of;
}
