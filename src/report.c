/*
 * report.c
 *		_wh.wh_report_html(): the state of the warehouse as one page.
 *
 * The page stands alone: style and drawings are in it, no script, nothing is
 * loaded from elsewhere.  It is made with the caller's rights from views that
 * the monitor role may read, and writes nothing, so it can be made on a
 * standby.  Its size is bounded: what does not fit is counted and said.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "html.h"
#include "period.h"
#include "spi.h"

/* Days of a calendar, and the bytes that drawing them may take. */
#define DEFAULT_DAYS 365
#define MAX_DAYS 3700
#define MAX_CALENDAR_BYTES (1024 * 1024)

/* Up to so many tenants each row of a calendar has its name beside it. */
#define MAX_NAMED_ROWS 40

/* Months that are named below a calendar. */
#define MAX_NAMED_MONTHS 6

/* Letters by which the query below names the states of a day. */
static const char day_states[] = "cfsxm";
static const char *const day_words[] = {"final", "fresh", "stale", "failed", "missing"};
#define DAY_STATES ((int) lengthof(day_words))

static const char head[] =
"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
"<title>pg_warehouse</title>\n<style>\n"
":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--dim:#667080;--line:#e3e6eb;"
"--final:#2c7a5c;--fresh:#79c5a1;--stale:#e2a72e;--failed:#d03a4f;--missing:#c9ced6}\n"
"@media(prefers-color-scheme:dark){:root{--bg:#11161d;--card:#1a212b;--ink:#e5e9ef;--dim:#97a3b3;--line:#2b3542;"
"--final:#3b9a75;--fresh:#8fd8b6;--stale:#e8b548;--failed:#ef5b70;--missing:#465160}}\n"
"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
"font:15px/1.45 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
"main{max-width:1180px;margin:0 auto;padding:24px 16px 48px}h1{font-size:24px;margin:0}h2{font-size:17px;margin:0 0 12px}"
"h3{font-size:14px;margin:18px 0 4px;overflow-wrap:anywhere}p{margin:4px 0 0;color:var(--dim)}\n"
"section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin-top:16px}\n"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(104px,1fr));gap:10px;margin-top:16px}"
".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}"
".tile:last-child{grid-column:span 2}.tile b{display:block;font-size:20px;white-space:nowrap;font-variant-numeric:tabular-nums}.tile span{color:var(--dim);font-size:13px}\n"
".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}"
"th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}"
"th{color:var(--dim);font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}"
".note{white-space:pre-line;min-width:220px;overflow-wrap:anywhere}\n"
".tile .state,.state{color:var(--ink);display:inline-block;border-radius:9px;padding:0 9px;font-size:12px;font-weight:600;border:1.5px solid var(--missing)}"
".state.ok{border-color:var(--final)}.state.late,.state.degraded{border-color:var(--stale)}"
".state.failed,.state.failing,.state.lost{border-color:var(--failed);background:var(--failed)}\n"
".state.failed,.state.failing,.state.lost,.tile .failing{color:#fff}\n"
".legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 5px 0 14px;vertical-align:-1px}"
".legend i:first-child{margin-left:0}\n"
".cal{display:flex;gap:8px}.cal .names{font-size:11px;color:var(--dim);flex:0 0 auto;max-width:30%;overflow:hidden}"
".cal .names div{height:14px;line-height:14px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}"
".cal svg{width:100%;background:var(--line);border-radius:4px;shape-rendering:crispEdges}\n"
"path{fill:none}.bars path{fill:var(--fresh)}rect{fill:none;pointer-events:all}"
".final{background:var(--final)}.fresh{background:var(--fresh)}.stale{background:var(--stale)}"
"i.failed{background:var(--failed)}.missing{background:var(--missing)}"
"path.final{stroke:var(--final)}path.fresh{stroke:var(--fresh)}path.stale{stroke:var(--stale)}"
"path.failed{stroke:var(--failed)}path.missing{stroke:var(--missing)}\n"
".cal .body{flex:1;min-width:0}.cal svg{display:block}.axis{position:relative;height:16px;font-size:11px;color:var(--dim)}"
".axis span{position:absolute;padding-left:3px;border-left:1px solid var(--dim)}.tick{stroke:var(--card);stroke-width:1px;vector-effect:non-scaling-stroke}\n"
"</style></head><body><main>\n";

/* A table of the page: a query whose columns are all text. */
typedef struct Table
{
	const char *title;
	const char *sql;
	const char *nothing;		/* said where there is no row */
	uint64		limit;
	int			ncolumns;
	WhColumn	columns[10];
} Table;

static const Table tables[] = {
	{
		"Freshness",
		"SELECT state, template_name, tenant_name,"
		" coalesce(to_char(last_loaded_at, 'YYYY-MM-DD HH24:MI'), ''),"
		" coalesce(date_trunc('minute', lag)::text, ''), freshness_target::text,"
		" to_char(slices, 'FM999,999,999,999'), to_char(row_count, 'FM999,999,999,999,999'),"
		" pg_size_pretty(total_bytes), left(last_error, 200)"
		" FROM _wh.wh_status()"
		" ORDER BY array_position('{failed,late,never,ok}'::text[], state), lag DESC NULLS LAST, 2, 3",
		"No template applies to any tenant.", 400, 10,
		{
			{"state", WH_CELL_STATE}, {"template", WH_CELL_TEXT}, {"tenant", WH_CELL_TEXT},
			{"last load (UTC)", WH_CELL_TEXT}, {"lag", WH_CELL_NUMBER}, {"late from", WH_CELL_NUMBER},
			{"slices", WH_CELL_NUMBER}, {"rows", WH_CELL_NUMBER}, {"size", WH_CELL_NUMBER},
			{"last error", WH_CELL_NOTE}
		}
	},
	{
		"Failures that nothing has mended yet",
		"SELECT status, to_char(run_started_at, 'YYYY-MM-DD HH24:MI'), table_name, period_start::text,"
		" sqlstate, left(concat_ws(E'\\n', error_message, error_detail), 400), left(error_hint, 400)"
		" FROM _wh.v_recent_failures ORDER BY run_id DESC",
		"None.", 100, 7,
		{
			{"", WH_CELL_STATE}, {"at (UTC)", WH_CELL_TEXT}, {"relation", WH_CELL_TEXT},
			{"day", WH_CELL_TEXT}, {"SQLSTATE", WH_CELL_TEXT}, {"what", WH_CELL_NOTE},
			{"what to do", WH_CELL_NOTE}
		}
	},
	{
		"Left alone",
		"SELECT what, why, to_char(since, 'YYYY-MM-DD HH24:MI'), note FROM ("
		" SELECT 'tenant ' || tenant_name AS what, 'breaker ' || replace(state, '_', ' ') AS why,"
		" opened_at AS since, left(concat('tried again at ', to_char(probe_at, 'YYYY-MM-DD HH24:MI:SS'),"
		" '; ', failures, ' failures, the last: ', error_message), 300) AS note"
		" FROM _wh.v_breakers WHERE state <> 'closed'"
		" UNION ALL SELECT coalesce(nullif(concat_ws(', ', 'template ' || template_name,"
		" 'tenant ' || tenant_name), ''), 'everything'), 'paused', paused_at, 'by ' || paused_by"
		" FROM _wh.v_paused) AS held ORDER BY since, what",
		"Nobody.", 100, 4,
		{
			{"who", WH_CELL_TEXT}, {"why", WH_CELL_TEXT}, {"since (UTC)", WH_CELL_TEXT},
			{"note", WH_CELL_NOTE}
		}
	},
	{
		"Durations, last 7 days",
		"SELECT template_name, to_char(runs, 'FM999,999,999'), round(median_ms)::text, round(p95_ms::numeric)::text,"
		" round(max_ms::numeric)::text, to_char(rows_extracted, 'FM999,999,999,999'), pg_size_pretty(bytes)"
		" FROM _wh.v_durations ORDER BY max_ms DESC, 1",
		"No successful run.", 100, 7,
		{
			{"template", WH_CELL_TEXT}, {"runs", WH_CELL_NUMBER}, {"median ms", WH_CELL_NUMBER},
			{"95 % ms", WH_CELL_NUMBER}, {"longest ms", WH_CELL_NUMBER}, {"rows read", WH_CELL_NUMBER},
			{"bytes read", WH_CELL_NUMBER}
		}
	},
	{
		"Sizes and growth",
		"SELECT template_name, to_char(sum(slices), 'FM999,999,999'), to_char(sum(row_count), 'FM999,999,999,999,999'),"
		" pg_size_pretty(sum(total_bytes)), to_char(min(month), 'YYYY-MM') || ' to ' || to_char(max(month), 'YYYY-MM'),"
		" string_agg(coalesce(total_bytes, 0)::text, ',' ORDER BY month)"
		" FROM (SELECT *, row_number() OVER (PARTITION BY template_name ORDER BY month DESC) AS back"
		" FROM _wh.v_growth) AS g WHERE back <= 36"
		" GROUP BY template_name ORDER BY sum(total_bytes) DESC NULLS LAST, 1",
		"No slice.", 100, 6,
		{
			{"template", WH_CELL_TEXT}, {"slices", WH_CELL_NUMBER}, {"rows", WH_CELL_NUMBER},
			{"size", WH_CELL_NUMBER}, {"months (36 at most)", WH_CELL_TEXT}, {"bytes per month of data", WH_CELL_BARS}
		}
	},
};

static const char tiles_sql[] =
"SELECT v.title, v.value, v.is_state"
" FROM _wh.wh_health() AS h, LATERAL (VALUES"
" (1, 'health', h ->> 'status', true), (2, 'ok', h ->> 'ok', false), (3, 'late', h ->> 'late', false),"
" (4, 'failed', h ->> 'failed', false), (5, 'never loaded', h ->> 'never', false),"
" (6, 'running', h ->> 'running', false), (7, 'lost', h ->> 'lost', false),"
" (8, 'not mended', h ->> 'unresolved_failures', false),"
" (9, 'last success (UTC)', coalesce(to_char((h ->> 'last_success_at')::timestamptz, 'DD Mon HH24:MI'), 'never'), false))"
" AS v (n, title, value, is_state) ORDER BY v.n";

/* A row per pair: where its days begin and a letter for each of them. */
static const char calendar_sql[] =
"SELECT template_name, tenant_name, min(day) - $1, string_agg(CASE state"
" WHEN 'final' THEN 'c' WHEN 'fresh' THEN 'f' WHEN 'stale' THEN 's'"
" WHEN 'failed' THEN 'x' ELSE 'm' END, '' ORDER BY day)"
" FROM _wh.v_coverage WHERE day BETWEEN $1 AND $2"
" GROUP BY template_name, tenant_name ORDER BY template_name, tenant_name";

PG_FUNCTION_INFO_V1(wh_report_html);

static void check_range(DateADT from_date, DateADT to_date);
static void append_tiles(StringInfo page);
static void append_calendars(StringInfo page, DateADT from_date, DateADT to_date);
static uint64 append_calendar(StringInfo page, uint64 first, DateADT from_date, int days);
static void append_months(StringInfo axis, StringInfo ticks, DateADT from_date, int days, int rows);
static void append_days(StringInfo page, StringInfo paths, int row, int offset,
						const char *tenant, const char *days);
static void append_table(StringInfo page, const Table *table);

/*
 * _wh.wh_report_html(from_date date, to_date date) returns text
 */
Datum
wh_report_html(PG_FUNCTION_ARGS)
{
	DateADT		to_date = PG_ARGISNULL(1) ?
	wh_date_at(GetCurrentTransactionStartTimestamp(), "UTC") : PG_GETARG_DATEADT(1);
	DateADT		from_date = PG_ARGISNULL(0) ? to_date : PG_GETARG_DATEADT(0);
	StringInfoData page;

	check_range(from_date, to_date);
	if (PG_ARGISNULL(0))
		from_date -= DEFAULT_DAYS - 1;

	initStringInfo(&page);
	appendStringInfoString(&page, head);
	appendStringInfoString(&page, "<h1>Warehouse ");
	wh_html_text(&page, get_database_name(MyDatabaseId));
	appendStringInfo(&page, "</h1><p>%s to %s, made %.16s UTC</p>\n",
					 wh_date_text(from_date), wh_date_text(to_date),
					 timestamptz_to_str(GetCurrentTransactionStartTimestamp()));

	append_tiles(&page);
	append_calendars(&page, from_date, to_date);
	for (int i = 0; i < (int) lengthof(tables); i++)
		append_table(&page, &tables[i]);
	appendStringInfoString(&page, "</main></body></html>\n");

	PG_RETURN_TEXT_P(cstring_to_text_with_len(page.data, page.len));
}

/*
 * Refuse days that no calendar can show.
 */
static void
check_range(DateADT from_date, DateADT to_date)
{
	if (DATE_NOT_FINITE(from_date) || DATE_NOT_FINITE(to_date))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a report needs days, not infinity")));
	if (from_date > to_date)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_date %s is after to_date %s",
						wh_date_text(from_date), wh_date_text(to_date))));
	if (to_date - from_date >= MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a report shows at most %d days", MAX_DAYS)));
}

/*
 * Append what is read first: the answer of wh_health().
 */
static void
append_tiles(StringInfo page)
{
	appendStringInfoString(page, "<div class=\"tiles\">");
	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT, tiles_sql, NULL, 0);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		appendStringInfoString(page, "<div class=\"tile\"><b>");
		if (wh_col_bool(row, 3, false))
			appendStringInfo(page, "<span class=\"state %s\">", wh_col_text(row, 2));
		wh_html_text(page, wh_col_text(row, 2));
		if (wh_col_bool(row, 3, false))
			appendStringInfoString(page, "</span>");
		appendStringInfoString(page, "</b><span>");
		wh_html_text(page, wh_col_text(row, 1));
		appendStringInfoString(page, "</span></div>");
	}
	SPI_finish();
	appendStringInfoString(page, "</div>\n");
}

/*
 * Append a calendar per template, as long as there is room.
 */
static void
append_calendars(StringInfo page, DateADT from_date, DateADT to_date)
{
	WhArg		args[] = {wh_date(from_date), wh_date(to_date)};
	int			end = page->len + MAX_CALENDAR_BYTES;
	uint64		rows;
	uint64		next = 0;

	appendStringInfoString(page, "<section><h2>Coverage</h2><p class=\"legend\">");
	for (int i = 0; i < DAY_STATES; i++)
		appendStringInfo(page, "<i class=\"%s\"></i>%s", day_words[i], day_words[i]);
	appendStringInfoString(page, "</p>\n");

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT, calendar_sql, args, lengthof(args));
	while (next < rows && page->len < end)
		next = append_calendar(page, next, from_date, to_date - from_date + 1);
	if (rows == 0)
		appendStringInfoString(page, "<p>No daily template has days in this range.</p>");
	if (next < rows)
		appendStringInfo(page, "<p>" UINT64_FORMAT " more rows are not drawn: choose fewer days.</p>",
						 rows - next);
	SPI_finish();
	appendStringInfoString(page, "</section>\n");
}

/*
 * Append the calendar of the template whose rows begin at "first"; returns
 * where the next one's do.
 */
static uint64
append_calendar(StringInfo page, uint64 first, DateADT from_date, int days)
{
	char	   *template_name = wh_col_text(first, 1);
	StringInfoData paths[DAY_STATES];
	StringInfoData axis;
	StringInfoData ticks;
	uint64		after = first;
	int			rows;

	while (after < SPI_processed && strcmp(wh_col_text(after, 1), template_name) == 0)
		after++;
	rows = (int) (after - first);

	appendStringInfoString(page, "<h3>");
	wh_html_text(page, template_name);
	appendStringInfoString(page, "</h3><div class=\"cal\">");
	if (rows <= MAX_NAMED_ROWS)
	{
		appendStringInfoString(page, "<div class=\"names\">");
		for (uint64 row = first; row < after; row++)
		{
			appendStringInfoString(page, "<div>");
			wh_html_text(page, wh_col_text(row, 2));
			appendStringInfoString(page, "</div>");
		}
		appendStringInfoString(page, "</div>");
	}
	appendStringInfo(page, "<div class=\"body\"><svg viewBox=\"0 0 %d %d\" height=\"%d\" preserveAspectRatio=\"none\">",
					 days, rows, rows * (rows <= MAX_NAMED_ROWS ? 14 : 5));

	for (int i = 0; i < DAY_STATES; i++)
		initStringInfo(&paths[i]);
	for (uint64 row = first; row < after; row++)
		append_days(page, paths, (int) (row - first), wh_col_int4(row, 3, 0),
					wh_col_text(row, 2), wh_col_text(row, 4));
	for (int i = 0; i < DAY_STATES; i++)
	{
		if (paths[i].len > 0)
			appendStringInfo(page, "<path class=\"%s\" stroke-width=\".84\" d=\"%s\"/>",
							 day_words[i], paths[i].data);
		pfree(paths[i].data);
	}
	initStringInfo(&axis);
	initStringInfo(&ticks);
	append_months(&axis, &ticks, from_date, days, rows);
	appendStringInfo(page, "<path class=\"tick\" d=\"%s\"/></svg><div class=\"axis\">%s</div></div></div>\n",
					 ticks.data, axis.data);

	return after;
}

/*
 * Append a line where each month begins, and the names of some of them.
 */
static void
append_months(StringInfo axis, StringInfo ticks, DateADT from_date, int days, int rows)
{
	int			step = days / (31 * MAX_NAMED_MONTHS) + 1;
	int			months = 0;

	for (int day = 0; day < days; day++)
	{
		char	   *text = wh_date_text(from_date + day);
		char	   *of_month = strrchr(text, '-');

		if (strcmp(of_month, "-01") == 0)
		{
			appendStringInfo(ticks, "M%d 0v%d", day, rows);
			*of_month = '\0';
			/* One that begins near the right edge has no room for its name. */
			if (months++ % step == 0 && day < days * 0.88)
				appendStringInfo(axis, "<span style=\"left:%.2f%%\">%s</span>",
								 100.0 * day / days, text);
		}
		pfree(text);
	}
}

/*
 * Append what a row says when it is pointed at, and its days to the lines of
 * their states: days alike that follow each other are one stroke.
 */
static void
append_days(StringInfo page, StringInfo paths, int row, int offset,
			const char *tenant, const char *days)
{
	int			counts[DAY_STATES] = {0};
	int			length;

	for (int day = 0; days[day] != '\0'; day += length)
	{
		int			state = (int) (strchr(day_states, days[day]) - day_states);

		for (length = 1; days[day + length] == days[day]; length++)
			;
		counts[state] += length;
		appendStringInfo(&paths[state], "M%d %d.5h%d", offset + day, row, length);
	}

	appendStringInfo(page, "<rect y=\"%d\" width=\"100%%\" height=\"1\"><title>", row);
	wh_html_text(page, tenant);
	for (int i = 0; i < DAY_STATES; i++)
		if (counts[i] > 0)
			appendStringInfo(page, ", %d %s", counts[i], day_words[i]);
	appendStringInfoString(page, "</title></rect>");
}

/*
 * Append a table, as many rows as it may have.
 */
static void
append_table(StringInfo page, const Table *table)
{
	uint64		rows;

	appendStringInfo(page, "<section><h2>%s</h2>\n", table->title);
	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT, table->sql, NULL, 0);
	if (rows == 0)
		appendStringInfo(page, "<p>%s</p>", table->nothing);
	else
	{
		wh_html_head(page, table->columns, table->ncolumns);
		for (uint64 row = 0; row < Min(rows, table->limit); row++)
		{
			CHECK_FOR_INTERRUPTS();
			appendStringInfoString(page, "<tr>");
			for (int i = 0; i < table->ncolumns; i++)
				wh_html_cell(page, table->columns[i].cell, wh_col_text(row, i + 1));
			appendStringInfoString(page, "</tr>\n");
		}
		appendStringInfoString(page, "</tbody></table></div>");
		if (rows > table->limit)
			appendStringInfo(page, "<p>" UINT64_FORMAT " more are not shown.</p>",
							 rows - table->limit);
	}
	SPI_finish();
	appendStringInfoString(page, "</section>\n");
}
