/*
 * parse.h
 *		PostgreSQL's parser for text of templates.
 */
#ifndef WH_PARSE_H
#define WH_PARSE_H

#include "nodes/parsenodes.h"

/* What a syntax error is shown against. */
typedef struct WhParsedText
{
	const char *shown;			/* the text as the user wrote it */
	int			prefix;			/* characters that we put before it */
	const char *hint;			/* what mends it; NULL: PostgreSQL's own */
} WhParsedText;

/* Parse to RawStmts; syntax errors are 42601 with their place in text->shown. */
extern List *wh_parse(const char *sql, const WhParsedText *text);

/*
 * Look up, as the current user, what a parsed query's names stand for; the
 * tree is scribbled on.  Errors are PostgreSQL's, shown in the same way.
 */
extern Query *wh_analyze(RawStmt *raw, const char *sql, const WhParsedText *text);

/* Pin a setting until the end of the caller's GUC nest level. */
extern void wh_pin(const char *name, const char *value);

/*
 * Return the identifier that the text begins with by the scanner's rules, but
 * whole: the scanner cuts at 63 bytes.
 */
extern char *wh_read_identifier(const char *text);

#endif							/* WH_PARSE_H */
