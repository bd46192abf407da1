/*
 * slice.c
 *		_wh.slices: the coverage ledger.
 *
 * The only file that names that table.  Rows are read as the owner and
 * written as the installer; whether the relation behind a row is there and
 * fit to be read is asked of the catalogs each time, since people drop things.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "lock.h"
#include "slice.h"
#include "spi.h"

#define SLICE_COLUMNS \
	"template_name, tenant_name, period_kind, period_start," \
	" relation_schema, relation_name, state, row_count, size_bytes," \
	" as_of, last_refresh, method, run_id, template_version," \
	" bounds_of, lower_bound, upper_bound, content_hash, missing_days," \
	" query_hash, xmin"

/*
 * A key of _wh.slice_key() begins with hexadecimal digits of a hash and ends
 * with a day, counted from this number on.
 */
#define KEY_HASH_DIGITS 6
#define KEY_DAY_DIGITS 9
#define KEY_FIRST_DAY 100000000
#define KEY_DAYS 4000000

PG_FUNCTION_INFO_V1(wh_slice_distance);

static double key_position(text *key);
static void put(void *arg);
static void *read_slice(uint64 row);
static void *read_tenant(uint64 row);
static WhArg timestamptz_or_null(TimestampTz at);
static WhArg dates_or_null(List *days);
static List *days_of(uint64 row, int col);

/*
 * _wh.slice_distance(a text, b text) returns double precision
 *
 * The subtype_diff of _wh.slice_range.  Days of one pair lie closer together
 * than any two pairs; that two pairs may have the same hash costs time only.
 */
Datum
wh_slice_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(key_position(PG_GETARG_TEXT_PP(0)) -
					 key_position(PG_GETARG_TEXT_PP(1)));
}

static double
key_position(text *key)
{
	const char *data = VARDATA_ANY(key);
	int			len = VARSIZE_ANY_EXHDR(key);
	char		hash[KEY_HASH_DIGITS + 1] = "";
	char		day[KEY_DAY_DIGITS + 1] = "";

	if (len < KEY_HASH_DIGITS + KEY_DAY_DIGITS)
		return 0;
	memcpy(hash, data, KEY_HASH_DIGITS);
	memcpy(day, data + len - KEY_DAY_DIGITS, KEY_DAY_DIGITS);

	return (double) strtol(hash, NULL, 16) * KEY_DAYS +
		Min(Max(strtol(day, NULL, 10) - KEY_FIRST_DAY, 0), KEY_DAYS - 1);
}

/*
 * Find the slice of exactly this period.
 */
WhSlice *
wh_slice_find(const char *template_name, const char *tenant,
			  const WhPeriod *period)
{
	WhArg		args[4];
	List	   *slices;

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(period->start);
	args[3] = wh_text(wh_period_kind_name(period->kind));
	slices = wh_spi_list("SELECT " SLICE_COLUMNS " FROM _wh.slices"
						 " WHERE template_name OPERATOR(pg_catalog.=) $1"
						 " AND tenant_name OPERATOR(pg_catalog.=) $2"
						 " AND period_start OPERATOR(pg_catalog.=) $3"
						 " AND period_kind OPERATOR(pg_catalog.=) $4",
						 args, lengthof(args), read_slice);

	return slices == NIL ? NULL : (WhSlice *) linitial(slices);
}

/*
 * Find the slice whose range holds the day.
 */
WhSlice *
wh_slice_covering(const char *template_name, const char *tenant, DateADT day)
{
	WhArg		args[3];
	List	   *slices;

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(day);
	slices = wh_spi_list("SELECT " SLICE_COLUMNS " FROM _wh.slices"
						 " WHERE template_name OPERATOR(pg_catalog.=) $1"
						 " AND tenant_name OPERATOR(pg_catalog.=) $2"
						 " AND period_kind OPERATOR(pg_catalog.<>) 'whole'"
						 " AND period_start OPERATOR(pg_catalog.<=) $3"
						 " AND period_end OPERATOR(pg_catalog.>) $3",
						 args, lengthof(args), read_slice);

	return slices == NIL ? NULL : (WhSlice *) linitial(slices);
}

/*
 * List the slices within a period; see slice.h.
 */
List *
wh_slices_within(const char *template_name, const char *tenant,
				 const WhPeriod *period)
{
	WhArg		args[4];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(period->start);
	args[3] = wh_date(period->end);

	return wh_spi_list("SELECT " SLICE_COLUMNS " FROM _wh.slices"
					   " WHERE template_name OPERATOR(pg_catalog.=) $1"
					   " AND tenant_name OPERATOR(pg_catalog.=) $2"
					   " AND period_start OPERATOR(pg_catalog.>=) $3"
					   " AND period_end OPERATOR(pg_catalog.<=) $4"
					   " ORDER BY period_start",
					   args, lengthof(args), read_slice);
}

/*
 * List slices; see slice.h.
 */
List *
wh_slices(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	return wh_spi_list("SELECT " SLICE_COLUMNS " FROM _wh.slices"
					   WH_WHERE_PAIR
					   " ORDER BY tenant_name COLLATE \"C\","
					   " template_name COLLATE \"C\", period_start",
					   args, lengthof(args), read_slice);
}

/*
 * Count relations and indexes; see slice.h.
 */
void
wh_slices_extent(const char *template_name, const char *tenant,
				 int64 *relations, int64 *indexes)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  "SELECT pg_catalog.count(*), pg_catalog.sum("
				  "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_index AS i"
				  " WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid))::pg_catalog.int8"
				  " FROM _wh.slices AS s"
				  " JOIN pg_catalog.pg_namespace AS n"
				  " ON n.nspname OPERATOR(pg_catalog.=) s.relation_schema"
				  " JOIN pg_catalog.pg_class AS c"
				  " ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
				  " AND c.relname OPERATOR(pg_catalog.=) s.relation_name"
				  " WHERE s.state OPERATOR(pg_catalog.<>) 'empty'"
				  " AND c.relispopulated"
				  " AND ($1 IS NULL OR"
				  " s.template_name OPERATOR(pg_catalog.=) $1)"
				  " AND ($2 IS NULL OR"
				  " s.tenant_name OPERATOR(pg_catalog.=) $2)",
				  args, lengthof(args));
	*relations = wh_col_int8(0, 1, 0);
	*indexes = wh_col_int8(0, 2, 0);
	SPI_finish();
}

/*
 * List the tenants of a template: one probe of the primary key for each.
 */
List *
wh_slice_tenants(const char *template_name)
{
	WhArg		arg = wh_text(template_name);

	return wh_spi_list("WITH RECURSIVE t AS ((SELECT tenant_name, relation_schema"
					   " FROM _wh.slices WHERE template_name OPERATOR(pg_catalog.=) $1"
					   " ORDER BY tenant_name LIMIT 1)"
					   " UNION ALL SELECT n.tenant_name, n.relation_schema"
					   " FROM t, LATERAL (SELECT s.tenant_name, s.relation_schema"
					   " FROM _wh.slices s"
					   " WHERE s.template_name OPERATOR(pg_catalog.=) $1"
					   " AND s.tenant_name OPERATOR(pg_catalog.>) t.tenant_name"
					   " ORDER BY s.tenant_name LIMIT 1) n)"
					   " SELECT tenant_name, relation_schema FROM t"
					   " ORDER BY tenant_name COLLATE \"C\"",
					   &arg, 1, read_tenant);
}

static void *
read_tenant(uint64 row)
{
	WhSliceTenant *tenant = (WhSliceTenant *) palloc(sizeof(WhSliceTenant));

	tenant->name = wh_col_text(row, 1);
	tenant->schema = wh_col_text(row, 2);

	return tenant;
}

/*
 * Insert or replace the row; see slice.h.  Rows of a refill are written by a
 * subtransaction, whose number is higher than that of the one around it.
 */
void
wh_slice_put(const WhSlice *slice)
{
	wh_subtransaction(put, unconstify(WhSlice *, slice), true);
}

static void
put(void *arg)
{
	const WhSlice *slice = (const WhSlice *) arg;
	bool		bound = slice->bounds_of != NULL;
	WhArg		args[21];
	int			n = 0;

	args[n++] = wh_text(slice->template_name);
	args[n++] = wh_text(slice->tenant_name);
	args[n++] = wh_text(wh_period_kind_name(slice->period.kind));
	args[n++] = wh_date(slice->period.start);
	args[n++] = wh_date(slice->period.end);
	args[n++] = wh_name(slice->relation_schema);
	args[n++] = wh_name(slice->relation_name);
	args[n++] = wh_text(slice->state);
	args[n++] = slice->row_count < 0 ? wh_null(INT8OID) : wh_int8(slice->row_count);
	args[n++] = wh_int8(slice->size_bytes);
	args[n++] = timestamptz_or_null(slice->as_of);
	args[n++] = timestamptz_or_null(slice->last_refresh);
	args[n++] = wh_text(slice->method);
	args[n++] = slice->run_id != 0 ? wh_int8(slice->run_id) : wh_null(INT8OID);
	args[n++] = wh_int4(slice->template_version);
	args[n++] = wh_text(slice->bounds_of);
	args[n++] = timestamptz_or_null(bound ? slice->bounds.start : DT_NOBEGIN);
	args[n++] = timestamptz_or_null(bound ? slice->bounds.end : DT_NOBEGIN);
	args[n++] = wh_text(slice->content_hash);
	args[n++] = dates_or_null(slice->missing);
	args[n++] = wh_text(slice->query_hash);

	(void) wh_ledger("INSERT INTO _wh.slices AS s (template_name, tenant_name,"
					 " period_kind, period_start, period_end,"
					 " relation_schema, relation_name, state, row_count,"
					 " size_bytes, as_of, last_refresh, method, run_id,"
					 " template_version, bounds_of, lower_bound, upper_bound,"
					 " content_hash, missing_days, query_hash)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
					 " $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"
					 " ON CONFLICT (template_name, tenant_name, period_start,"
					 " period_kind) DO UPDATE SET"
					 " relation_schema = excluded.relation_schema,"
					 " relation_name = excluded.relation_name,"
					 " state = excluded.state,"
					 " row_count = excluded.row_count,"
					 " size_bytes = excluded.size_bytes,"
					 " content_hash = excluded.content_hash,"
					 " missing_days = excluded.missing_days,"
					 " query_hash = excluded.query_hash,"
					 " as_of = excluded.as_of,"
					 " last_refresh = excluded.last_refresh,"
					 " method = excluded.method,"
					 " run_id = excluded.run_id,"
					 " template_version = excluded.template_version,"
					 " bounds_of = excluded.bounds_of,"
					 " lower_bound = excluded.lower_bound,"
					 " upper_bound = excluded.upper_bound",
					 args, n);
}

/*
 * Name a time column and its type; see slice.h.
 */
char *
wh_slice_bounds_of(const char *column, Oid typid)
{
	return psprintf("%s %s", column, format_type_be(typid));
}

/*
 * Say where the rows of a slice lie; see slice.h.
 */
void
wh_slice_bind(WhSlice *slice, const WhTemplate *tmpl, const char *time_zone)
{
	int			attnum;

	slice->bounds_of = NULL;
	if (tmpl->time_column == NULL || slice->period.kind == WH_WHOLE)
		return;

	attnum = SPI_fnumber(tmpl->columns, tmpl->time_column);
	if (attnum <= 0)
		elog(ERROR, "time column \"%s\" is not declared", tmpl->time_column);
	slice->bounds_of = wh_slice_bounds_of(tmpl->time_column,
										  TupleDescAttr(tmpl->columns, attnum - 1)->atttypid);
	slice->bounds = wh_period_span(&slice->period, time_zone);
}

WhSpan
wh_slice_span(const WhSlice *slice, const WhTemplate *tmpl,
			  const char *time_zone)
{
	WhSlice		present = {0};

	present.period = slice->period;
	wh_slice_bind(&present, tmpl, time_zone);
	if (slice->bounds_of != NULL && present.bounds_of != NULL &&
		strcmp(slice->bounds_of, present.bounds_of) == 0)
		return slice->bounds;

	return wh_period_span(&slice->period, time_zone);
}

/*
 * Widen the bounds in the ledger; see slice.h.
 */
void
wh_slice_admit(const WhTemplate *tmpl, const char *tenant,
			   const WhPeriod *period, const char *time_zone)
{
	const WhSlice *known = wh_slice_find(tmpl->name, tenant, period);
	WhSlice		coming = {0};
	WhArg		args[7];
	bool		same;

	if (known == NULL || known->bounds_of == NULL)
		return;

	coming.period = *period;
	wh_slice_bind(&coming, tmpl, time_zone);
	same = coming.bounds_of != NULL &&
		strcmp(coming.bounds_of, known->bounds_of) == 0;
	if (same && coming.bounds.start >= known->bounds.start &&
		coming.bounds.end <= known->bounds.end)
		return;

	args[0] = wh_text(tmpl->name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(period->start);
	args[3] = wh_text(wh_period_kind_name(period->kind));
	args[4] = wh_text(same ? known->bounds_of : NULL);
	args[5] = same ? wh_timestamptz(Min(coming.bounds.start, known->bounds.start))
		: wh_null(TIMESTAMPTZOID);
	args[6] = same ? wh_timestamptz(Max(coming.bounds.end, known->bounds.end))
		: wh_null(TIMESTAMPTZOID);
	(void) wh_ledger("UPDATE _wh.slices SET bounds_of = $5,"
					 " lower_bound = $6, upper_bound = $7"
					 " WHERE template_name OPERATOR(pg_catalog.=) $1"
					 " AND tenant_name OPERATOR(pg_catalog.=) $2"
					 " AND period_start OPERATOR(pg_catalog.=) $3"
					 " AND period_kind OPERATOR(pg_catalog.=) $4",
					 args, lengthof(args));
}

/*
 * Delete the rows of a pair within a period.
 */
void
wh_slices_forget_within(const char *template_name, const char *tenant,
						const WhPeriod *period)
{
	WhArg		args[4];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_date(period->start);
	args[3] = wh_date(period->end);

	(void) wh_ledger("DELETE FROM _wh.slices"
					 " WHERE template_name OPERATOR(pg_catalog.=) $1"
					 " AND tenant_name OPERATOR(pg_catalog.=) $2"
					 " AND period_start OPERATOR(pg_catalog.>=) $3"
					 " AND period_end OPERATOR(pg_catalog.<=) $4",
					 args, lengthof(args));
}

/*
 * Note that the source still has what is stored; see slice.h.
 */
void
wh_slice_confirm(const WhSlice *slice)
{
	WhArg		args[8];

	args[0] = wh_text(slice->template_name);
	args[1] = wh_text(slice->tenant_name);
	args[2] = wh_text(wh_period_kind_name(slice->period.kind));
	args[3] = wh_date(slice->period.start);
	args[4] = timestamptz_or_null(slice->last_refresh);
	args[5] = wh_int8(slice->row_count);
	args[6] = wh_text(slice->content_hash);
	args[7] = timestamptz_or_null(slice->as_of);

	(void) wh_ledger("UPDATE _wh.slices SET row_count = $6, content_hash = $7,"
					 " as_of = $8"
					 " WHERE template_name OPERATOR(pg_catalog.=) $1"
					 " AND tenant_name OPERATOR(pg_catalog.=) $2"
					 " AND period_kind OPERATOR(pg_catalog.=) $3"
					 " AND period_start OPERATOR(pg_catalog.=) $4"
					 " AND last_refresh OPERATOR(pg_catalog.=) $5",
					 args, lengthof(args));
}

/*
 * Delete rows; the relations are not touched.
 */
int64
wh_slices_forget(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	return wh_ledger("DELETE FROM _wh.slices"
					 WH_WHERE_PAIR,
					 args, lengthof(args));
}

/*
 * Look up the relation behind the slice.
 */
Oid
wh_slice_relid(const WhSlice *slice)
{
	Oid			nspid = get_namespace_oid(slice->relation_schema, true);

	if (!OidIsValid(nspid))
		return InvalidOid;

	return get_relname_relid(slice->relation_name, nspid);
}

/*
 * Ask whether a query over the relation would work.
 */
bool
wh_slice_is_populated(const WhSlice *slice)
{
	HeapTuple	tuple = SearchSysCache1(RELOID,
										ObjectIdGetDatum(wh_slice_relid(slice)));
	bool		populated;

	if (!HeapTupleIsValid(tuple))
		return false;
	populated = ((Form_pg_class) GETSTRUCT(tuple))->relispopulated;
	ReleaseSysCache(tuple);

	return populated;
}

/*
 * A month's or a year's table can begin before the first day it was made of.
 */
DateADT
wh_slice_first_day(const WhSlice *slice)
{
	DateADT		day = slice->period.start;

	while (list_member_int(slice->missing, day))
		day++;

	return day;
}

/*
 * Take the pair's lock, or not at all; see slice.h.
 */
bool
wh_slice_try_lock(const char *template_name, const char *tenant)
{
	return wh_lock_key_try("slices",
						   psprintf("%s\1%s", template_name, tenant));
}

/*
 * Read a row of SLICE_COLUMNS.
 */
static void *
read_slice(uint64 row)
{
	WhSlice    *slice = (WhSlice *) palloc0(sizeof(WhSlice));
	int			col = 1;
	WhPeriodKind kind;
	Datum		xmin;
	bool		isnull;

	slice->template_name = wh_col_text(row, col++);
	slice->tenant_name = wh_col_text(row, col++);
	kind = wh_period_kind_parse(wh_col_text(row, col++));
	slice->period = wh_period_make(kind, wh_col_date(row, col++));
	slice->relation_schema = wh_col_text(row, col++);
	slice->relation_name = wh_col_text(row, col++);
	slice->state = wh_col_text(row, col++);
	slice->row_count = wh_col_int8(row, col++, 0);
	slice->size_bytes = wh_col_int8(row, col++, 0);
	slice->as_of = wh_col_timestamptz(row, col++, DT_NOBEGIN);
	slice->last_refresh = wh_col_timestamptz(row, col++, DT_NOBEGIN);
	slice->method = wh_col_text(row, col++);
	slice->run_id = wh_col_int8(row, col++, 0);
	slice->template_version = wh_col_int4(row, col++, 0);
	slice->bounds_of = wh_col_text(row, col++);
	slice->bounds.start = wh_col_timestamptz(row, col++, DT_NOBEGIN);
	slice->bounds.end = wh_col_timestamptz(row, col++, DT_NOEND);
	slice->content_hash = wh_col_text(row, col++);
	slice->missing = days_of(row, col++);
	slice->query_hash = wh_col_text(row, col++);
	xmin = wh_col(row, col++, &isnull);
	slice->written_by = DatumGetTransactionId(xmin);

	return slice;
}

static WhArg
timestamptz_or_null(TimestampTz at)
{
	return TIMESTAMP_IS_NOBEGIN(at) ? wh_null(TIMESTAMPTZOID)
		: wh_timestamptz(at);
}

/*
 * Make an array of days; of none, an SQL NULL.
 */
static WhArg
dates_or_null(List *days)
{
	WhArg		arg = wh_null(DATEARRAYOID);
	Datum	   *elems;
	int			n = 0;
	ListCell   *lc;

	if (days == NIL)
		return arg;

	elems = (Datum *) palloc(sizeof(Datum) * list_length(days));
	foreach(lc, days)
		elems[n++] = DateADTGetDatum(lfirst_int(lc));
	arg.isnull = false;
	arg.value = PointerGetDatum(construct_array(elems, n, DATEOID, sizeof(DateADT),
												true, TYPALIGN_INT));

	return arg;
}

static List *
days_of(uint64 row, int col)
{
	List	   *days = NIL;
	bool		isnull;
	Datum		value = wh_col(row, col, &isnull);
	Datum	   *elems;
	int			n;

	if (isnull)
		return NIL;

	deconstruct_array(DatumGetArrayTypeP(value), DATEOID, sizeof(DateADT),
					  true, TYPALIGN_INT, &elems, NULL, &n);
	for (int i = 0; i < n; i++)
		days = lappend_int(days, DatumGetDateADT(elems[i]));

	return days;
}
