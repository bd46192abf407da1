/*
 * template.c
 *		_wh.mv_templates: one row per query; looked up, checked and written.
 *
 * The only file that names the table.  A row is checked by the same code
 * whether it comes from _wh.add_template() or from a plain INSERT, and the
 * check looks at nothing but the row itself and the type catalog, so that a
 * dump restores in any order.  What the text of a template may be is gate's
 * to say, what its options may be options'.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "gate.h"
#include "names.h"
#include "options.h"
#include "row.h"
#include "spi.h"
#include "template.h"

#define MAX_LOOKBACK_DAYS 3700

PG_FUNCTION_INFO_V1(wh_template_trigger);

static List *read_templates(const char *where, const char *name);
static WhTemplate *from_tuple(HeapTuple tuple, TupleDesc desc);
static List *list_field(HeapTuple tuple, TupleDesc desc, const char *name);
static bool text_differs(HeapTuple a, HeapTuple b, TupleDesc desc,
						 const char *name);
static void complete(WhTemplate *tmpl);
static void read_options(WhTemplate *tmpl);
static void check(WhTemplate *tmpl);
static void check_words(const WhTemplate *tmpl);
static void check_word(const char *setting, const char *value,
					   const char *const *words, int nwords, int built);
static void check_columns(const WhTemplate *tmpl);
static void check_incremental(const WhTemplate *tmpl);
static void check_not_incremental(const WhTemplate *tmpl);
static void check_dependencies(const WhTemplate *tmpl);
static Form_pg_attribute column_of(const WhTemplate *tmpl, const char *setting,
								   const char *name);
static void guarded(void (*work) (WhTemplate *tmpl), WhTemplate *tmpl);
static void name_template(void *arg);
static void to_args(const WhTemplate *tmpl, WhArg *args);

/* Parameters of the statements that write a whole row. */
#define TEMPLATE_ARGS 15

/*
 * Trigger on _wh.mv_templates, before each row: check the row, and on UPDATE
 * raise the version where the text that slices are made from changes.  Values
 * that the statement gives are kept, so that a restore gives equal rows.
 */
Datum
wh_template_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	old;
	HeapTuple	new;
	WhTemplate *tmpl;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("template trigger was not called by a trigger")));

	desc = RelationGetDescr(trigger->tg_relation);
	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		new = trigger->tg_trigtuple;
		old = NULL;
	}
	else
	{
		new = trigger->tg_newtuple;
		old = trigger->tg_trigtuple;
	}

	if (wh_row_text(new, desc, "template_name") != NULL &&
		wh_row_text(new, desc, "column_definitions") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("template \"%s\" has no column definitions",
						wh_row_text(new, desc, "template_name")),
				 errhint("Give them, or let _wh.add_template() ask a tenant for them.")));

	/* The table's own constraints refuse any other NULL. */
	if (wh_row_breaks_not_null(new, desc))
		return PointerGetDatum(new);

	tmpl = from_tuple(new, desc);
	guarded(check, tmpl);
	if (old == NULL)
		return PointerGetDatum(new);

	if (text_differs(old, new, desc, "template_name"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("template \"%s\" cannot be renamed",
						wh_row_text(old, desc, "template_name")),
				 errdetail("Its relations and its history carry the name."),
				 errhint("Add a new template, or set the description.")));

	if (text_differs(old, new, desc, "materialization") &&
		(wh_template_is_daily(tmpl) || wh_template_is_daily(from_tuple(old, desc))))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("template \"%s\" cannot change from %s to %s", tmpl->name,
						wh_row_text(old, desc, "materialization"),
						tmpl->materialization),
				 errdetail("A daily template has a relation per day, any other one relation."),
				 errhint("Add a new template.")));

	if (text_differs(old, new, desc, "source"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("template \"%s\" cannot change from source %s to %s", tmpl->name,
						wh_row_text(old, desc, "source"), tmpl->source),
				 errdetail("Its relations hold what they were made of."),
				 errhint("Add a new template.")));

	if ((text_differs(old, new, desc, "query_template") ||
		 text_differs(old, new, desc, "column_definitions") ||
		 text_differs(old, new, desc, "indexes")) &&
		!text_differs(old, new, desc, "version"))
	{
		int			attno = SPI_fnumber(desc, "version");
		Datum		version = Int32GetDatum(tmpl->version + 1);
		bool		isnull = false;

		new = heap_modify_tuple_by_cols(new, desc, 1, &attno, &version, &isnull);
	}
	if (!text_differs(old, new, desc, "updated_at"))
	{
		int			attno = SPI_fnumber(desc, "updated_at");
		Datum		now = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		bool		isnull = false;

		new = heap_modify_tuple_by_cols(new, desc, 1, &attno, &now, &isnull);
	}

	return PointerGetDatum(new);
}

/*
 * Look a template up; see template.h.
 */
WhTemplate *
wh_template(const char *name)
{
	List	   *found = read_templates("WHERE template_name OPERATOR(pg_catalog.=) $1",
									   name);

	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("template \"%s\" does not exist", name),
				 errhint("Define it with SELECT _wh.add_template(%s, query_template => ...);",
						 quote_literal_cstr(name))));

	return (WhTemplate *) linitial(found);
}

List *
wh_templates_enabled(void)
{
	return read_templates("WHERE enabled", NULL);
}

List *
wh_templates_all(void)
{
	return read_templates("", NULL);
}

bool
wh_template_applies(const WhTemplate *tmpl, const WhTenant *tenant)
{
	ListCell   *lc;

	foreach(lc, tmpl->tenants)
	{
		if (strcmp((char *) lfirst(lc), tenant->name) == 0)
			return true;
	}

	return tmpl->tenants == NIL;
}

bool
wh_template_is_daily(const WhTemplate *tmpl)
{
	return strcmp(tmpl->materialization, "daily") == 0;
}

bool
wh_template_is_incremental(const WhTemplate *tmpl)
{
	return strcmp(tmpl->materialization, "incremental") == 0;
}

bool
wh_template_is_local(const WhTemplate *tmpl)
{
	return strcmp(tmpl->source, "local") == 0;
}

bool
wh_template_is_live(const WhTemplate *tmpl)
{
	return strcmp(tmpl->materialization, "live") == 0;
}

int
wh_template_index_count(const WhTemplate *tmpl)
{
	return list_length(wh_gate_index_stmts(tmpl->indexes, tmpl->columns,
										   "public", tmpl->name));
}

/*
 * Insert a new row, which the trigger checks; see template.h.
 */
void
wh_template_insert(const WhTemplate *tmpl)
{
	WhArg		args[TEMPLATE_ARGS];
	int64		inserted;

	to_args(tmpl, args);
	inserted = wh_ledger("INSERT INTO _wh.mv_templates (template_name, description,"
						 " query_template, column_definitions, indexes,"
						 " materialization, time_column, key_columns,"
						 " watermark_column, source, lookback_days, on_drift,"
						 " options, tenants, enabled)"
						 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
						 " $12, $13, $14, $15)"
						 " ON CONFLICT (template_name) DO NOTHING",
						 args, TEMPLATE_ARGS);
	if (inserted == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("template \"%s\" already exists", tmpl->name),
				 errhint("Change it with SELECT _wh.alter_template(%s, ...);",
						 quote_literal_cstr(tmpl->name))));
}

/*
 * Write all settings of a template's row; the trigger raises its version.
 */
void
wh_template_update(const WhTemplate *tmpl)
{
	WhArg		args[TEMPLATE_ARGS];

	to_args(tmpl, args);
	wh_ledger("UPDATE _wh.mv_templates SET description = $2,"
			  " query_template = $3, column_definitions = $4, indexes = $5,"
			  " materialization = $6, time_column = $7, key_columns = $8,"
			  " watermark_column = $9, source = $10, lookback_days = $11,"
			  " on_drift = $12, options = $13, tenants = $14, enabled = $15"
			  " WHERE template_name OPERATOR(pg_catalog.=) $1",
			  args, TEMPLATE_ARGS);
}

void
wh_template_delete(const char *name)
{
	WhArg		args[] = {wh_text(name)};

	wh_ledger("DELETE FROM _wh.mv_templates"
			  " WHERE template_name OPERATOR(pg_catalog.=) $1",
			  args, lengthof(args));
}

/*
 * Check a template that is about to be written; see template.h.
 */
void
wh_template_check(WhTemplate *tmpl)
{
	guarded(check, tmpl);
}

/*
 * Say how views become layout expand; see template.h.
 */
char *
wh_template_expand_sql(const char *name)
{
	const char *literal = quote_literal_cstr(name);

	return psprintf("SELECT _wh.alter_template(%s, options => options || '{\"view_layout\": \"expand\"}')"
					" FROM _wh.mv_templates WHERE template_name = %s;",
					literal, literal);
}

/*
 * Turn a text[] or name[] into a list of char *; "setting" is for messages.
 * NIL stands for NULL, so an empty array is refused with the other mistakes.
 */
List *
wh_template_list(ArrayType *array, const char *template_name,
				 const char *setting)
{
	bool		is_name = ARR_ELEMTYPE(array) == NAMEOID;
	List	   *strings = NIL;
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	deconstruct_array(array, ARR_ELEMTYPE(array),
					  is_name ? NAMEDATALEN : -1, false,
					  is_name ? TYPALIGN_CHAR : TYPALIGN_INT,
					  &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
	{
		char	   *string;
		ListCell   *lc;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s of a template cannot hold NULL", setting),
					 errdetail("Template \"%s\".", template_name),
					 errhint("Give names only.")));
		string = is_name ? pstrdup(NameStr(*DatumGetName(elems[i])))
			: TextDatumGetCString(elems[i]);
		foreach(lc, strings)
		{
			if (strcmp((char *) lfirst(lc), string) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("%s of a template names \"%s\" twice",
								setting, string),
						 errdetail("Template \"%s\".", template_name),
						 errhint("Give each name once.")));
		}
		strings = lappend(strings, string);
	}
	if (strings == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a template cannot be an empty array", setting),
				 errdetail("Template \"%s\".", template_name),
				 errhint("Give at least one name, or NULL for none.")));

	return strings;
}

/*
 * Read rows in order of name; "where" is fixed text, "name" its $1 or NULL.
 */
static List *
read_templates(const char *where, const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_text(name)};
	List	   *templates = NIL;
	ListCell   *lc;
	char	   *sql;

	sql = psprintf("SELECT * FROM _wh.mv_templates %s"
				   " ORDER BY template_name COLLATE pg_catalog.\"C\"", where);

	SPI_connect();
	wh_spi(SPI_OK_SELECT, sql, args, name == NULL ? 0 : 1);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < SPI_processed; row++)
		templates = lappend(templates,
							from_tuple(SPI_tuptable->vals[row],
									   SPI_tuptable->tupdesc));
	SPI_finish();

	foreach(lc, templates)
		guarded(complete, (WhTemplate *) lfirst(lc));

	return templates;
}

/*
 * Copy a row's fields; complete() does what needs parsing.  Columns are found
 * by name, since the row may come from a trigger or from a query.
 */
static WhTemplate *
from_tuple(HeapTuple tuple, TupleDesc desc)
{
	WhTemplate *tmpl = (WhTemplate *) palloc0(sizeof(WhTemplate));
	bool		isnull;

	tmpl->name = wh_row_text(tuple, desc, "template_name");
	tmpl->description = wh_row_text(tuple, desc, "description");
	tmpl->query = wh_row_text(tuple, desc, "query_template");
	tmpl->column_definitions = wh_row_text(tuple, desc, "column_definitions");
	tmpl->indexes = wh_row_text(tuple, desc, "indexes");
	tmpl->materialization = wh_row_text(tuple, desc, "materialization");
	tmpl->time_column = wh_row_text(tuple, desc, "time_column");
	tmpl->key_columns = list_field(tuple, desc, "key_columns");
	tmpl->watermark_column = wh_row_text(tuple, desc, "watermark_column");
	tmpl->source = wh_row_text(tuple, desc, "source");
	tmpl->lookback_days = DatumGetInt32(wh_row_datum(tuple, desc, "lookback_days", &isnull));
	tmpl->on_drift = wh_row_text(tuple, desc, "on_drift");
	tmpl->options = DatumGetJsonbPCopy(wh_row_datum(tuple, desc, "options", &isnull));
	tmpl->tenants = list_field(tuple, desc, "tenants");
	tmpl->version = DatumGetInt32(wh_row_datum(tuple, desc, "version", &isnull));
	tmpl->enabled = DatumGetBool(wh_row_datum(tuple, desc, "enabled", &isnull));

	return tmpl;
}

static List *
list_field(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool		isnull;
	Datum		value = wh_row_datum(tuple, desc, name, &isnull);

	return isnull ? NIL : wh_template_list(DatumGetArrayTypeP(value),
										   wh_row_text(tuple, desc, "template_name"), name);
}

static bool
text_differs(HeapTuple a, HeapTuple b, TupleDesc desc, const char *name)
{
	char	   *in_a = wh_row_text(a, desc, name);
	char	   *in_b = wh_row_text(b, desc, name);

	if (in_a == NULL || in_b == NULL)
		return in_a != in_b;

	return strcmp(in_a, in_b) != 0;
}

/*
 * Parse the columns and read the options.
 */
static void
complete(WhTemplate *tmpl)
{
	tmpl->columns = wh_gate_columns(tmpl->column_definitions);
	read_options(tmpl);
}

static void
read_options(WhTemplate *tmpl)
{
	WhOptions	options;

	wh_options_read(tmpl->options, &options);
	tmpl->has_start_date = options.has_start_date;
	tmpl->start_date = options.start_date;
	tmpl->frozen = options.frozen;
	tmpl->max_rows = options.max_rows;
	tmpl->max_bytes = options.max_bytes;
	tmpl->max_field_bytes = options.max_field_bytes;
	tmpl->public_view = options.public_view;
	tmpl->layout = options.layout;
	tmpl->daily_tablespace = options.daily_tablespace;
	tmpl->max_shrink = options.max_shrink;
	tmpl->shrink_min_rows = options.shrink_min_rows;
	tmpl->recheck_days = options.recheck_days;
	tmpl->depends_on = options.depends_on;
	tmpl->tablespace = options.tablespace;
	tmpl->access_method = options.access_method;
	tmpl->storage_options = options.storage_options;
	tmpl->after_create = options.after_create;
	tmpl->daily_retention = options.daily_retention;
	tmpl->monthly_retention = options.monthly_retention;
	tmpl->archive = options.archive;
	tmpl->archive_required = options.archive_required;
	tmpl->archive_retention = options.archive_retention;
	tmpl->keep_stored = options.keep_stored;
	tmpl->has_overlap = options.has_overlap;
	tmpl->overlap = options.overlap;
}

/*
 * Check everything that a row can tell, and complete it.  Before the columns
 * are known, only what does not need them.
 */
static void
check(WhTemplate *tmpl)
{
	wh_check_template_name(tmpl->name);
	check_words(tmpl);
	wh_gate_query(tmpl->query, wh_template_is_daily(tmpl));
	if (tmpl->column_definitions == NULL)
	{
		read_options(tmpl);
		return;
	}

	complete(tmpl);
	check_columns(tmpl);
	if (wh_template_is_incremental(tmpl))
		check_incremental(tmpl);
	else
		check_not_incremental(tmpl);
	check_dependencies(tmpl);
	wh_gate_indexes(tmpl->indexes, tmpl->columns);
}

static void
check_words(const WhTemplate *tmpl)
{
	static const char *const materializations[] = {
		"daily", "snapshot", "incremental", "live"
	};
	static const char *const sources[] = {"tenant", "local"};
	static const char *const drifts[] = {"fail", "adapt"};

	check_word("materialization", tmpl->materialization,
			   materializations, lengthof(materializations), lengthof(materializations));
	check_word("source", tmpl->source, sources, lengthof(sources),
			   lengthof(sources));
	check_word("on_drift", tmpl->on_drift, drifts, lengthof(drifts),
			   lengthof(drifts));

	if (wh_template_is_local(tmpl) && !wh_template_is_daily(tmpl) &&
		strcmp(tmpl->materialization, "snapshot") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a derived template cannot be %s", tmpl->materialization),
				 errhint("Let materialization be 'snapshot' or 'daily'.")));

	if (tmpl->lookback_days < 0 || tmpl->lookback_days > MAX_LOOKBACK_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lookback_days of a template cannot be %d",
						tmpl->lookback_days),
				 errhint("Give 0 to %d days.", MAX_LOOKBACK_DAYS)));
}

/*
 * Check a setting against its words, of which the first ones are built.
 */
static void
check_word(const char *setting, const char *value,
		   const char *const *words, int nwords, int built)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(value, words[i]) != 0)
		{
			appendStringInfo(&list, "%s\"%s\"", i == 0 ? "" : ", ", words[i]);
			continue;
		}
		if (i >= built)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s \"%s\" is not built yet", setting, value),
					 errhint("Use \"%s\".", words[0])));
		return;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of a template cannot be \"%s\"", setting, value),
			 errhint("Use one of %s.", list.data)));
}

/*
 * Check the settings that name output columns.
 */
static void
check_columns(const WhTemplate *tmpl)
{
	ListCell   *lc;

	foreach(lc, tmpl->key_columns)
		(void) column_of(tmpl, "key_columns", (char *) lfirst(lc));
	if (tmpl->watermark_column != NULL)
		(void) column_of(tmpl, "watermark_column", tmpl->watermark_column);
	if (tmpl->time_column != NULL)
	{
		Oid			type = column_of(tmpl, "time_column", tmpl->time_column)->atttypid;

		if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("time_column \"%s\" is of type %s",
							tmpl->time_column, format_type_be(type)),
					 errhint("Name a column of type date, timestamp or timestamptz.")));
	}
}

/*
 * Check what only an incremental template needs: a key to know its rows by,
 * and a column that says when a row changed.
 */
static void
check_incremental(const WhTemplate *tmpl)
{
	Oid			type;

	if (tmpl->key_columns == NIL || tmpl->watermark_column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an incremental template needs %s",
						tmpl->key_columns == NIL ? "key_columns" : "watermark_column"),
				 errhint("Name the columns of the natural key in key_columns, and in watermark_column the one that says when a row was written at the source.")));

	type = column_of(tmpl, "watermark_column", tmpl->watermark_column)->atttypid;
	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("watermark_column \"%s\" is of type %s",
						tmpl->watermark_column, format_type_be(type)),
				 errhint("Name a column of type timestamptz or timestamp.")));
}

/*
 * Refuse options that nobody would read.
 */
static void
check_not_incremental(const WhTemplate *tmpl)
{
	WhOptions	options;

	wh_options_read(tmpl->options, &options);
	if (options.for_incremental != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is for incremental templates",
						options.for_incremental),
				 errhint("Leave it out, or let materialization be 'incremental'.")));
}

/*
 * Check what the row can tell of the templates that come first: whether they
 * exist, and lead back here, is depend's to say.
 */
static void
check_dependencies(const WhTemplate *tmpl)
{
	ListCell   *lc;
	ListCell   *next;

	if (tmpl->depends_on != NIL && !wh_template_is_local(tmpl) &&
		strcmp(tmpl->materialization, "live") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"depends_on\" is for derived and live templates"),
				 errdetail("The query of this one runs at the tenant, which knows no other template."),
				 errhint("Leave it out, or let source be 'local'.")));

	foreach(lc, tmpl->depends_on)
	{
		const char *name = (const char *) lfirst(lc);

		if (strcmp(name, tmpl->name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("template \"%s\" cannot depend on itself", name),
					 errhint("Name the templates that its query reads.")));
		for_each_from(next, tmpl->depends_on, foreach_current_index(lc) + 1)
		{
			if (strcmp((const char *) lfirst(next), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("option \"depends_on\" names template \"%s\" twice", name),
						 errhint("Give each name once.")));
		}
	}
}

static Form_pg_attribute
column_of(const WhTemplate *tmpl, const char *setting, const char *name)
{
	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tmpl->columns, i);

		if (strcmp(NameStr(att->attname), name) == 0)
			return att;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s names column \"%s\", which does not exist", setting, name),
			 errhint("The columns are %s.", wh_columns_sql(tmpl->columns))));
}

/*
 * Do work(tmpl) so that every error of it names the template.
 */
static void
guarded(void (*work) (WhTemplate *tmpl), WhTemplate *tmpl)
{
	ErrorContextCallback callback;

	callback.callback = name_template;
	callback.arg = tmpl->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	work(tmpl);

	error_context_stack = callback.previous;
}

static void
name_template(void *arg)
{
	errdetail("Template \"%s\".", (const char *) arg);
}

static void
to_args(const WhTemplate *tmpl, WhArg *args)
{
	int			n = 0;

	args[n++] = wh_text(tmpl->name);
	args[n++] = wh_text(tmpl->description);
	args[n++] = wh_text(tmpl->query);
	args[n++] = wh_text(tmpl->column_definitions);
	args[n++] = wh_text(tmpl->indexes);
	args[n++] = wh_text(tmpl->materialization);
	args[n++] = wh_name(tmpl->time_column);
	args[n++] = wh_name_array(tmpl->key_columns);
	args[n++] = wh_name(tmpl->watermark_column);
	args[n++] = wh_text(tmpl->source);
	args[n++] = wh_int4(tmpl->lookback_days);
	args[n++] = wh_text(tmpl->on_drift);
	args[n++] = wh_jsonb(tmpl->options);
	args[n++] = wh_text_array(tmpl->tenants);
	args[n++] = wh_bool(tmpl->enabled);
	Assert(n == TEMPLATE_ARGS);
}
