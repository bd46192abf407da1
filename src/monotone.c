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
	SHIFT						/* by an interval */
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
	{F_TIMEZONE_INTERVAL_TIMESTAMPTZ, 1, PLAIN, NO_ZONE},
	{F_TIMEZONE_INTERVAL_TIMESTAMP, 1, PLAIN, NO_ZONE},

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
	{F_DATE_PLI, 0, PLAIN, NO_ZONE},
	{F_DATE_MII, 0, PLAIN, NO_ZONE},

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
static int	radius_of(const Known *f, List *args, int needed);
static bool zone_varies(const Known *f, List *args);
static bool field_grows(const Node *field);
static const Interval *constant_interval(const Node *arg);

/*
 * Return the radius of an expression; see monotone.h.
 */
int
wh_monotone_radius(const Node *expr, AttrNumber attr, int needed)
{
	const Known *f;
	List	   *args;
	int			radius;

	if (IsA(expr, Var))
		return ((const Var *) expr)->varattno == attr ? needed : -1;
	if (IsA(expr, RelabelType))
		return wh_monotone_radius((const Node *) ((const RelabelType *) expr)->arg,
								  attr, needed);

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
		return -1;
	if (f == NULL)
		return -1;

	for (int i = 0; i < list_length(args); i++)
	{
		if (i != f->column && !IsA(list_nth(args, i), Const))
			return -1;
	}

	radius = radius_of(f, args, needed);
	if (radius < 0)
		return -1;

	return wh_monotone_radius((const Node *) list_nth(args, f->column), attr,
							  radius);
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
 * Return how far apart arguments of the function must be so that its values
 * are in order, and "needed" days apart as what is around it asks.
 *
 * A step of local time keeps order beyond a day, and takes at most a day from
 * any distance.
 */
static int
radius_of(const Known *f, List *args, int needed)
{
	int			zone = zone_varies(f, args) ? 1 : 0;
	int			rounding = needed > 0 ? 1 : 0;
	const Interval *interval;

	switch (f->kind)
	{
		case PLAIN:
			return needed + zone;
		case TO_DAY:
			return needed + zone + rounding;
		case TO_UNIT:

			/* Weeks and more are far enough apart, or equal. */
			return needed > 7 ? -1 : needed + zone + rounding;
		case FIELD:
			return needed > 0 || !field_grows((const Node *) linitial(args)) ?
				-1 : zone;
		case SHIFT:
			interval = constant_interval((const Node *) lsecond(args));
			if (interval == NULL)
				return -1;
			if (interval->month != 0)
				return needed + MONTHS_RADIUS + 2 * zone;
			return needed + (interval->day != 0 ? 2 * zone : 0);
	}

	return -1;
}

/*
 * Does the function go by a zone whose clocks are set back at times?
 */
static bool
zone_varies(const Known *f, List *args)
{
	const		Const *name;
	pg_tz	   *zone;
	long		offset;

	if (f->zone == NO_ZONE)
		return false;
	if (f->zone == SESSION_ZONE)
		return wh_session_zone_varies();

	name = (const Const *) (f->zone == FIRST_ARG ? linitial(args) : lthird(args));
	if (name->constisnull || name->consttype != TEXTOID)
		return true;
	zone = pg_tzset(TextDatumGetCString(name->constvalue));

	return zone == NULL || !pg_get_timezone_offset(zone, &offset);
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
	const		Const *name = (const Const *) field;
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
	const		Const *value = (const Const *) arg;

	if (value->constisnull || value->consttype != INTERVALOID)
		return NULL;

	return DatumGetIntervalP(value->constvalue);
}
