/*
 * upload.c
 *		The extracts that the archive has, as _wh.extract_runs tells of them.
 *
 * Whether an object is there is the store's to say; the log knows what was
 * written, and by which run.
 */
#include "postgres.h"

#include "spi.h"
#include "upload.h"

#define COLUMNS \
	"r.run_id, r.template_name, r.tenant_name, r.period_start, r.status," \
	" r.csv_path, coalesce(r.rows_extracted, 0), coalesce(r.csv_bytes, 0), r.csv_sha256"

/* Of a run "r". */
#define IS_EXPORTED "r.csv_path OPERATOR(pg_catalog.^@) '" WH_EXPORTS "'"
#define HAS_DIED "r.status IN ('failed', 'lost', 'uploaded')"
#define IS_LAST \
	"NOT EXISTS (SELECT FROM _wh.extract_runs AS later" \
	" WHERE later.template_name OPERATOR(pg_catalog.=) r.template_name" \
	" AND later.tenant_name OPERATOR(pg_catalog.=) r.tenant_name" \
	" AND later.period_start OPERATOR(pg_catalog.=) r.period_start" \
	" AND later.run_id OPERATOR(pg_catalog.>) r.run_id" \
	" AND later.status OPERATOR(pg_catalog.=) 'loaded'" \
	" AND later.kind OPERATOR(pg_catalog.<>) 'rollup')"
#define OF_PERIOD \
	"r.template_name OPERATOR(pg_catalog.=) $1" \
	" AND r.tenant_name OPERATOR(pg_catalog.=) $2" \
	" AND r.period_start OPERATOR(pg_catalog.=) $3"

static WhUpload *first_of(const char *sql, const WhArg *args, int nargs);
static void *read_upload(uint64 row);

WhUpload *
wh_upload(int64 run_id)
{
	WhArg		arg = wh_int8(run_id);

	return first_of("SELECT " COLUMNS " FROM _wh.extract_runs AS r"
					" WHERE r.run_id OPERATOR(pg_catalog.=) $1"
					" AND r.template_name IS NOT NULL AND r.tenant_name IS NOT NULL"
					" AND r.period_start IS NOT NULL", &arg, 1);
}

WhUpload *
wh_upload_waiting(const char *template_name, const char *tenant, DateADT period_start)
{
	WhArg		args[] = {wh_text(template_name), wh_text(tenant), wh_date(period_start)};

	return first_of("SELECT " COLUMNS " FROM _wh.extract_runs AS r WHERE " OF_PERIOD
					" AND " IS_EXPORTED " AND " HAS_DIED " AND " IS_LAST
					" ORDER BY r.run_id DESC LIMIT 1", args, lengthof(args));
}

List *
wh_uploads_to_move(const char *template_name, const char *tenant)
{
	WhArg		args[] = {wh_text(template_name), wh_text(tenant)};

	return wh_spi_list("SELECT " COLUMNS " FROM _wh.extract_runs AS r"
					   WH_WHERE_PAIR " AND " IS_EXPORTED
					   " AND r.status OPERATOR(pg_catalog.=) 'loaded'"
					   " ORDER BY r.run_id", args, lengthof(args), read_upload);
}

List *
wh_uploads_not_loaded(void)
{
	return wh_spi_list("SELECT " COLUMNS " FROM _wh.extract_runs AS r WHERE "
					   IS_EXPORTED " AND " HAS_DIED " ORDER BY r.run_id",
					   NULL, 0, read_upload);
}

List *
wh_uploads_before(const char *template_name, TimestampTz before, int limit)
{
	WhArg		args[] = {wh_text(template_name), wh_timestamptz(before), wh_int4(limit)};

	return wh_spi_list("SELECT " COLUMNS " FROM _wh.extract_runs AS r"
					   " WHERE r.template_name OPERATOR(pg_catalog.=) $1"
					   " AND r.csv_path OPERATOR(pg_catalog.^@) '" WH_PROCESSED "'"
					   " AND r.status OPERATOR(pg_catalog.=) 'loaded'"
					   " AND r.run_started_at OPERATOR(pg_catalog.<) $2"
					   " ORDER BY r.run_started_at LIMIT $3",
					   args, lengthof(args), read_upload);
}

bool
wh_uploads_exist(const char *tenant)
{
	WhArg		arg = wh_text(tenant);
	bool		exist;

	SPI_connect();
	exist = wh_spi(SPI_OK_SELECT,
				   "SELECT FROM _wh.extract_runs"
				   " WHERE tenant_name OPERATOR(pg_catalog.=) $1"
				   " AND csv_path IS NOT NULL LIMIT 1", &arg, 1) > 0;
	SPI_finish();

	return exist;
}

bool
wh_upload_is_likely(const char *template_name, const char *tenant, DateADT period_start)
{
	WhArg		args[] = {wh_text(template_name), wh_text(tenant), wh_date(period_start)};
	bool		likely;

	SPI_connect();
	likely = wh_spi(SPI_OK_SELECT,
					"SELECT FROM _wh.extract_runs AS r WHERE " OF_PERIOD
					" AND r.status OPERATOR(pg_catalog.=) 'lost'"
					" AND r.csv_path IS NULL AND " IS_LAST " LIMIT 1",
					args, lengthof(args)) > 0;
	SPI_finish();

	return likely;
}

bool
wh_upload_found(const char *template_name, const char *tenant, int64 run_id,
				const WhArchived *archived)
{
	WhArg		args[] = {
		wh_text(template_name), wh_text(tenant), wh_int8(run_id),
		wh_text(archived->path), wh_int8(archived->rows),
		wh_int8(archived->bytes), wh_text(archived->sha256)
	};

	return wh_ledger("UPDATE _wh.extract_runs SET status = 'uploaded',"
					 " csv_path = $4, rows_extracted = $5, csv_bytes = $6,"
					 " csv_sha256 = $7"
					 " WHERE template_name = $1 AND tenant_name = $2"
					 " AND run_id = $3 AND status = 'lost' AND csv_path IS NULL",
					 args, lengthof(args)) > 0;
}

void
wh_upload_again(int64 run_id)
{
	WhArg		arg = wh_int8(run_id);

	(void) wh_ledger("UPDATE _wh.extract_runs SET attempt = attempt + 1"
					 " WHERE run_id = $1", &arg, 1);
}

void
wh_upload_loaded(int64 run_id, const WhRun *by)
{
	WhArg		args[] = {
		wh_int8(run_id), wh_int8(by->rows_inserted + by->rows_updated + by->rows_unchanged)
	};

	(void) wh_ledger("UPDATE _wh.extract_runs SET status = 'loaded',"
					 " rows_loaded = $2, sqlstate = NULL, error_category = NULL,"
					 " error_message = NULL, error_detail = NULL, error_hint = NULL"
					 " WHERE run_id = $1 AND status IN ('failed', 'lost', 'uploaded')",
					 args, lengthof(args));
}

void
wh_upload_moved(const char *path, const char *new_path)
{
	WhArg		args[] = {wh_text(path), wh_text(new_path)};

	(void) wh_ledger("UPDATE _wh.extract_runs SET csv_path = $2 WHERE csv_path = $1",
					 args, lengthof(args));
}

static WhUpload *
first_of(const char *sql, const WhArg *args, int nargs)
{
	List	   *uploads = wh_spi_list(sql, args, nargs, read_upload);

	return uploads == NIL ? NULL : (WhUpload *) linitial(uploads);
}

static void *
read_upload(uint64 row)
{
	WhUpload   *upload = (WhUpload *) palloc0(sizeof(WhUpload));

	upload->run_id = wh_col_int8(row, 1, 0);
	upload->template_name = wh_col_text(row, 2);
	upload->tenant_name = wh_col_text(row, 3);
	upload->period_start = wh_col_date(row, 4);
	upload->status = wh_col_text(row, 5);
	upload->archived.path = wh_col_text(row, 6);
	upload->archived.rows = wh_col_int8(row, 7, 0);
	upload->archived.bytes = wh_col_int8(row, 8, 0);
	upload->archived.sha256 = wh_col_text(row, 9);

	return upload;
}
