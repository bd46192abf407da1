/*
 * period.c
 *		Days, months, years and the whole time line as values; pure.
 *
 * A day belongs to the tenant's calendar: its span of instants is computed in
 * the tenant's time zone by the same function for the end of one day and the
 * start of the next, so that neighbours meet without gap or overlap whatever
 * the clocks do in between.
 */
#include "postgres.h"

#include "common/string.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "period.h"

static const char *const kind_names[] = {"day", "month", "year", "whole"};

static char *timestamp_text(Timestamp at);
static DateADT date_of(int year, int month, int day);
static TimestampTz day_start(DateADT day, pg_tz *zone);
static pg_tz *zone_of(const char *time_zone);

WhPeriod
wh_period_day(DateADT day)
{
	return wh_period_make(WH_DAY, day);
}

WhPeriod
wh_period_whole(void)
{
	return wh_period_make(WH_WHOLE, DATEVAL_NOBEGIN);
}

/*
 * Make the period of a kind that begins on "start".
 */
WhPeriod
wh_period_make(WhPeriodKind kind, DateADT start)
{
	WhPeriod	period = {kind, start, DATEVAL_NOEND};
	int			year;
	int			month;
	int			mday;

	if (kind == WH_DAY)
		period.end = start + 1;
	if (kind == WH_MONTH || kind == WH_YEAR)
	{
		j2date(start + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
		if (kind == WH_YEAR || month == 12)
			period.end = date_of(year + 1, 1, 1);
		else
			period.end = date_of(year, month + 1, 1);
	}

	return period;
}

const char *
wh_period_kind_name(WhPeriodKind kind)
{
	return kind_names[kind];
}

WhPeriodKind
wh_period_kind_parse(const char *name)
{
	for (int kind = WH_DAY; kind <= WH_WHOLE; kind++)
	{
		if (strcmp(kind_names[kind], name) == 0)
			return (WhPeriodKind) kind;
	}
	elog(ERROR, "unknown period kind \"%s\"", name);
}

/*
 * Compute the instants that the period begins and ends at in a time zone.
 */
WhSpan
wh_period_span(const WhPeriod *period, const char *time_zone)
{
	pg_tz	   *zone = zone_of(time_zone);
	WhSpan		span = {day_start(period->start, zone), day_start(period->end, zone)};

	return span;
}

/*
 * Write a day as ISO 8601, whatever the session's DateStyle.
 */
char *
wh_date_text(DateADT day)
{
	int			year;
	int			month;
	int			mday;

	if (DATE_IS_NOBEGIN(day))
		return pstrdup("-infinity");
	if (DATE_IS_NOEND(day))
		return pstrdup("infinity");
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);

	return psprintf("%04d-%02d-%02d", year, month, mday);
}

/*
 * Name a period as people do.
 */
char *
wh_period_text(const WhPeriod *period)
{
	static const int lengths[] = {[WH_DAY] = 10,[WH_MONTH] = 7,[WH_YEAR] = 4,[WH_WHOLE] = 0};

	return psprintf("%s %.*s", kind_names[period->kind], lengths[period->kind],
					wh_date_text(period->start));
}

/*
 * Write an instant as a typed literal in UTC that a remote planner can
 * compare with a plain index, whatever either session's settings.
 */
char *
wh_timestamptz_literal(TimestampTz at)
{
	return psprintf("'%s+00'::pg_catalog.timestamptz", timestamp_text(at));
}

/*
 * Write what a wall clock shows as a typed literal.
 */
char *
wh_timestamp_literal(Timestamp at)
{
	return psprintf("'%s'::pg_catalog.timestamp", timestamp_text(at));
}

/*
 * Return how far a time zone's wall clock is ahead of UTC at an instant.
 */
int64
wh_wall_clock_offset(TimestampTz at, const char *time_zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			west;

	if (timestamp2tm(at, &west, &tm, &fsec, NULL, zone_of(time_zone)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	return -west * USECS_PER_SEC;
}

/*
 * Return the calendar day that an instant falls on in a time zone.
 */
DateADT
wh_date_at(TimestampTz at, const char *time_zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fsec, NULL, zone_of(time_zone)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	return date_of(tm.tm_year, tm.tm_mon, tm.tm_mday);
}

bool
wh_time_zone_is_valid(const char *time_zone)
{
	pg_tz	   *zone = pg_tzset(time_zone);

	return zone != NULL && pg_tz_acceptable(zone);
}

static char *
timestamp_text(Timestamp at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_ISO_DATES, text);

	return pstrdup(text);
}

static DateADT
date_of(int year, int month, int day)
{
	return date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
}

/*
 * Return the instant of local midnight.  Where the clocks skip midnight, the
 * instant of the jump.
 */
static TimestampTz
day_start(DateADT day, pg_tz *zone)
{
	struct pg_tm tm = {0};
	TimestampTz at;
	int			offset;

	if (DATE_IS_NOBEGIN(day))
		return DT_NOBEGIN;
	if (DATE_IS_NOEND(day))
		return DT_NOEND;

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &offset, &at) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range: \"%s\"", wh_date_text(day))));

	return at;
}

/*
 * Look a time zone up; tenants' zones were checked when they were written,
 * but the zone files are the system's.
 */
static pg_tz *
zone_of(const char *time_zone)
{
	pg_tz	   *zone = pg_tzset(time_zone);

	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", time_zone)));

	return zone;
}
