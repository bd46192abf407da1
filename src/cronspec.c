/*
 * cronspec.c
 *		The five fields of cron as sets.
 *
 * What a schedule means has to be known for three things: to say when a job
 * should have run, to spread jobs inside their cadence, and to write the hours
 * of a time zone as those of a scheduler that knows GMT only.  Text that is
 * not understood here is left to the scheduler.
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "port/pg_bitutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "cronspec.h"

#define DAY_MINUTES (24 * 60)

/* 29 February comes within eight years. */
#define MOST_DAYS (8 * 366 + 1)

/* Where each field is in a WhCron. */
enum
{
	AT_MINUTE,
	AT_HOUR,
	AT_DAY,
	AT_MONTH,
	AT_WEEKDAY
};

typedef struct Field
{
	int			least;
	int			most;
	const char *names;			/* three letters each, from "least" on */
} Field;

static const Field fields[WH_CRON_FIELDS] = {
	{0, 59, ""},
	{0, 23, ""},
	{1, 31, ""},
	{1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{0, 7, "sunmontuewedthufrisat"},
};

static bool read_field(const char **text, int field, WhCron *cron);
static bool read_element(const char **text, const Field *field, uint64 *set);
static bool read_number(const char **text, const Field *field, int *number);
static bool is_any(const WhCron *cron, int field);
static bool fires_on(const WhCron *cron, int64 day);
static bool fires_at(const WhCron *cron, int minute);
static int64 day_of(TimestampTz at);
static int	span(const WhCron *cron, int *first);
static char *field_text(uint64 set, int cycle);

bool
wh_cron_parse(const char *text, WhCron *cron)
{
	static const char *const words[][2] = {
		{"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"},
		{"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
		{"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
		{"@annually", "0 0 1 1 *"}
	};

	for (Size i = 0; i < lengthof(words); i++)
	{
		if (strcmp(text, words[i][0]) == 0)
			text = words[i][1];
	}

	for (int field = 0; field < WH_CRON_FIELDS; field++)
	{
		while (*text == ' ' || *text == '\t')
			text++;
		if (!read_field(&text, field, cron))
			return false;
	}
	while (*text == ' ' || *text == '\t')
		text++;

	/* Sunday has two numbers. */
	if (cron->set[AT_WEEKDAY] & (UINT64CONST(1) << 7))
		cron->set[AT_WEEKDAY] |= 1;
	cron->set[AT_WEEKDAY] &= 0x7F;

	return *text == '\0';
}

char *
wh_cron_text(const WhCron *cron)
{
	return psprintf("%s %s %s %s %s", cron->text[AT_MINUTE], cron->text[AT_HOUR],
					cron->text[AT_DAY], cron->text[AT_MONTH], cron->text[AT_WEEKDAY]);
}

TimestampTz
wh_cron_next(const WhCron *cron, TimestampTz at)
{
	int64		first = day_of(at);

	for (int64 day = first; day < first + MOST_DAYS; day++)
	{
		for (int minute = 0; fires_on(cron, day) && minute < DAY_MINUTES; minute++)
		{
			TimestampTz then = day * USECS_PER_DAY + minute * USECS_PER_MINUTE;

			if (then > at && fires_at(cron, minute))
				return then;
		}
	}

	return DT_NOEND;
}

TimestampTz
wh_cron_last(const WhCron *cron, TimestampTz at)
{
	int64		last = day_of(at);

	for (int64 day = last; day > last - MOST_DAYS; day--)
	{
		for (int minute = DAY_MINUTES - 1; fires_on(cron, day) && minute >= 0; minute--)
		{
			TimestampTz then = day * USECS_PER_DAY + minute * USECS_PER_MINUTE;

			if (then <= at && fires_at(cron, minute))
				return then;
		}
	}

	return DT_NOBEGIN;
}

int
wh_cron_cadence(const WhCron *cron)
{
	int			first;
	int			last = span(cron, &first);
	int			shortest = first + DAY_MINUTES - last;
	int			before = first;

	for (int minute = first + 1; minute <= last; minute++)
	{
		if (!fires_at(cron, minute))
			continue;
		shortest = Min(shortest, minute - before);
		before = minute;
	}

	return shortest;
}

int
wh_cron_slack(const WhCron *cron)
{
	int			first;

	if (is_any(cron, AT_DAY) && is_any(cron, AT_MONTH) && is_any(cron, AT_WEEKDAY))
		return DAY_MINUTES - 1;

	return DAY_MINUTES - 1 - span(cron, &first);
}

bool
wh_cron_shift(WhCron *cron, int minutes)
{
	uint64		minute_set = 0;
	uint64		hour_set = 0;
	uint64		weekdays = cron->set[AT_WEEKDAY];
	bool		moved[3] = {false, false, false};	/* a day back, none, a day
													 * on */
	int			firings = 0;

	if (minutes == 0)
		return true;

	for (int minute = 0; minute < DAY_MINUTES; minute++)
	{
		int			then = minute + minutes;

		if (!fires_at(cron, minute))
			continue;
		moved[then < 0 ? 0 : then < DAY_MINUTES ? 1 : 2] = true;
		then = (then + DAY_MINUTES) % DAY_MINUTES;
		minute_set |= UINT64CONST(1) << (then % 60);
		hour_set |= UINT64CONST(1) << (then / 60);
		firings++;
	}

	/* Every minute of the one set in every hour of the other, or it is lost. */
	if (firings != pg_popcount64(minute_set) * pg_popcount64(hour_set))
		return false;

	/*
	 * Days that do not matter do not move; days of a month are of many
	 * lengths.
	 */
	if ((moved[0] || moved[2]) && (!is_any(cron, AT_DAY) || !is_any(cron, AT_MONTH)))
		return false;
	if ((moved[0] || moved[2]) && !is_any(cron, AT_WEEKDAY))
	{
		if (moved[0] + moved[1] + moved[2] > 1)
			return false;
		weekdays = moved[2] ? (weekdays << 1 | weekdays >> 6) & 0x7F :
			(weekdays >> 1 | weekdays << 6) & 0x7F;
	}

	if (minute_set != cron->set[AT_MINUTE])
		cron->text[AT_MINUTE] = field_text(minute_set, 60);
	if (hour_set != cron->set[AT_HOUR])
		cron->text[AT_HOUR] = field_text(hour_set, 24);
	if (weekdays != cron->set[AT_WEEKDAY])
		cron->text[AT_WEEKDAY] = field_text(weekdays, 0);
	cron->set[AT_MINUTE] = minute_set;
	cron->set[AT_HOUR] = hour_set;
	cron->set[AT_WEEKDAY] = weekdays;

	return true;
}

/*
 * Read one field and move past it.
 */
static bool
read_field(const char **text, int field, WhCron *cron)
{
	const char *begin = *text;

	cron->set[field] = 0;
	for (;;)
	{
		if (!read_element(text, &fields[field], &cron->set[field]))
			return false;
		if (**text != ',')
			break;
		(*text)++;
	}
	if (**text != '\0' && **text != ' ' && **text != '\t')
		return false;
	cron->text[field] = pnstrdup(begin, *text - begin);

	return true;
}

/*
 * Read "*", "1", "1-5", each range with "/2" behind it perhaps.
 */
static bool
read_element(const char **text, const Field *field, uint64 *set)
{
	const Field any = {1, 99, ""};
	int			from = field->least;
	int			to = field->most;
	int			step = 1;
	bool		range = true;

	if (**text == '*')
		(*text)++;
	else
	{
		if (!read_number(text, field, &from))
			return false;
		to = from;
		range = **text == '-';
		if (range)
		{
			(*text)++;
			if (!read_number(text, field, &to) || to < from)
				return false;
		}
	}
	if (**text == '/')
	{
		(*text)++;
		if (!range || !read_number(text, &any, &step))
			return false;
	}

	for (int number = from; number <= to; number += step)
		*set |= UINT64CONST(1) << number;

	return true;
}

static bool
read_number(const char **text, const Field *field, int *number)
{
	int			digits = 0;

	for (int i = 0; field->names[i] != '\0'; i += 3)
	{
		if (pg_strncasecmp(*text, field->names + i, 3) != 0)
			continue;
		*number = field->least + i / 3;
		*text += 3;
		return true;
	}

	*number = 0;
	while (isdigit((unsigned char) **text) && digits++ < 2)
		*number = *number * 10 + *(*text)++ - '0';

	return digits > 0 && *number >= field->least && *number <= field->most;
}

/*
 * Is the field no condition?  Cron goes by its first character.
 */
static bool
is_any(const WhCron *cron, int field)
{
	return strcmp(cron->text[field], "*") == 0;
}

/*
 * Does the job fire on a day, counted from 2000-01-01?  Where both kinds of
 * day are given, either will do.
 */
static bool
fires_on(const WhCron *cron, int64 day)
{
	int			year;
	int			month;
	int			mday;
	bool		by_mday;
	bool		by_weekday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	if (!(cron->set[AT_MONTH] >> month & 1))
		return false;
	by_mday = cron->set[AT_DAY] >> mday & 1;
	by_weekday = cron->set[AT_WEEKDAY] >> j2day(day + POSTGRES_EPOCH_JDATE) & 1;

	if (cron->text[AT_DAY][0] == '*' || cron->text[AT_WEEKDAY][0] == '*')
		return by_mday && by_weekday;

	return by_mday || by_weekday;
}

/*
 * Does the job fire at a minute of the day, on the days when it does?
 */
static bool
fires_at(const WhCron *cron, int minute)
{
	return (cron->set[AT_HOUR] >> (minute / 60) & 1) &&
		(cron->set[AT_MINUTE] >> (minute % 60) & 1);
}

static int64
day_of(TimestampTz at)
{
	int64		day = at / USECS_PER_DAY;

	return at % USECS_PER_DAY < 0 ? day - 1 : day;
}

/*
 * Find the first and the last firing of a day.
 */
static int
span(const WhCron *cron, int *first)
{
	int			last = DAY_MINUTES - 1;

	*first = 0;
	while (!fires_at(cron, *first))
		(*first)++;
	while (!fires_at(cron, last))
		last--;

	return last;
}

/*
 * Write a set as briefly as cron reads it.  One without a cycle never begins
 * with a star, which in a weekday changes what the day of the month means.
 */
static char *
field_text(uint64 set, int cycle)
{
	StringInfoData text;
	int			first = pg_rightmost_one_pos64(set);
	int			last = pg_leftmost_one_pos64(set);
	int			count = pg_popcount64(set);
	int			step = count > 1 ? (last - first) / (count - 1) : 0;
	bool		even = count > 2;

	for (int i = 0; even && i < count; i++)
		even = set >> (first + i * step) & 1;

	initStringInfo(&text);
	if (even && first == 0 && last + step == cycle)
		return psprintf(step == 1 ? "*" : "*/%d", step);
	if (even)
		return psprintf(step == 1 ? "%d-%d" : "%d-%d/%d", first, last, step);
	for (int number = first; number <= last; number++)
	{
		if (set >> number & 1)
			appendStringInfo(&text, "%s%d", text.len > 0 ? "," : "", number);
	}

	return text.data;
}
