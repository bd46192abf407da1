/*
 * html.c
 *		Text, cells and bars of a page.
 *
 * Names and messages come from tenants and users: nothing reaches a page but
 * through wh_html_text(), and a class is one of a fixed set of words.
 */
#include "postgres.h"

#include "html.h"

static const char *const states[] = {"ok", "late", "failed", "never", "lost", "degraded", "failing"};

static void append_bars(StringInfo page, const char *numbers);

/*
 * Append text; see html.h.
 */
void
wh_html_text(StringInfo page, const char *text)
{
	if (text == NULL)
		return;

	for (const char *c = text; *c != '\0'; c++)
	{
		switch (*c)
		{
			case '&':
				appendStringInfoString(page, "&amp;");
				break;
			case '<':
				appendStringInfoString(page, "&lt;");
				break;
			case '>':
				appendStringInfoString(page, "&gt;");
				break;
			case '"':
				appendStringInfoString(page, "&quot;");
				break;
			case '\'':
				appendStringInfoString(page, "&#39;");
				break;
			default:
				/* HTML knows no other control characters. */
				if ((unsigned char) *c >= ' ' || *c == '\n' || *c == '\t')
					appendStringInfoChar(page, *c);
				else
					appendStringInfoChar(page, ' ');
		}
	}
}

/*
 * Begin a table: its titles, and the body that rows are put into.
 */
void
wh_html_head(StringInfo page, const WhColumn *columns, int ncolumns)
{
	appendStringInfoString(page, "<div class=\"scroll\"><table><thead><tr>");
	for (int i = 0; i < ncolumns; i++)
	{
		appendStringInfoString(page, columns[i].cell == WH_CELL_NUMBER ?
							   "<th class=\"n\">" : "<th>");
		wh_html_text(page, columns[i].title);
		appendStringInfoString(page, "</th>");
	}
	appendStringInfoString(page, "</tr></thead><tbody>\n");
}

/*
 * Append one cell.
 */
void
wh_html_cell(StringInfo page, WhCell cell, const char *text)
{
	const char *state = "other";

	switch (cell)
	{
		case WH_CELL_TEXT:
			appendStringInfoString(page, "<td>");
			wh_html_text(page, text);
			break;
		case WH_CELL_NUMBER:
			appendStringInfoString(page, "<td class=\"n\">");
			wh_html_text(page, text);
			break;
		case WH_CELL_NOTE:
			appendStringInfoString(page, "<td class=\"note\">");
			wh_html_text(page, text);
			break;
		case WH_CELL_STATE:
			for (int i = 0; text != NULL && i < (int) lengthof(states); i++)
				if (strcmp(text, states[i]) == 0)
					state = states[i];
			appendStringInfo(page, "<td><span class=\"state %s\">", state);
			wh_html_text(page, text);
			appendStringInfoString(page, "</span>");
			break;
		case WH_CELL_BARS:
			appendStringInfoString(page, "<td>");
			append_bars(page, text);
			break;
	}
	appendStringInfoString(page, "</td>");
}

/*
 * Draw numbers as bars side by side, the largest one filling the height.
 */
static void
append_bars(StringInfo page, const char *numbers)
{
	double		largest = 0;
	int			count = 0;

	if (numbers == NULL)
		return;
	for (const char *next = numbers; *next != '\0';)
	{
		char	   *end;

		largest = Max(largest, strtod(next, &end));
		next = *end == ',' ? end + 1 : end;
		count++;
	}
	if (largest <= 0)
		return;

	appendStringInfo(page, "<svg class=\"bars\" width=\"%d\" height=\"22\"><path d=\"",
					 count * 7);
	for (int i = 0; i < count; i++)
	{
		char	   *end;
		double		height = 22 * strtod(numbers, &end) / largest;

		appendStringInfo(page, "M%d 22v-%.1fh5V22z", i * 7, height);
		numbers = *end == ',' ? end + 1 : end;
	}
	appendStringInfoString(page, "\"/></svg>");
}
