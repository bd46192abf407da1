/*
 * retention.c
 *		How long the log, _wh.extract_runs, keeps what it has.
 *
 * One condition says which rows have had their time; maintenance deletes by it
 * and the doctor counts by it.  The settings are pg_warehouse.log_retention and
 * failure_retention; below zero means for ever.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "guc.h"
#include "retention.h"
#include "spi.h"

/* Rows that are looked at, and perhaps deleted, in one transaction. */
#define BATCH "5000"

/* Two runs that both ended well, or both did not. */
#define SAME_OUTCOME \
	"later.status IN ('loaded', 'failed', 'lost')" \
	" AND (later.status = 'loaded') = (r.status = 'loaded')"

/*
 * Has row "r" had its time?  Successes and what was skipped go when they began
 * before $1, failures before $2, if a later run of that unit and kind came to
 * the same end, and the archive has no extract of it.
 */
#define OUTDATED \
	" CASE WHEN r.status IN ('loaded', 'skipped') THEN r.run_started_at < $1" \
	" WHEN r.status IN ('failed', 'lost') THEN r.run_started_at < $2" \
	" ELSE false END AND r.csv_path IS NULL" \
	" AND (r.status = 'skipped' OR EXISTS (" \
	"   SELECT FROM _wh.extract_runs AS later" \
	"   WHERE later.template_name = r.template_name" \
	"   AND later.tenant_name = r.tenant_name" \
	"   AND later.period_start = r.period_start" \
	"   AND later.period_kind IS NOT DISTINCT FROM r.period_kind" \
	"   AND later.run_id > r.run_id AND later.kind = r.kind" \
	"   AND " SAME_OUTCOME ")" \
	" OR (r.template_name IS NULL OR r.tenant_name IS NULL" \
	"   OR r.period_start IS NULL) AND EXISTS (" \
	"   SELECT FROM _wh.extract_runs AS later" \
	"   WHERE later.template_name IS NOT DISTINCT FROM r.template_name" \
	"   AND later.tenant_name IS NOT DISTINCT FROM r.tenant_name" \
	"   AND later.period_start IS NOT DISTINCT FROM r.period_start" \
	"   AND later.table_name IS NOT DISTINCT FROM r.table_name" \
	"   AND later.run_id > r.run_id AND later.kind = r.kind" \
	"   AND " SAME_OUTCOME "))"

static TimestampTz before(int retention, int days);

/*
 * Delete old rows, one batch; see retention.h.
 */
bool
wh_retention_prune(int64 *after, int64 *deleted)
{
	WhArg		args[4];
	int64		last;

	args[0] = wh_int8(*after);
	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.max(batch.run_id) FROM ("
				  "   SELECT run_id FROM _wh.extract_runs"
				  "   WHERE run_id OPERATOR(pg_catalog.>) $1"
				  "   ORDER BY run_id LIMIT " BATCH ") AS batch", args, 1);
	last = wh_col_int8(0, 1, 0);
	SPI_finish();
	if (last == 0)
		return false;

	args[0] = wh_timestamptz(before(wh_log_retention, 0));
	args[1] = wh_timestamptz(before(wh_failure_retention, 0));
	args[2] = wh_int8(*after);
	args[3] = wh_int8(last);
	*deleted += wh_ledger("DELETE FROM _wh.extract_runs AS r"
						  " WHERE r.run_id > $3 AND r.run_id <= $4 AND" OUTDATED,
						  args, lengthof(args));
	*after = last;

	return true;
}

int64
wh_retention_overdue(int days)
{
	WhArg		args[2];
	int64		n;

	args[0] = wh_timestamptz(before(wh_log_retention, days));
	args[1] = wh_timestamptz(before(wh_failure_retention, days));
	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.count(*) FROM _wh.extract_runs AS r"
				  " WHERE r.run_started_at < greatest($1, $2) AND" OUTDATED,
				  args, lengthof(args));
	n = wh_col_int8(0, 1, 0);
	SPI_finish();

	return n;
}

TimestampTz
wh_retention_horizon(void)
{
	TimestampTz successes = before(wh_log_retention, 0);
	TimestampTz failures = before(wh_failure_retention, 0);

	return Min(successes, failures);
}

/*
 * Since when something was old so many days ago.
 */
static TimestampTz
before(int retention, int days)
{
	if (retention < 0)
		return DT_NOBEGIN;

	return GetCurrentTimestamp() - retention * USECS_PER_MINUTE - days * USECS_PER_DAY;
}
