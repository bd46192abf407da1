/*
 * limits.c
 *		What a tenant's options allow: budgets, hours, and the load of its
 *		server.
 *
 * Reads and judges the JSON, knows no table and no clock.  Who is kept to the
 * limits is admission's, what the server says of its load loadgate's.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "json.h"
#include "limits.h"

#define MINUTES_PER_DAY (24 * 60)

typedef enum Kind
{
	KIND_COUNT,
	KIND_INTERVAL,
	KIND_WINDOWS
} Kind;

static const struct
{
	const char *name;
	Kind		kind;
	Size		offset;
}			known[] =

{
	{"bytes_per_day", KIND_COUNT, offsetof(WhLimits, bytes_per_day)},
	{"seconds_per_day", KIND_COUNT, offsetof(WhLimits, seconds_per_day)},
	{"windows", KIND_WINDOWS, offsetof(WhLimits, windows)},
	{"min_free_slots", KIND_COUNT, offsetof(WhLimits, min_free_slots)},
	{"max_lag", KIND_INTERVAL, offsetof(WhLimits, max_lag)},
	{"max_xmin_age", KIND_COUNT, offsetof(WhLimits, max_xmin_age)},
};

static bool read_option(const char *name, JsonbValue *value, WhLimits *limits,
						const char **problem, const char **advice);
static bool read_windows(JsonbValue *value, List **windows);
static bool read_hours(const JsonbValue *value, List **windows);
static int	minute_of(const char *text);

/*
 * Read the options; see limits.h.
 */
bool
wh_limits_read(Jsonb *options, WhLimits *limits, const char **problem,
			   const char **advice)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	memset(limits, 0, sizeof(WhLimits));
	if (!JB_ROOT_IS_OBJECT(options))
	{
		*problem = "They are not a JSON object.";
		*advice = "Give '{}' for none.";
		return false;
	}

	it = JsonbIteratorInit(&options->root);
	(void) JsonbIteratorNext(&it, &key, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (!read_option(pnstrdup(key.val.string.val, key.val.string.len),
						 &value, limits, problem, advice))
			return false;
	}

	return true;
}

void
wh_limits(Jsonb *options, WhLimits *limits)
{
	const char *problem;
	const char *advice;

	if (!wh_limits_read(options, limits, &problem, &advice))
		elog(ERROR, "stored options of a tenant: %s", problem);
}

bool
wh_limits_open(const WhLimits *limits, int minute)
{
	ListCell   *lc;

	foreach(lc, limits->windows)
	{
		const WhHours *hours = (const WhHours *) lfirst(lc);

		if (hours->from < hours->to ?
			minute >= hours->from && minute < hours->to :
			minute >= hours->from || minute < hours->to)
			return true;
	}

	return limits->windows == NIL;
}

char *
wh_limits_windows(const WhLimits *limits)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, limits->windows)
	{
		const WhHours *hours = (const WhHours *) lfirst(lc);

		appendStringInfo(&text, "%s%02d:%02d-%02d:%02d", text.len > 0 ? ", " : "",
						 hours->from / 60, hours->from % 60,
						 hours->to / 60, hours->to % 60);
	}

	return text.data;
}

static bool
read_option(const char *name, JsonbValue *value, WhLimits *limits,
			const char **problem, const char **advice)
{
	Size		i = 0;
	char	   *place;

	while (i < lengthof(known) && strcmp(name, known[i].name) != 0)
		i++;
	if (i == lengthof(known))
	{
		*problem = psprintf("There is no option \"%s\".", name);
		*advice = "Known are bytes_per_day, seconds_per_day, windows, "
			"min_free_slots, max_lag and max_xmin_age.";
		return false;
	}

	place = (char *) limits + known[i].offset;
	switch (known[i].kind)
	{
		case KIND_COUNT:
			if (wh_json_count(value, (int64 *) place))
				return true;
			*problem = psprintf("Option \"%s\" is not a positive integer.", name);
			*advice = "Give a whole number above zero.";
			return false;
		case KIND_INTERVAL:
			if (wh_json_duration(value, (int64 *) place))
				return true;
			*problem = psprintf("Option \"%s\" is not a length of time.", name);
			*advice = "Give an interval such as \"5 min\".";
			return false;
		case KIND_WINDOWS:
			if (read_windows(value, (List **) place))
				return true;
			*problem = psprintf("Option \"%s\" is not a list of hours.", name);
			*advice = "Give an array such as [\"22:00-06:00\", \"12:00-13:30\"], in the tenant's time zone.";
			return false;
	}

	return false;
}

/*
 * Read an array of hours that is not empty, or one that stands alone.
 */
static bool
read_windows(JsonbValue *value, List **windows)
{
	JsonbIterator *it;
	JsonbValue	element;

	if (value->type == jbvString)
		return read_hours(value, windows);
	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return false;

	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		if (!read_hours(&element, windows))
			return false;
	}

	return *windows != NIL;
}

/*
 * Read "HH:MM-HH:MM" and add it.
 */
static bool
read_hours(const JsonbValue *value, List **windows)
{
	char	   *text;
	WhHours    *hours;

	if (value->type != jbvString || value->val.string.len != 11)
		return false;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	if (text[5] != '-')
		return false;

	hours = (WhHours *) palloc(sizeof(WhHours));
	hours->from = minute_of(text);
	hours->to = minute_of(text + 6);
	if (hours->from < 0 || hours->to < 0 || hours->from == hours->to ||
		hours->from == MINUTES_PER_DAY)
		return false;
	*windows = lappend(*windows, hours);

	return true;
}

/*
 * Read the HH:MM that the text begins with, from 00:00 to 24:00; -1 when it is
 * none.
 */
static int
minute_of(const char *text)
{
	int			minute;

	for (int i = 0; i < 5; i++)
	{
		if (i == 2 ? text[i] != ':' : (text[i] < '0' || text[i] > '9'))
			return -1;
	}
	if (text[3] > '5')
		return -1;
	minute = (text[0] - '0') * 600 + (text[1] - '0') * 60 +
		(text[3] - '0') * 10 + (text[4] - '0');

	return minute <= MINUTES_PER_DAY ? minute : -1;
}
