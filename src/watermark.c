/*
 * watermark.c
 *		_wh.extract_watermarks: how far each incremental template has been
 *		read, per tenant; and moving it back.
 *
 * The only file that names that table.  The watermark is a time of the
 * source's clock, never of ours.  People move it by _wh.reseed() or by an
 * UPDATE of last_extracted_at, at any moment: a run that was under way then
 * leaves it where they put it, since its rows came from before.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit.h"
#include "settings.h"
#include "spi.h"
#include "template.h"
#include "tenant.h"
#include "watermark.h"

PG_FUNCTION_INFO_V1(wh_reseed);

static WhArg instant_or_null(TimestampTz at);

/*
 * _wh.reseed(template text, tenant text, since timestamptz)
 *
 * Waits for a run that is about to commit, and then comes after it.
 */
Datum
wh_reseed(PG_FUNCTION_ARGS)
{
	char	   *template_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	TimestampTz since = PG_GETARG_TIMESTAMPTZ(2);
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhArg		args[4];
	WhRole		caller;

	wh_become_owner(&caller);
	tmpl = wh_template(template_name);
	tenant = wh_tenant(tenant_name);
	if (!wh_template_is_incremental(tmpl))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template \"%s\" has no watermark", template_name),
				 errdetail("Its materialization is %s.", tmpl->materialization),
				 errhint("SELECT * FROM _wh.wh_refresh(%s, %s); reads it anew.",
						 quote_literal_cstr(template_name),
						 quote_literal_cstr(tenant_name))));
	if (TIMESTAMP_IS_NOEND(since))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a watermark cannot be infinity"),
				 errhint("Give the time since when rows are to be read again.")));

	args[0] = wh_text(tmpl->name);
	args[1] = wh_text(tenant->name);
	args[2] = wh_text(psprintf("%s.%s", tenant->schema, tmpl->name));
	args[3] = instant_or_null(since);
	(void) wh_ledger("INSERT INTO _wh.extract_watermarks"
					 " (template_name, tenant_name, table_name, last_extracted_at)"
					 " VALUES ($1, $2, $3, $4)"
					 " ON CONFLICT (template_name, tenant_name) DO UPDATE"
					 " SET last_extracted_at = excluded.last_extracted_at",
					 args, lengthof(args));
	wh_role_leave(&caller);

	wh_audit("reseed", template_name, NULL);

	PG_RETURN_VOID();
}

/*
 * Read the pair's row; see watermark.h.
 */
WhWatermark *
wh_watermark(const char *template_name, const char *tenant)
{
	MemoryContext caller = CurrentMemoryContext;
	WhWatermark *watermark = (WhWatermark *) palloc0(sizeof(WhWatermark));
	WhArg		args[2];

	watermark->last_extracted_at = DT_NOBEGIN;
	watermark->reread_from = DT_NOEND;
	watermark->last_loaded_at = DT_NOBEGIN;
	watermark->source_clock = DT_NOBEGIN;
	watermark->asked_at = DT_NOBEGIN;
	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	SPI_connect();
	if (wh_spi(SPI_OK_SELECT,
			   "SELECT last_extracted_at, reread_from, last_loaded_at, source_clock,"
			   " asked_at, rows_loaded_last_run, lag_reason FROM _wh.extract_watermarks"
			   " WHERE template_name OPERATOR(pg_catalog.=) $1"
			   " AND tenant_name OPERATOR(pg_catalog.=) $2",
			   args, lengthof(args)) > 0)
	{
		int			col = 1;

		/* Copy out while the SPI result is still there. */
		MemoryContextSwitchTo(caller);
		watermark->last_extracted_at = wh_col_timestamptz(0, col++, DT_NOBEGIN);
		watermark->reread_from = wh_col_timestamptz(0, col++, DT_NOEND);
		watermark->last_loaded_at = wh_col_timestamptz(0, col++, DT_NOBEGIN);
		watermark->source_clock = wh_col_timestamptz(0, col++, DT_NOBEGIN);
		watermark->asked_at = wh_col_timestamptz(0, col++, DT_NOBEGIN);
		watermark->rows_loaded = wh_col_int8(0, col++, 0);
		watermark->lag_reason = wh_col_text(0, col++);
	}
	SPI_finish();

	return watermark;
}

/*
 * Write the pair's row; see watermark.h.
 */
void
wh_watermark_advance(const char *template_name, const char *tenant,
					 const char *table_name, const WhWatermark *before,
					 const WhWatermark *now)
{
	WhArg		args[11];
	int			n = 0;

	args[n++] = wh_text(template_name);
	args[n++] = wh_text(tenant);
	args[n++] = wh_text(table_name);
	args[n++] = instant_or_null(now->last_extracted_at);
	args[n++] = instant_or_null(now->reread_from);
	args[n++] = instant_or_null(now->last_loaded_at);
	args[n++] = instant_or_null(now->source_clock);
	args[n++] = instant_or_null(now->asked_at);
	args[n++] = wh_int8(now->rows_loaded);
	args[n++] = wh_text(now->lag_reason);
	args[n++] = instant_or_null(before->last_extracted_at);

	(void) wh_ledger("INSERT INTO _wh.extract_watermarks AS w (template_name,"
					 " tenant_name, table_name, last_extracted_at, reread_from,"
					 " last_loaded_at, source_clock, asked_at,"
					 " rows_loaded_last_run, lag_reason)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
					 " ON CONFLICT (template_name, tenant_name) DO UPDATE SET"
					 " table_name = excluded.table_name,"
					 " last_extracted_at ="
					 " CASE WHEN NULLIF(w.last_extracted_at, '-infinity')"
					 " IS NOT DISTINCT FROM $11"
					 " THEN excluded.last_extracted_at"
					 " ELSE w.last_extracted_at END,"
					 " reread_from = excluded.reread_from,"
					 " last_loaded_at = excluded.last_loaded_at,"
					 " source_clock = excluded.source_clock,"
					 " asked_at = excluded.asked_at,"
					 " rows_loaded_last_run = excluded.rows_loaded_last_run,"
					 " lag_reason = excluded.lag_reason",
					 args, n);
}

/*
 * Delete rows; NULL means all.
 */
void
wh_watermarks_forget(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	(void) wh_ledger("DELETE FROM _wh.extract_watermarks"
					 WH_WHERE_PAIR,
					 args, lengthof(args));
}

/*
 * Infinity in either direction is kept as NULL: nobody can subtract from it.
 */
static WhArg
instant_or_null(TimestampTz at)
{
	return TIMESTAMP_NOT_FINITE(at) ? wh_null(TIMESTAMPTZOID)
		: wh_timestamptz(at);
}
