/*
 * parse.c
 *		PostgreSQL's parser, made to read the same in every session and to show
 *		errors in the user's own text.
 *
 * Judges nothing: what a text may be is the gate's to say.
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "parse.h"

static void show_position(void *arg);

/*
 * Run the raw parser with the settings pinned that change how it reads.
 * Notices are dropped: they would speak of words that the user never wrote.
 */
List *
wh_parse(const char *sql, const WhParsedText *text)
{
	ErrorContextCallback callback;
	List	   *stmts;
	int			nestlevel = NewGUCNestLevel();

	wh_pin("standard_conforming_strings", "on");
	wh_pin("backslash_quote", "safe_encoding");
	wh_pin("client_min_messages", "error");

	callback.callback = show_position;
	callback.arg = unconstify(WhParsedText *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	stmts = raw_parser(sql, RAW_PARSE_DEFAULT);

	error_context_stack = callback.previous;
	AtEOXact_GUC(true, nestlevel);

	return stmts;
}

Query *
wh_analyze(RawStmt *raw, const char *sql, const WhParsedText *text)
{
	ErrorContextCallback callback;
	Query	   *query;

	callback.callback = show_position;
	callback.arg = unconstify(WhParsedText *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	/* Constants of some types are read with one. */
	PushActiveSnapshot(GetTransactionSnapshot());
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	PopActiveSnapshot();

	error_context_stack = callback.previous;

	return query;
}

void
wh_pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

char *
wh_read_identifier(const char *text)
{
	StringInfoData name;
	const char *c = text;

	if (*c != '"')
	{
		while (isalnum((unsigned char) *c) || *c == '_' || *c == '$' ||
			   IS_HIGHBIT_SET(*c))
			c++;
		return downcase_identifier(text, c - text, false, false);
	}

	initStringInfo(&name);
	for (c++; *c != '\0' && (*c != '"' || c[1] == '"'); c++)
	{
		if (*c == '"')
			c++;
		appendStringInfoChar(&name, *c);
	}

	return name.data;
}

/*
 * Move the position of a syntax error from the statement that the client sent
 * into the text that was parsed.
 */
static void
show_position(void *arg)
{
	WhParsedText *text = (WhParsedText *) arg;
	int			position = geterrposition();

	if (position > 0)
	{
		int			last = pg_mbstrlen(text->shown) + 1;

		errposition(0);
		internalerrposition(Max(Min(position - text->prefix, last), 1));
		internalerrquery(text->shown);
	}
	if (text->hint != NULL)
		errhint("%s", text->hint);
}
