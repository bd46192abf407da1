/*
 * json.c
 *		Pieces of the jsonb that functions answer with, and values of options;
 *		pure.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "json.h"

/* Eighteen digits fit into a bigint. */
#define MAX_DIGITS 18
#define LONGEST_DURATION 1e18

void
wh_json_strings(StringInfo json, const List *strings)
{
	ListCell   *lc;

	appendStringInfoChar(json, '[');
	foreach(lc, strings)
	{
		if (lc != list_head(strings))
			appendStringInfoString(json, ", ");
		escape_json(json, (const char *) lfirst(lc));
	}
	appendStringInfoChar(json, ']');
}

bool
wh_json_count(const JsonbValue *value, int64 *number)
{
	char	   *text;

	if (value->type != jbvNumeric)
		return false;
	text = numeric_normalize(value->val.numeric);
	if (strspn(text, "0123456789") != strlen(text) ||
		strlen(text) > MAX_DIGITS || strcmp(text, "0") == 0)
		return false;
	*number = DatumGetInt64(DirectFunctionCall1(numeric_int8,
												NumericGetDatum(value->val.numeric)));

	return true;
}

/*
 * Read an interval; see json.h.  Asked of the parser, since interval_in()
 * throws.
 */
bool
wh_json_duration(const JsonbValue *value, int64 *microseconds)
{
	char	   *text;
	char		work[MAXDATELEN + MAXDATEFIELDS];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			nfields;
	int			kind;
	struct pg_itm_in itm;
	double		days;

	if (value->type != jbvString)
		return false;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	if (ParseDateTime(text, work, sizeof(work), fields, types,
					  MAXDATEFIELDS, &nfields) != 0 ||
		DecodeInterval(fields, types, nfields, INTERVAL_FULL_RANGE,
					   &kind, &itm) != 0 ||
		kind != DTK_DELTA)
		return false;

	days = itm.tm_mday + ((double) itm.tm_mon +
						  (double) itm.tm_year * MONTHS_PER_YEAR) * DAYS_PER_MONTH;
	if (itm.tm_usec < 0 || itm.tm_mday < 0 || itm.tm_mon < 0 || itm.tm_year < 0 ||
		itm.tm_usec + days * USECS_PER_DAY > LONGEST_DURATION)
		return false;
	*microseconds = itm.tm_usec + (int64) days * USECS_PER_DAY;

	return *microseconds > 0;
}
