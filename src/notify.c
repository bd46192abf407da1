/*
 * notify.c
 *		NOTIFY pg_warehouse: news for whoever listens, as JSON.
 *
 * A payload ends at 8,000 bytes, and PostgreSQL would raise an error; so a
 * value that has no bound of its own is cut.
 */
#include "postgres.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "notify.h"

#define CHANNEL "pg_warehouse"

/* Bytes of one value; JSON can make six of one. */
#define MAX_VALUE 800
#define MAX_PAYLOAD 7800

void
wh_notify(const char *event, const WhNews *news, int n)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"event\": ");
	escape_json(&json, event);
	for (int i = 0; i < n; i++)
	{
		int			before = json.len;
		char	   *value;

		if (news[i].value == NULL)
			continue;
		value = pstrdup(news[i].value);
		value[pg_mbcliplen(value, (int) strlen(value), MAX_VALUE)] = '\0';
		appendStringInfoString(&json, ", ");
		escape_json(&json, news[i].name);
		appendStringInfoString(&json, ": ");
		escape_json(&json, value);
		pfree(value);

		/* What has no room is left out; the first members matter most. */
		if (json.len > MAX_PAYLOAD)
		{
			json.len = before;
			json.data[before] = '\0';
		}
	}
	appendStringInfoChar(&json, '}');
	Async_Notify(CHANNEL, json.data);
	pfree(json.data);
}
