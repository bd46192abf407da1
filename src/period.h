/*
 * period.h
 *		Days, months, years and the whole time line as values; pure.
 */
#ifndef WH_PERIOD_H
#define WH_PERIOD_H

#include "datatype/timestamp.h"
#include "utils/date.h"

typedef enum WhPeriodKind
{
	WH_DAY,
	WH_MONTH,
	WH_YEAR,
	WH_WHOLE					/* start -infinity, end infinity */
} WhPeriodKind;

/* Half-open [start, end) in days of the tenant's calendar. */
typedef struct WhPeriod
{
	WhPeriodKind kind;
	DateADT		start;
	DateADT		end;
} WhPeriod;

/* Days that a caller asked for, both of them inclusive; or none. */
typedef struct WhDays
{
	bool		given;
	DateADT		from;
	DateADT		to;
} WhDays;

/* The same period as instants, in one time zone. */
typedef struct WhSpan
{
	TimestampTz start;
	TimestampTz end;
} WhSpan;

extern WhPeriod wh_period_day(DateADT day);
extern WhPeriod wh_period_whole(void);
extern WhPeriod wh_period_make(WhPeriodKind kind, DateADT start);

extern const char *wh_period_kind_name(WhPeriodKind kind);
extern WhPeriodKind wh_period_kind_parse(const char *name);

extern WhSpan wh_period_span(const WhPeriod *period, const char *time_zone);

extern char *wh_date_text(DateADT day); /* "2001-01-31", whatever DateStyle */
extern char *wh_period_text(const WhPeriod *period);	/* "month 2001-01" */
extern char *wh_timestamptz_literal(TimestampTz at);	/* '2001-01-31
														 * 00:00:00+00'::pg_catalog.timestamptz */
extern char *wh_timestamp_literal(Timestamp at);	/* '2001-01-31
													 * 00:00:00'::pg_catalog.timestamp */

/* How far that zone's wall clock is from UTC, in microseconds. */
extern int64 wh_wall_clock_offset(TimestampTz at, const char *time_zone);

extern DateADT wh_date_at(TimestampTz at, const char *time_zone);	/* that zone's day */
extern bool wh_time_zone_is_valid(const char *time_zone);

#endif							/* WH_PERIOD_H */
