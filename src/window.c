/*
 * window.c
 *		Which rows of an incremental template a run reads, and how far that
 *		moves the watermark.
 *
 * A run reads the rows whose watermark lies in (low, high].  High is the
 * source's clock, or the begin of its oldest open transaction, which may still
 * write rows as old as that: no row is passed over, however late its
 * transaction commits.  Low is the last high.  Where we cannot see all of the
 * source's transactions, or are told to, the last "overlap" is read again each
 * time.  All of it is the source's time; ours only serves to see that its clock
 * was set back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "window.h"

/* Two clocks may drift apart by this much between two runs. */
#define CLOCK_TOLERANCE USECS_PER_SEC

static void set_high(WhWindow *window, const WhBound *bound);
static void hold_back(WhWindow *window, TimestampTz limit, char *reason);
static void follow_clock(WhWindow *window, TimestampTz clock);
static void narrow_to_days(WhWindow *window);
static char *bound_literal(Oid type, TimestampTz at, int64 offset);
static Oid	watermark_type(const WhTemplate *tmpl);
static char *instant_text(TimestampTz at);

/*
 * Begin with what is known; see window.h.
 */
void
wh_window_begin(WhWindow *window, const WhTemplate *tmpl,
				const WhTenant *tenant, const WhDays *days, bool is_there,
				bool has_base)
{
	const WhWatermark *before = wh_watermark(tmpl->name, tenant->name);

	window->tmpl = tmpl;
	window->tenant = tenant;
	window->days = days;
	window->before = before;
	window->context = CurrentMemoryContext;

	/* One that was filled and is gone has taken its rows along. */
	window->afresh = is_there ? !has_base : before->last_loaded_at != DT_NOBEGIN;
	window->low = window->afresh ? DT_NOBEGIN :
		Min(before->last_extracted_at, before->reread_from);
	window->high = DT_NOEND;
	narrow_to_days(window);
}

/*
 * Set the bounds; see window.h.
 */
void
wh_window_set(WhWindow *window, const WhBound *bound)
{
	const WhWatermark *before = window->before;

	window->now.source_clock = bound->clock;
	window->now.asked_at = GetCurrentTimestamp();
	window->low = window->afresh ? DT_NOBEGIN :
		Min(before->last_extracted_at, before->reread_from);
	set_high(window, bound);
	follow_clock(window, bound->clock);
	window->high = Max(window->high, window->low);
	narrow_to_days(window);
}

/*
 * Write the condition; see window.h.  A wall clock that is set back for the
 * winter shows an hour twice, so both bounds allow for either offset.
 */
char *
wh_window_condition(const WhWindow *window)
{
	const char *column = quote_identifier(window->tmpl->watermark_column);
	const char *zone = window->tenant->time_zone;
	TimestampTz low = window->low;
	TimestampTz high = window->high;
	Oid			type = watermark_type(window->tmpl);
	int64		low_offset = 0;
	int64		high_offset = 0;
	StringInfoData sql;

	if (type == TIMESTAMPOID)
	{
		high_offset = wh_wall_clock_offset(TIMESTAMP_IS_NOEND(high) ? GetCurrentTimestamp() : high, zone);
		low_offset = TIMESTAMP_IS_NOBEGIN(low) ? high_offset : wh_wall_clock_offset(low, zone);
	}

	initStringInfo(&sql);
	if (!TIMESTAMP_IS_NOBEGIN(low))
		appendStringInfo(&sql, "q.%s > %s", column,
						 bound_literal(type, low, Min(low_offset, high_offset)));
	if (!TIMESTAMP_IS_NOEND(high))
		appendStringInfo(&sql, "%sq.%s <= %s", sql.len > 0 ? " AND " : "", column,
						 bound_literal(type, high, Max(low_offset, high_offset)));

	return sql.len > 0 ? sql.data : NULL;
}

/*
 * Write the new watermark; see window.h.  Days that were asked for move it only
 * where they go on from it without a gap.
 */
void
wh_window_settle(WhWindow *window, int64 rows)
{
	const WhWatermark *before = window->before;
	TimestampTz complete = Min(before->last_extracted_at, before->reread_from);
	WhWatermark *now = &window->now;

	now->last_extracted_at = window->high;
	now->last_loaded_at = GetCurrentTimestamp();
	now->rows_loaded = rows;
	if (window->days->given)
	{
		now->source_clock = before->source_clock;
		now->asked_at = before->asked_at;
		if (window->afresh || complete == DT_NOBEGIN || complete < window->low ||
			before->last_extracted_at >= window->high)
		{
			now->last_extracted_at = window->afresh ? DT_NOBEGIN : before->last_extracted_at;
			now->reread_from = before->reread_from;
		}
		else
			now->reread_from = Min(now->reread_from, window->high);
	}

	wh_watermark_advance(window->tmpl->name, window->tenant->name,
						 psprintf("%s.%s", window->tenant->schema, window->tmpl->name),
						 before, now);
}

/*
 * Set how far can be read, why no further, and from where the next run must
 * read again.
 *
 * A prepared transaction shows when it was prepared and not when it began.  It
 * began after the watermark, since it held that back while it was open; or
 * else, as we assume, no longer than the overlap before it was prepared.
 */
static void
set_high(WhWindow *window, const WhBound *bound)
{
	int64		overlap = window->tmpl->overlap;

	window->high = bound->clock - 1;
	if (bound->standby && bound->replayed != DT_NOBEGIN)
		hold_back(window, bound->replayed - 1,
				  psprintf("standby has replayed transactions up to %s",
						   instant_text(bound->replayed)));
	if (bound->oldest_session != NULL)
		hold_back(window, bound->oldest_start - 1,
				  psprintf("%s has a transaction open since %s",
						   bound->oldest_session, instant_text(bound->oldest_start)));
	if (bound->prepared_gid != NULL)
		hold_back(window, Max(bound->oldest_prepared - overlap - 1, window->low),
				  psprintf("transaction \"%s\" is prepared since %s",
						   bound->prepared_gid, instant_text(bound->oldest_prepared)));

	if (bound->all_visible && !window->tmpl->has_overlap)
		window->now.reread_from = DT_NOEND;
	else if (bound->standby && bound->replayed == DT_NOBEGIN)
		window->now.reread_from = window->low;
	else
		window->now.reread_from = window->high - overlap;
}

static void
hold_back(WhWindow *window, TimestampTz limit, char *reason)
{
	if (limit >= window->high)
		return;

	window->high = limit;
	window->now.lag_reason = MemoryContextStrdup(window->context, reason);
}

/*
 * Where the source's clock was set back since the last run, rows written since
 * then can be older than the watermark.  Our clock says how long ago that run
 * was: what the source's shows less that is where to read from.
 */
static void
follow_clock(WhWindow *window, TimestampTz clock)
{
	const WhWatermark *before = window->before;
	TimestampTz since;

	if (before->source_clock == DT_NOBEGIN || before->asked_at == DT_NOBEGIN ||
		window->low == DT_NOBEGIN)
		return;

	since = clock - (window->now.asked_at - before->asked_at);
	if (since >= before->source_clock - CLOCK_TOLERANCE)
		return;

	window->low = Min(window->low, since - CLOCK_TOLERANCE);
	window->now.lag_reason =
		MemoryContextStrdup(window->context,
							psprintf("source's clock was set back by " INT64_FORMAT " s: rows since %s were read again",
									 (before->source_clock - since) / USECS_PER_SEC,
									 instant_text(window->low)));
}

/*
 * Narrow the window to the days that were asked for, as far as they can be
 * read.
 */
static void
narrow_to_days(WhWindow *window)
{
	WhPeriod	period = {WH_WHOLE, window->days->from, window->days->to + 1};
	WhSpan		span;

	if (!window->days->given)
		return;

	span = wh_period_span(&period, window->tenant->time_zone);
	window->low = span.start - 1;
	window->high = Max(Min(window->high, span.end - 1), window->low);
}

static char *
bound_literal(Oid type, TimestampTz at, int64 offset)
{
	return type == TIMESTAMPOID ? wh_timestamp_literal(at + offset)
		: wh_timestamptz_literal(at);
}

static Oid
watermark_type(const WhTemplate *tmpl)
{
	int			attnum = SPI_fnumber(tmpl->columns, tmpl->watermark_column);

	return TupleDescAttr(tmpl->columns, attnum - 1)->atttypid;
}

/*
 * Write an instant for people, whatever the session's DateStyle.
 */
static char *
instant_text(TimestampTz at)
{
	char	   *literal = wh_timestamptz_literal(at);

	return pnstrdup(literal + 1, strcspn(literal + 1, "'"));
}
