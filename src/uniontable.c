/*
 * uniontable.c
 *		The foreign tables that show the slices of a template.
 *
 * A foreign table of server pg_warehouse_union says by its options which
 * template it shows and which column rows can be told apart by; its own name
 * and place mean nothing, and no table of ours names it.  Columns are found by
 * name, so that one which people altered still shows what it can.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "slice.h"
#include "uniontable.h"

#define OPTION_TEMPLATE "template"
#define OPTION_TIME "time_column"

PG_FUNCTION_INFO_V1(wh_slices_validator);

static char *option(List *options, const char *name);
static Form_pg_attribute find_column(TupleDesc desc, const char *name);

/*
 * _wh.slices_validator(options text[], catalog oid) returns void
 */
Datum
wh_slices_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	bool		is_table = PG_GETARG_OID(1) == ForeignTableRelationId;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (is_table && (strcmp(def->defname, OPTION_TEMPLATE) == 0 ||
						 strcmp(def->defname, OPTION_TIME) == 0))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", def->defname),
				 is_table ?
				 errhint("Valid options are: template, time_column.") :
				 errhint("There are no valid options here.")));
	}

	if (is_table && option(options, OPTION_TEMPLATE) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"template\" is missing"),
				 errhint("CREATE FOREIGN TABLE ... SERVER pg_warehouse_union OPTIONS (template '...', time_column '...');")));

	PG_RETURN_VOID();
}

/*
 * Is the foreign table one of ours?
 */
bool
wh_union_is_ours(Oid relid)
{
	Oid			server = get_foreign_server_oid(WH_UNION_SERVER, true);

	return OidIsValid(server) && GetForeignServerIdByRelId(relid) == server;
}

/*
 * Read what a foreign table of ours shows; see uniontable.h.
 */
WhUnionTable *
wh_union_table(Relation rel)
{
	ForeignTable *foreign = GetForeignTable(RelationGetRelid(rel));
	TupleDesc	desc = RelationGetDescr(rel);
	WhUnionTable *table = (WhUnionTable *) palloc0(sizeof(WhUnionTable));
	char	   *time_column = option(foreign->options, OPTION_TIME);
	Form_pg_attribute column;

	table->relid = RelationGetRelid(rel);
	table->owner = rel->rd_rel->relowner;
	table->template_name = option(foreign->options, OPTION_TEMPLATE);

	column = find_column(desc, WH_SCHEMA_COLUMN);
	if (column != NULL && column->atttypid == TEXTOID)
		table->schema_attr = column->attnum;

	column = time_column ? find_column(desc, time_column) : NULL;
	if (column != NULL && (column->atttypid == DATEOID ||
						   column->atttypid == TIMESTAMPOID ||
						   column->atttypid == TIMESTAMPTZOID))
	{
		table->time_attr = column->attnum;
		table->time_type = column->atttypid;
		table->bounds_of = wh_slice_bounds_of(time_column, column->atttypid);
	}

	return table;
}

/*
 * Drop kept plans; see uniontable.h.  Slices come and go rarely, foreign
 * tables are few: a scan finds them by what they show.
 */
void
wh_union_invalidate(const char *template_name)
{
	Oid			server = get_foreign_server_oid(WH_UNION_SERVER, true);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(server))
		return;

	rel = table_open(ForeignTableRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_table form = (Form_pg_foreign_table) GETSTRUCT(tuple);
		HeapTuple	class;
		Datum		options;
		bool		isnull;

		if (form->ftserver != server)
			continue;
		options = heap_getattr(tuple, Anum_pg_foreign_table_ftoptions,
							   RelationGetDescr(rel), &isnull);
		if (isnull)
			continue;
		if (template_name != NULL &&
			strcmp(option(untransformRelOptions(options), OPTION_TEMPLATE),
				   template_name) != 0)
			continue;

		class = SearchSysCache1(RELOID, ObjectIdGetDatum(form->ftrelid));
		if (!HeapTupleIsValid(class))
			continue;
		CacheInvalidateRelcacheByTuple(class);
		ReleaseSysCache(class);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static char *
option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}

	return NULL;
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0)
			return column;
	}

	return NULL;
}
