/*
 * notify.c
 *		What listeners of channel pg_warehouse hear: a JSON object per event.
 *
 * It is heard with the commit that makes it true, and not at all when that
 * does not come.  Who wants to know more looks into the log.
 */
#include "postgres.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "json.h"
#include "notify.h"

#define CHANNEL "pg_warehouse"

/* What PostgreSQL takes, its own end mark included. */
#define MAX_PAYLOAD (BLCKSZ - NAMEDATALEN - 128)

/* Bytes of a text that are sent, at first; and texts of a list. */
#define MAX_TEXT 1000
#define MAX_LIST 10

static char *payload(const char *event, const WhNews *news, int n, int most);
static char *cut(const char *text, int most);

/*
 * Tell listeners; see notify.h.  JSON writes some characters as six bytes, so
 * how much of a text fits is known afterwards.
 */
void
wh_notify(const char *event, const WhNews *news, int n)
{
	int			most = MAX_TEXT;
	char	   *json = payload(event, news, n, most);

	while (strlen(json) >= MAX_PAYLOAD && most > 0)
	{
		most /= 2;
		json = payload(event, news, n, most);
	}
	Async_Notify(CHANNEL, json);
}

/*
 * Write the object, with no more than so many bytes of each text.
 */
static char *
payload(const char *event, const WhNews *news, int n, int most)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"event\": ");
	escape_json(&json, event);
	for (int i = 0; i < n; i++)
	{
		List	   *list = NIL;
		ListCell   *lc;

		if (news[i].value == NULL && news[i].number == 0 && news[i].list == NIL)
			continue;
		appendStringInfo(&json, ", \"%s\": ", news[i].name);
		if (news[i].value != NULL)
			escape_json(&json, cut(news[i].value, most));
		else if (news[i].number != 0)
			appendStringInfo(&json, INT64_FORMAT, news[i].number);
		else
		{
			foreach(lc, news[i].list)
			{
				if (list_length(list) < MAX_LIST)
					list = lappend(list, cut((const char *) lfirst(lc), most / MAX_LIST));
			}
			wh_json_strings(&json, list);
		}
	}
	appendStringInfoChar(&json, '}');

	return json.data;
}

static char *
cut(const char *text, int most)
{
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), most));
}
