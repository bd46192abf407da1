/*
 * json.c
 *		Pieces of the jsonb that functions answer with; pure.
 */
#include "postgres.h"

#include "utils/json.h"

#include "json.h"

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
