/*
 * inputlog.c
 *		What the log says of the inputs of derived templates.
 *
 * Asked of the log and not of the call at hand, so that it does not matter
 * which session had the input, or when.
 */
#include "postgres.h"

#include "inputlog.h"
#include "spi.h"

/* Of a run "r": it has left other rows than it found. */
#define CHANGED_ROWS \
	"r.status OPERATOR(pg_catalog.=) 'loaded'" \
	" AND r.kind OPERATOR(pg_catalog.<>) 'rollup'" \
	" AND (r.rows_inserted OPERATOR(pg_catalog.>) 0" \
	"   OR r.rows_updated OPERATOR(pg_catalog.>) 0" \
	"   OR r.rows_deleted OPERATOR(pg_catalog.>) 0)"

/* Of a derived run "made": up to when it has seen the runs of that input. */
#define SEEN \
	"COALESCE((made.context OPERATOR(pg_catalog.->) 'inputs'" \
	" OPERATOR(pg_catalog.->>) r.template_name)::pg_catalog.timestamptz," \
	" made.run_started_at)"

static bool is_any(const char *sql, const WhArg *args, int nargs);

/*
 * Ask the log for a failure that nobody has mended; see inputlog.h.
 */
bool
wh_inputlog_failed(const char *template_name, const char *tenant, DateADT from,
				   DateADT to)
{
	WhArg		args[4];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(from);
	args[3] = wh_date(to);

	return is_any("SELECT FROM _wh.extract_runs AS f"
				  " WHERE f.template_name OPERATOR(pg_catalog.=) $1"
				  " AND f.tenant_name OPERATOR(pg_catalog.=) $2"
				  " AND f.period_start OPERATOR(pg_catalog.>=) $3"
				  " AND f.period_start OPERATOR(pg_catalog.<=) $4"
				  " AND f.status IN ('failed', 'lost')"
				  " AND f.kind IN ('refresh', 'replay')"
				  " AND NOT EXISTS (SELECT FROM _wh.extract_runs AS later"
				  "   WHERE later.template_name OPERATOR(pg_catalog.=) $1"
				  "   AND later.tenant_name OPERATOR(pg_catalog.=) $2"
				  "   AND later.period_start OPERATOR(pg_catalog.=) f.period_start"
				  "   AND later.run_id OPERATOR(pg_catalog.>) f.run_id"
				  "   AND later.kind OPERATOR(pg_catalog.<>) 'rollup'"
				  "   AND later.status OPERATOR(pg_catalog.=) 'loaded')"
				  " LIMIT 1", args, lengthof(args));
}

/*
 * Note which runs of inputs can be seen; see inputlog.h.
 */
char *
wh_inputlog_seen(List *inputs, const char *tenant)
{
	WhArg		args[] = {wh_text_array(inputs), wh_text(tenant)};

	return (char *) linitial(wh_spi_strings("SELECT pg_catalog.jsonb_object_agg(i.name, ("
											" SELECT r.run_finished_at FROM _wh.extract_runs AS r"
											" WHERE r.template_name OPERATOR(pg_catalog.=) i.name"
											" AND r.tenant_name OPERATOR(pg_catalog.=) $2"
											" AND r.status OPERATOR(pg_catalog.=) 'loaded'"
											" AND r.kind OPERATOR(pg_catalog.<>) 'rollup'"
											" ORDER BY r.run_finished_at DESC LIMIT 1))::pg_catalog.text"
											" FROM pg_catalog.unnest($1) AS i (name)",
											args, lengthof(args)));
}

/*
 * Ask the log whether an input was loaded later; see inputlog.h.
 */
bool
wh_inputlog_changed(int64 run_id, List *inputs, const char *tenant,
					const WhPeriod *period)
{
	WhPeriod	whole = wh_period_whole();
	WhArg		args[5];

	args[0] = wh_int8(run_id);
	args[1] = wh_text_array(inputs);
	args[2] = wh_text(tenant);
	args[3] = wh_date(period->start);
	args[4] = wh_date(whole.start);

	return is_any("SELECT FROM _wh.extract_runs AS made, _wh.extract_runs AS r"
				  " WHERE made.run_id OPERATOR(pg_catalog.=) $1"
				  " AND r.template_name OPERATOR(pg_catalog.=) ANY ($2)"
				  " AND r.tenant_name OPERATOR(pg_catalog.=) $3"
				  " AND r.run_finished_at OPERATOR(pg_catalog.>) " SEEN
				  " AND ($4 OPERATOR(pg_catalog.=) $5 OR r.period_start IN ($4, $5))"
				  " AND " CHANGED_ROWS
				  " LIMIT 1", args, lengthof(args));
}

/*
 * List days that an input has overtaken; see inputlog.h.
 */
List *
wh_inputlog_days(const char *template_name, List *inputs,
				 const char *tenant)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *days = NIL;
	WhArg		args[3];
	uint64		rows;

	args[0] = wh_text(template_name);
	args[1] = wh_text_array(inputs);
	args[2] = wh_text(tenant);

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT DISTINCT r.period_start FROM _wh.extract_runs AS r"
				  " WHERE r.template_name OPERATOR(pg_catalog.=) ANY ($2)"
				  " AND r.tenant_name OPERATOR(pg_catalog.=) $3"
				  " AND r.run_finished_at OPERATOR(pg_catalog.>)"
				  "   (pg_catalog.now() OPERATOR(pg_catalog.-) interval '31 days')"
				  " AND pg_catalog.isfinite(r.period_start)"
				  " AND " CHANGED_ROWS
				  " AND NOT EXISTS (SELECT FROM _wh.extract_runs AS made"
				  "   WHERE made.template_name OPERATOR(pg_catalog.=) $1"
				  "   AND made.tenant_name OPERATOR(pg_catalog.=) $3"
				  "   AND made.period_start OPERATOR(pg_catalog.=) r.period_start"
				  "   AND made.status OPERATOR(pg_catalog.=) 'loaded'"
				  "   AND made.kind OPERATOR(pg_catalog.<>) 'rollup'"
				  "   AND " SEEN " OPERATOR(pg_catalog.>=) r.run_finished_at)"
				  " ORDER BY r.period_start", args, lengthof(args));

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
		days = lappend_int(days, wh_col_date(row, 1));
	SPI_finish();

	return days;
}

static bool
is_any(const char *sql, const WhArg *args, int nargs)
{
	bool		found;

	SPI_connect();
	found = wh_spi(SPI_OK_SELECT, sql, args, nargs) > 0;
	SPI_finish();

	return found;
}
