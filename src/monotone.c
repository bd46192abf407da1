/*
 * monotone.c
 *		Expressions that never step back as a time column goes forward.
 *
 * Where f never steps back, "f(time) < constant" holds for the slices up to
 * some day and for none after it, so that two ends of a slice decide about it.
 * People and tools write such columns as casts, AT TIME ZONE, date_trunc,
 * extract(year ...) and plus or minus an interval, and these are known here by
 * their functions.  Some step back a little: local time when clocks are set
 * back (by a day at most, where a date line moved), or a month added to the
 * 29th, 30th and 31st.  The radius says how far apart two times must be to be
 * in order for certain; whoever asks widens slices by it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "monotone.h"

/* Adding months takes three days and their hours to one. */
#define MONTHS_RADIUS 4

typedef enum Kind
{
	PLAIN,						/* keeps order and distance, but for rounding
								 * of numbers, which nothing follows */
	TO_DAY,						/* values move by less than a day */
	TO_UNIT,					/* equal, or a unit apart; less than a day is
								 * as TO_DAY */
	FIELD,						/* of a year, or of all time */
	DAYS,						/* a number of them away */
	SHIFT						/* an interval away */
} Kind;

/* Whose zone turns instants into local time or back. */
typedef enum Zone
{
	NO_ZONE,
	SESSION_ZONE,
	FIRST_ARG,
	THIRD_ARG
} Zone;

typedef struct Known
{
	Oid			function;
	int			column;			/* which argument, from 0 */
	Kind		kind;
	Zone		zone;
} Known;

static const Known known[] = {
	{F_DATE_TIMESTAMP, 0, TO_DAY, NO_ZONE},
	{F_DATE_TIMESTAMPTZ, 0, TO_DAY, SESSION_ZONE},
	{F_TIMESTAMP_DATE, 0, PLAIN, NO_ZONE},
	{F_TIMESTAMP_TIMESTAMPTZ, 0, PLAIN, SESSION_ZONE},
	{F_TIMESTAMPTZ_DATE, 0, PLAIN, SESSION_ZONE},
	{F_TIMESTAMPTZ_TIMESTAMP, 0, PLAIN, SESSION_ZONE},

	{F_TIMEZONE_TEXT_TIMESTAMPTZ, 1, PLAIN, FIRST_ARG},
	{F_TIMEZONE_TEXT_TIMESTAMP, 1, PLAIN, FIRST_ARG},
	{F_TIMEZONE_INTERVAL_TIMESTAMPTZ, 1, DAYS, NO_ZONE},
	{F_TIMEZONE_INTERVAL_TIMESTAMP, 1, DAYS, NO_ZONE},

	{F_DATE_TRUNC_TEXT_TIMESTAMP, 1, TO_UNIT, NO_ZONE},
	{F_DATE_TRUNC_TEXT_TIMESTAMPTZ, 1, TO_UNIT, SESSION_ZONE},
	{F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT, 1, TO_UNIT, THIRD_ARG},

	{F_EXTRACT_TEXT_DATE, 1, FIELD, NO_ZONE},
	{F_EXTRACT_TEXT_TIMESTAMP, 1, FIELD, NO_ZONE},
	{F_EXTRACT_TEXT_TIMESTAMPTZ, 1, FIELD, SESSION_ZONE},
	{F_DATE_PART_TEXT_DATE, 1, FIELD, NO_ZONE},
	{F_DATE_PART_TEXT_TIMESTAMP, 1, FIELD, NO_ZONE},
	{F_DATE_PART_TEXT_TIMESTAMPTZ, 1, FIELD, SESSION_ZONE},

	{F_TIMESTAMPTZ_PL_INTERVAL, 0, SHIFT, SESSION_ZONE},
	{F_TIMESTAMPTZ_MI_INTERVAL, 0, SHIFT, SESSION_ZONE},
	{F_TIMESTAMP_PL_INTERVAL, 0, SHIFT, NO_ZONE},
	{F_TIMESTAMP_MI_INTERVAL, 0, SHIFT, NO_ZONE},
	{F_DATE_PL_INTERVAL, 0, SHIFT, NO_ZONE},
	{F_DATE_MI_INTERVAL, 0, SHIFT, NO_ZONE},
	{F_DATE_PLI, 0, DAYS, NO_ZONE},
	{F_DATE_MII, 0, DAYS, NO_ZONE},

	/* What extract and date_part are compared as. */
	{F_INT4_NUMERIC, 0, PLAIN, NO_ZONE},
	{F_INT8_NUMERIC, 0, PLAIN, NO_ZONE},
	{F_FLOAT8_NUMERIC, 0, PLAIN, NO_ZONE},
	{F_NUMERIC_FLOAT8, 0, PLAIN, NO_ZONE},
	{F_NUMERIC_INT4, 0, PLAIN, NO_ZONE},
	{F_INT4_FLOAT8, 0, PLAIN, NO_ZONE},
	{F_INT8_FLOAT8, 0, PLAIN, NO_ZONE},
	{F_FLOAT8_INT4, 0, PLAIN, NO_ZONE},
	{F_INT8_INT4, 0, PLAIN, NO_ZONE}
};

static const Known *find_known(Oid function);
static bool take_step(const Known *f, List *args, WhMonotone *monotone);
static bool take_zone(const Known *f, List *args, WhMonotone *monotone);
static bool field_grows(const Node *field);
static const Interval *constant_interval(const Node *arg);

/*
 * Judge an expression; see monotone.h.  Goes from the outermost function to
 * the column: each asks more of its argument.
 */
bool
wh_is_monotone(const Node *expr, AttrNumber attr, int needed,
			   WhMonotone *monotone)
{
	monotone->radius = needed;
	monotone->steps = 0;
	monotone->steady = true;
	monotone->zones = needed > 0 ? list_make1(session_timezone) : NIL;

	while (!IsA(expr, Var))
	{
		const Known *f;
		List	   *args;

		if (IsA(expr, RelabelType))
		{
			expr = (const Node *) ((const RelabelType *) expr)->arg;
			continue;
		}
		if (IsA(expr, FuncExpr))
		{
			f = find_known(((const FuncExpr *) expr)->funcid);
			args = ((const FuncExpr *) expr)->args;
		}
		else if (IsA(expr, OpExpr))
		{
			f = find_known(((const OpExpr *) expr)->opfuncid);
			args = ((const OpExpr *) expr)->args;
		}
		else
			return false;
		if (f == NULL)
			return false;

		for (int i = 0; i < list_length(args); i++)
		{
			if (i != f->column && !IsA(list_nth(args, i), Const))
				return false;
		}
		if (!take_step(f, args, monotone))
			return false;
		expr = (const Node *) list_nth(args, f->column);
	}

	return ((const Var *) expr)->varattno == attr;
}

/*
 * Return the radius at a time: zero where no clock is set as far around it as
 * its values can lie.  The column itself may be local time.
 */
int
wh_monotone_radius(const WhMonotone *monotone, TimestampTz at)
{
	int			around = (monotone->radius + monotone->steps + 2) * SECS_PER_DAY;
	pg_time_t	from = timestamptz_to_time_t(at) - around;
	pg_time_t	to = timestamptz_to_time_t(at) + around;
	ListCell   *lc;

	if (monotone->radius == 0 || !monotone->steady)
		return monotone->radius;

	foreach(lc, monotone->zones)
	{
		long		offset;
		int			isdst;
		pg_time_t	boundary;
		int			found;

		found = pg_next_dst_boundary(&from, &offset, &isdst, &boundary,
									 &offset, &isdst, (pg_tz *) lfirst(lc));
		if (found < 0 || (found > 0 && boundary <= to))
			return monotone->radius;
	}

	return 0;
}

bool
wh_session_zone_varies(void)
{
	long		offset;

	return !pg_get_timezone_offset(session_timezone, &offset);
}

static const Known *
find_known(Oid function)
{
	for (Size i = 0; i < lengthof(known); i++)
	{
		if (known[i].function == function)
			return &known[i];
	}

	return NULL;
}

/*
 * Raise the radius from that of the function's value to that of its argument.
 *
 * A step of local time keeps order beyond a day, and takes at most a day from
 * any distance.  Where an interval or the start of a unit moves a value far
 * away, clocks there matter that nobody looks at.
 */
static bool
take_step(const Known *f, List *args, WhMonotone *monotone)
{
	bool		inner = monotone->radius > 0;
	const Interval *interval;

	monotone->steps++;
	if (inner && (f->kind == DAYS || f->kind == TO_UNIT || f->kind == SHIFT))
		monotone->steady = false;
	if (inner && (f->kind == TO_DAY || f->kind == TO_UNIT))
		monotone->radius += 1;

	if (f->kind == FIELD && (inner || !field_grows((const Node *) linitial(args))))
		return false;
	if (f->kind == TO_UNIT && monotone->radius > 7)
		return false;			/* weeks are equal or that far apart */
	if (f->kind == SHIFT)
	{
		interval = constant_interval((const Node *) lsecond(args));
		if (interval == NULL)
			return false;
		if (interval->month != 0)
			monotone->radius += MONTHS_RADIUS;
		if (interval->month == 0 && interval->day == 0)
			return true;
		monotone->steady = false;
		if (!take_zone(f, args, monotone))
			return false;
	}

	return take_zone(f, args, monotone);
}

/*
 * Count a step of local time, unless the zone's clocks are never set.
 */
static bool
take_zone(const Known *f, List *args, WhMonotone *monotone)
{
	pg_tz	   *zone = session_timezone;
	long		offset;

	if (f->zone == NO_ZONE)
		return true;
	if (f->zone != SESSION_ZONE)
	{
		const Const *name = (const Const *)
		(f->zone == FIRST_ARG ? linitial(args) : lthird(args));

		if (name->constisnull || name->consttype != TEXTOID)
			return false;
		zone = pg_tzset(TextDatumGetCString(name->constvalue));
	}

	if (zone == NULL)
		monotone->steady = false;
	else if (pg_get_timezone_offset(zone, &offset))
	{
		if (labs(offset) > SECS_PER_DAY)
			monotone->steady = false;
		return true;
	}
	else
		monotone->zones = lappend(monotone->zones, zone);
	monotone->radius += 1;

	return true;
}

/*
 * Does the field of a time only ever grow?  A month does not.
 */
static bool
field_grows(const Node *field)
{
	static const char *const fields[] = {
		"year", "years", "epoch", "isoyear", "decade", "decades",
		"century", "centuries", "millennium", "millennia", "julian"
	};
	const Const *name = (const Const *) field;
	char	   *word;

	if (name->constisnull || name->consttype != TEXTOID)
		return false;

	word = TextDatumGetCString(name->constvalue);
	for (Size i = 0; i < lengthof(fields); i++)
	{
		if (pg_strcasecmp(fields[i], word) == 0)
			return true;
	}

	return false;
}

static const Interval *
constant_interval(const Node *arg)
{
	const Const *value = (const Const *) arg;

	if (value->constisnull || value->consttype != INTERVALOID)
		return NULL;

	return DatumGetIntervalP(value->constvalue);
}
