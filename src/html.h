/*
 * html.h
 *		Pieces of a page, with everything that is not ours escaped.
 */
#ifndef WH_HTML_H
#define WH_HTML_H

#include "lib/stringinfo.h"

/* Append text as it is to be read, whatever it holds; NULL is nothing. */
extern void wh_html_text(StringInfo page, const char *text);

/* What a cell of a table shows. */
typedef enum WhCell
{
	WH_CELL_TEXT,
	WH_CELL_NUMBER,
	WH_CELL_STATE,				/* ok, late, ... as a label of that colour */
	WH_CELL_NOTE,				/* long, may wrap */
	WH_CELL_BARS				/* numbers, separated by commas, as bars */
} WhCell;

typedef struct WhColumn
{
	const char *title;
	WhCell		cell;
} WhColumn;

extern void wh_html_head(StringInfo page, const WhColumn *columns, int ncolumns);
extern void wh_html_cell(StringInfo page, WhCell cell, const char *text);

#endif							/* WH_HTML_H */
