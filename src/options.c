/*
 * options.c
 *		The options of a template, checked and read.
 *
 * Every key has one line in the table below: its shape and whether it is
 * built.  A key that nobody reads is refused rather than kept, so that a
 * stored option always means something.  Knows no table and no role: whether
 * a tablespace exists is found out when it is used.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "json.h"
#include "options.h"

#define DEFAULT_MAX_FIELD_BYTES (INT64CONST(64) * 1024 * 1024)
#define DEFAULT_MAX_SHRINK 0.5
#define DEFAULT_SHRINK_MIN_ROWS 100

static const int default_recheck_days[] = {2, 7, 30};

typedef enum Shape
{
	SHAPE_BOOLEAN,
	SHAPE_COUNT,				/* whole number, 1 or more */
	SHAPE_COUNTS,				/* array of these */
	SHAPE_FRACTION,				/* number from 0 to 1 */
	SHAPE_DATE,					/* "YYYY-MM-DD" */
	SHAPE_INTERVAL,				/* "26 hours": longer than nothing */
	SHAPE_STRING,				/* not empty; names too */
	SHAPE_STRINGS,
	SHAPE_PARAMETERS,			/* object of storage parameters */
	SHAPE_CONFLICT,				/* "update" or "nothing" */
	SHAPE_LAYOUT				/* "union" or "expand" */
} Shape;

typedef struct Option
{
	const char *name;
	Shape		shape;
	bool		built;
} Option;

static const Option known[] = {
	{"access_method", SHAPE_STRING, true},
	{"after_create", SHAPE_STRING, true},
	{"archive", SHAPE_BOOLEAN, true},
	{"archive_required", SHAPE_BOOLEAN, true},
	{"archive_retention", SHAPE_INTERVAL, true},
	{"daily_retention", SHAPE_INTERVAL, true},
	{"daily_tablespace", SHAPE_STRING, true},
	{"depends_on", SHAPE_STRINGS, true},
	{"freshness_target", SHAPE_INTERVAL, true},
	{"frozen", SHAPE_BOOLEAN, true},
	{"max_bytes", SHAPE_COUNT, true},
	{"max_field_bytes", SHAPE_COUNT, true},
	{"max_rows", SHAPE_COUNT, true},
	{"max_shrink", SHAPE_FRACTION, true},
	{"monthly_retention", SHAPE_INTERVAL, true},
	{"on_conflict", SHAPE_CONFLICT, true},
	{"overlap", SHAPE_INTERVAL, true},
	{"public_view", SHAPE_BOOLEAN, true},
	{"recheck_days", SHAPE_COUNTS, true},
	{"shrink_min_rows", SHAPE_COUNT, true},
	{"start_date", SHAPE_DATE, true},
	{"storage_options", SHAPE_PARAMETERS, true},
	{"tablespace", SHAPE_STRING, true},
	{"view_layout", SHAPE_LAYOUT, true},
};

static const char *const shape_hints[] = {
	[SHAPE_BOOLEAN] = "Give true or false.",
	[SHAPE_COUNT] = "Give a whole number from 1 on.",
	[SHAPE_COUNTS] = "Give an array of whole numbers from 1 on.",
	[SHAPE_FRACTION] = "Give a number from 0 to 1.",
	[SHAPE_DATE] = "Give a date as \"YYYY-MM-DD\".",
	[SHAPE_INTERVAL] = "Give an interval such as \"26 hours\".",
	[SHAPE_STRING] = "Give a string.",
	[SHAPE_STRINGS] = "Give an array of strings.",
	[SHAPE_PARAMETERS] = "Give an object of storage parameters such as {\"fillfactor\": 100, \"toast.autovacuum_enabled\": false}.",
	[SHAPE_CONFLICT] = "Give \"update\" or \"nothing\".",
	[SHAPE_LAYOUT] = "Give \"union\" or \"expand\".",
};

static void check_option(const char *name, JsonbValue *value);
static const Option *find_option(const char *name);
static char *known_names(void);
static bool has_shape(JsonbValue *value, Shape shape);
static bool has_elements(JsonbValue *value, Shape shape);
static bool is_fraction(JsonbValue *value);
static bool is_string(JsonbValue *value, const char *wanted);
static bool parse_date(JsonbValue *value, DateADT *date);
static char *storage_parameters(JsonbValue *value);
static bool append_parameter(StringInfo sql, JsonbValue *key, JsonbValue *value);
static JsonbValue *get(Jsonb *json, const char *name);
static char *get_string(Jsonb *json, const char *name);
static Interval *get_interval(Jsonb *json, const char *name);
static bool get_bool(Jsonb *json, const char *name, bool if_missing);
static int64 get_count(Jsonb *json, const char *name, int64 if_missing);
static double get_fraction(Jsonb *json, const char *name, double if_missing);
static List *get_strings(Jsonb *json, const char *name);
static List *get_recheck_days(Jsonb *json);
static int64 get_microseconds(Jsonb *json, const char *name, int64 if_missing);

/*
 * Check the options and read them; see options.h.
 */
void
wh_options_read(Jsonb *json, WhOptions *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	JsonbValue *found;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a template must be a JSON object"),
				 errhint("Give them as '{\"frozen\": true}'.")));

	it = JsonbIteratorInit(&json->root);
	(void) JsonbIteratorNext(&it, &key, false);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		check_option(pnstrdup(key.val.string.val, key.val.string.len), &value);
	}
	Assert(token == WJB_END_OBJECT);

	found = get(json, "start_date");
	options->has_start_date = found != NULL;
	options->start_date = 0;
	if (found != NULL)
		(void) parse_date(found, &options->start_date);

	options->frozen = get_bool(json, "frozen", false);
	options->public_view = get_bool(json, "public_view", true);
	options->max_rows = get_count(json, "max_rows", 0);
	options->max_bytes = get_count(json, "max_bytes", 0);
	options->max_field_bytes = get_count(json, "max_field_bytes",
										 DEFAULT_MAX_FIELD_BYTES);

	found = get(json, "view_layout");
	options->layout = found != NULL && is_string(found, "union")
		? WH_LAYOUT_UNION : WH_LAYOUT_EXPAND;

	options->max_shrink = get_fraction(json, "max_shrink", DEFAULT_MAX_SHRINK);
	options->shrink_min_rows = get_count(json, "shrink_min_rows",
										 DEFAULT_SHRINK_MIN_ROWS);
	options->recheck_days = get_recheck_days(json);

	options->depends_on = get_strings(json, "depends_on");

	options->daily_tablespace = get_string(json, "daily_tablespace");
	options->tablespace = get_string(json, "tablespace");
	options->access_method = get_string(json, "access_method");
	options->after_create = get_string(json, "after_create");
	options->daily_retention = get_interval(json, "daily_retention");
	options->monthly_retention = get_interval(json, "monthly_retention");

	found = get(json, "storage_options");
	options->storage_options = found == NULL ? "" : storage_parameters(found);

	options->archive = get_bool(json, "archive", false);
	options->archive_required = get_bool(json, "archive_required", false);
	options->archive_retention = get_interval(json, "archive_retention");

	found = get(json, "on_conflict");
	options->keep_stored = found != NULL && is_string(found, "nothing");
	options->has_overlap = get(json, "overlap") != NULL;
	options->overlap = get_microseconds(json, "overlap", USECS_PER_HOUR);
	options->for_incremental = found != NULL ? "on_conflict" :
		options->has_overlap ? "overlap" : NULL;
}

static void
check_option(const char *name, JsonbValue *value)
{
	const Option *option = find_option(name);

	if (option == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" does not exist", name),
				 errhint("The options of a template are %s.", known_names())));
	if (!has_shape(value, option->shape))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" has an invalid value", name),
				 errhint("%s", shape_hints[option->shape])));
	if (!option->built)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%s\" is not built yet", name),
				 errhint("Leave it out.")));
}

static const Option *
find_option(const char *name)
{
	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	}

	return NULL;
}

static char *
known_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(known); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : ", ", known[i].name);

	return names.data;
}

static bool
has_shape(JsonbValue *value, Shape shape)
{
	DateADT		date;
	int64		number;

	switch (shape)
	{
		case SHAPE_BOOLEAN:
			return value->type == jbvBool;
		case SHAPE_COUNT:
			return wh_json_count(value, &number);
		case SHAPE_COUNTS:
			return has_elements(value, SHAPE_COUNT);
		case SHAPE_FRACTION:
			return is_fraction(value);
		case SHAPE_DATE:
			return parse_date(value, &date);
		case SHAPE_INTERVAL:
			return wh_json_duration(value, &number);
		case SHAPE_STRING:
			return value->type == jbvString && value->val.string.len > 0;
		case SHAPE_STRINGS:
			return has_elements(value, SHAPE_STRING);
		case SHAPE_PARAMETERS:
			return storage_parameters(value) != NULL;
		case SHAPE_CONFLICT:
			return is_string(value, "update") || is_string(value, "nothing");
		case SHAPE_LAYOUT:
			return is_string(value, "union") || is_string(value, "expand");
	}

	return false;
}

/*
 * Is the value an array whose elements all have the shape?
 */
static bool
has_elements(JsonbValue *value, Shape shape)
{
	JsonbIterator *it;
	JsonbValue	element;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return false;

	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		if (!has_shape(&element, shape))
			return false;
	}

	return true;
}

static bool
is_fraction(JsonbValue *value)
{
	double		number;

	if (value->type != jbvNumeric)
		return false;
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
												NumericGetDatum(value->val.numeric)));

	return number >= 0 && number <= 1;
}

static bool
is_string(JsonbValue *value, const char *wanted)
{
	return value->type == jbvString &&
		value->val.string.len == (int) strlen(wanted) &&
		memcmp(value->val.string.val, wanted, strlen(wanted)) == 0;
}

/*
 * Read a date written as YYYY-MM-DD.  Not date_in(): that goes by DateStyle,
 * and takes "now" and "infinity".
 */
static bool
parse_date(JsonbValue *value, DateADT *date)
{
	char	   *text;
	struct pg_tm tm = {0};

	if (value->type != jbvString || value->val.string.len != 10)
		return false;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	for (int i = 0; i < 10; i++)
	{
		if (i == 4 || i == 7 ? text[i] != '-' : (text[i] < '0' || text[i] > '9'))
			return false;
	}

	tm.tm_year = atoi(text);
	tm.tm_mon = atoi(text + 5);
	tm.tm_mday = atoi(text + 8);
	if (ValidateDate(DTK_DATE_M, false, false, false, &tm) != 0)
		return false;
	*date = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;

	return true;
}

/*
 * Write an object of storage parameters as SQL has them in WITH (...); NULL
 * when it is none.  Which parameters there are is the access method's to say.
 */
static char *
storage_parameters(JsonbValue *value)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	parameter;
	StringInfoData sql;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return NULL;

	initStringInfo(&sql);
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &key, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &parameter, true);
		if (sql.len > 0)
			appendStringInfoString(&sql, ", ");
		if (!append_parameter(&sql, &key, &parameter))
			return NULL;
	}

	return sql.data;
}

/*
 * Append one parameter; its name may have a namespace in front.  False when it
 * cannot be one.
 */
static bool
append_parameter(StringInfo sql, JsonbValue *key, JsonbValue *value)
{
	char	   *name = pnstrdup(key->val.string.val, key->val.string.len);
	char	   *dot = strchr(name, '.');

	if (dot == name)
		return false;
	if (dot != NULL)
	{
		*dot = '\0';
		appendStringInfo(sql, "%s.", quote_identifier(name));
		name = dot + 1;
	}
	if (*name == '\0')
		return false;
	appendStringInfo(sql, "%s = ", quote_identifier(name));

	switch (value->type)
	{
		case jbvBool:
			appendStringInfoString(sql, value->val.boolean ? "'true'" : "'false'");
			return true;
		case jbvNumeric:
			appendStringInfo(sql, "'%s'", numeric_normalize(value->val.numeric));
			return true;
		case jbvString:
			appendStringInfoString(sql,
								   quote_literal_cstr(pnstrdup(value->val.string.val,
															   value->val.string.len)));
			return true;
		default:
			return false;
	}
}

static JsonbValue *
get(Jsonb *json, const char *name)
{
	return getKeyJsonValueFromContainer(&json->root, name, strlen(name), NULL);
}

static char *
get_string(Jsonb *json, const char *name)
{
	JsonbValue *value = get(json, name);

	return value == NULL ? NULL :
		pnstrdup(value->val.string.val, value->val.string.len);
}

static Interval *
get_interval(Jsonb *json, const char *name)
{
	char	   *text = get_string(json, name);

	return text == NULL ? NULL :
		DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
											  ObjectIdGetDatum(InvalidOid),
											  Int32GetDatum(-1)));
}

static bool
get_bool(Jsonb *json, const char *name, bool if_missing)
{
	JsonbValue *value = get(json, name);

	return value == NULL ? if_missing : value->val.boolean;
}

static int64
get_count(Jsonb *json, const char *name, int64 if_missing)
{
	JsonbValue *value = get(json, name);
	int64		number = if_missing;

	if (value != NULL)
		(void) wh_json_count(value, &number);

	return number;
}

static double
get_fraction(Jsonb *json, const char *name, double if_missing)
{
	JsonbValue *value = get(json, name);

	if (value == NULL)
		return if_missing;

	return DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											  NumericGetDatum(value->val.numeric)));
}

/*
 * List the strings of an array; none where the option is missing.
 */
static List *
get_strings(Jsonb *json, const char *name)
{
	JsonbValue *value = get(json, name);
	List	   *strings = NIL;
	JsonbIterator *it;
	JsonbValue	element;

	if (value == NULL)
		return NIL;

	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
		strings = lappend(strings, pnstrdup(element.val.string.val,
											element.val.string.len));

	return strings;
}

/*
 * List the ages at which a day is compared once more; an empty array means
 * never.  An age that no day reaches is as good as none.
 */
static List *
get_recheck_days(Jsonb *json)
{
	JsonbValue *value = get(json, "recheck_days");
	List	   *days = NIL;
	JsonbIterator *it;
	JsonbValue	element;

	if (value == NULL)
	{
		for (int i = 0; i < (int) lengthof(default_recheck_days); i++)
			days = lappend_int(days, default_recheck_days[i]);
		return days;
	}

	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &element, false);
	while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
	{
		int64		age = DatumGetInt64(DirectFunctionCall1(numeric_int8,
															NumericGetDatum(element.val.numeric)));

		days = list_append_unique_int(days, (int) Min(age, PG_INT32_MAX / 2));
	}
	list_sort(days, list_int_cmp);

	return days;
}

static int64
get_microseconds(Jsonb *json, const char *name, int64 if_missing)
{
	JsonbValue *value = get(json, name);
	int64		duration = if_missing;

	if (value != NULL)
		(void) wh_json_duration(value, &duration);

	return duration;
}
