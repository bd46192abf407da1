/*
 * note.c
 *		What a file of the archive says of itself.
 *
 * One JSON object.  The clock is in microseconds since 1970, so that no
 * setting has a say in it.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "note.h"

/* From 1970 to 2000. */
#define EPOCH_USECS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static bool get_number(Jsonb *json, const char *name, int64 *number);
static char *get_text(Jsonb *json, const char *name);

char *
wh_note_text(const WhNote *note)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"run_id\": " INT64_FORMAT ", \"template_version\": %d"
					 ", \"rows\": " INT64_FORMAT ", \"as_of_us\": " INT64_FORMAT
					 ", \"columns\": ", note->run_id, note->version, note->rows,
					 note->as_of + EPOCH_USECS);
	escape_json(&json, note->columns);
	appendStringInfoString(&json, ", \"encoding\": ");
	escape_json(&json, note->encoding);
	appendStringInfoChar(&json, '}');

	return json.data;
}

/*
 * Read a note.  The file's sum has been proved, so one that is a note is whole;
 * what begins otherwise is somebody else's.
 */
WhNote *
wh_note_parse(const char *text)
{
	WhNote	   *note = (WhNote *) palloc0(sizeof(WhNote));
	Jsonb	   *json;
	int64		version;

	if (text == NULL || strncmp(text, "{\"run_id\": ", 11) != 0)
		return NULL;
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	note->columns = get_text(json, "columns");
	note->encoding = get_text(json, "encoding");
	if (note->columns == NULL || note->encoding == NULL ||
		!get_number(json, "run_id", &note->run_id) ||
		!get_number(json, "template_version", &version) ||
		!get_number(json, "rows", &note->rows) ||
		!get_number(json, "as_of_us", &note->as_of))
		return NULL;
	note->version = (int) version;
	note->as_of -= EPOCH_USECS;

	return note;
}

static bool
get_number(Jsonb *json, const char *name, int64 *number)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&json->root, name, strlen(name), NULL);

	if (value == NULL || value->type != jbvNumeric)
		return false;
	*number = DatumGetInt64(DirectFunctionCall1(numeric_int8,
												NumericGetDatum(value->val.numeric)));

	return true;
}

static char *
get_text(Jsonb *json, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&json->root, name, strlen(name), NULL);

	return value == NULL || value->type != jbvString ? NULL :
		pnstrdup(value->val.string.val, value->val.string.len);
}
