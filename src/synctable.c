/*
 * synctable.c
 *		The table that an incremental template keeps per tenant: found,
 *		adopted, made, grown.
 *
 * It is a plain table with the template's key as its primary key, and people
 * may add to it: columns, triggers, constraints.  So a table of that name that
 * is there before us is taken as it is, with its rows, if it could be ours:
 * the owner's, with the template's columns and a unique key.  Nothing is ever
 * dropped from it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "gate.h"
#include "lock.h"
#include "matview.h"
#include "names.h"
#include "settings.h"
#include "spi.h"
#include "synctable.h"

static void check_kind(const WhSyncTable *table);
static void check_fit(const WhSyncTable *table, Relation rel);
static List *missing_columns(const WhSyncTable *table, Relation rel);
static void list_wrong_columns(const WhSyncTable *table, Relation rel,
							   StringInfo lines);
static bool has_key(const WhSyncTable *table, Relation rel);
static bool is_key_index(const WhSyncTable *table, Relation rel,
						 Form_pg_index index);
static void add_columns(const WhSyncTable *table, List *columns);
static char *column_list(const List *names);
static const char *qualified(const WhSyncTable *table);
static void raise_unfit(const WhSyncTable *table, const char *lines) pg_attribute_noreturn();

/*
 * Say where the table is; see synctable.h.
 */
void
wh_synctable_find(WhSyncTable *table, const WhTemplate *tmpl,
				  const WhTenant *tenant)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice = wh_slice_find(tmpl->name, tenant->name, &whole);
	Oid			nspid;

	table->tmpl = tmpl;
	table->tenant = tenant;
	table->former = InvalidOid;
	table->slice = NULL;
	table->schema = tenant->schema;
	table->name = tmpl->name;
	if (slice != NULL && OidIsValid(wh_slice_relid(slice)))
	{
		table->slice = slice;
		table->schema = slice->relation_schema;
		table->name = slice->relation_name;
	}
	nspid = get_namespace_oid(table->schema, true);
	table->relid = OidIsValid(nspid) ? get_relname_relid(table->name, nspid) : InvalidOid;
}

/*
 * Find and lock the table; see synctable.h.
 */
void
wh_synctable_open(WhSyncTable *table, const WhTemplate *tmpl,
				  const WhTenant *tenant)
{
	Oid			locked = InvalidOid;
	Relation	rel;
	List	   *missing;

	for (;;)
	{
		wh_synctable_find(table, tmpl, tenant);
		if (table->relid == locked)
			break;
		if (OidIsValid(locked))
			UnlockRelationOid(locked, RowExclusiveLock);
		locked = table->relid;
		if (OidIsValid(locked))
			LockRelationOid(locked, RowExclusiveLock);
	}
	if (!OidIsValid(table->relid))
		return;

	check_kind(table);
	if (get_rel_relkind(table->relid) != RELKIND_RELATION)
	{
		const char *kind = get_rel_relkind(table->relid) == RELKIND_VIEW ? "view" :
		"materialized view";

		wh_matview_check_dependents(tmpl, tenant, table->relid,
									psprintf("%s \"%s.%s\"", kind, table->schema, table->name));
		table->former = table->relid;
		table->relid = InvalidOid;
		return;
	}
	rel = relation_open(table->relid, NoLock);
	check_fit(table, rel);
	missing = missing_columns(table, rel);
	relation_close(rel, NoLock);
	if (missing != NIL)
		add_columns(table, missing);
}

/*
 * Make the table, with room in its pages for rows that change: that way their
 * indexes need not.  Its key comes after its rows, by one sort; that none of
 * its columns is null is seen to meanwhile, so that it needs no scan.
 */
Oid
wh_synctable_create(const WhSyncTable *table, const char *name)
{
	const WhTemplate *tmpl = table->tmpl;
	const char *relation = quote_qualified_identifier(table->schema, name);
	StringInfoData keys;
	ListCell   *lc;

	initStringInfo(&keys);
	foreach(lc, tmpl->key_columns)
		appendStringInfo(&keys, "%s ALTER COLUMN %s SET NOT NULL", keys.len > 0 ? "," : "",
						 quote_identifier((const char *) lfirst(lc)));

	wh_ddl(psprintf("CREATE TABLE %s (%s) USING heap WITH (fillfactor = 90)%s%s", relation,
					wh_columns_sql(tmpl->columns),
					tmpl->daily_tablespace ? " TABLESPACE " : "",
					tmpl->daily_tablespace ? quote_identifier(tmpl->daily_tablespace) : ""));
	wh_ddl(psprintf("ALTER TABLE %s%s", relation, keys.data));

	return get_relname_relid(name, get_namespace_oid(table->schema, false));
}

void
wh_synctable_add_key(const WhSyncTable *table, const char *name)
{
	wh_ddl(psprintf("ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY (%s)",
					quote_qualified_identifier(table->schema, name),
					quote_identifier(wh_bounded_name(psprintf("%s_pkey", table->name))),
					column_list(table->tmpl->key_columns)));
}

void
wh_synctable_complete(const WhSyncTable *table)
{
	const WhTemplate *tmpl = table->tmpl;
	ListCell   *lc;

	foreach(lc, wh_gate_index_stmts(tmpl->indexes, tmpl->columns,
									table->schema, table->name))
		wh_ddl_stmt((Node *) lfirst(lc), tmpl->indexes);
	wh_synctable_grant(table);
	wh_ddl(psprintf("ANALYZE %s", qualified(table)));
}

void
wh_synctable_grant(const WhSyncTable *table)
{
	wh_ddl(psprintf("GRANT SELECT ON TABLE %s TO %s", qualified(table),
					quote_identifier(wh_settings()->reader_role)));
}

/*
 * Look for what people put on the table; see synctable.h.
 */
bool
wh_synctable_is_furnished(const WhSyncTable *table)
{
	Relation	rel = relation_open(table->relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		furnished;
	int			live = 0;

	for (int i = 0; i < desc->natts; i++)
		live += !TupleDescAttr(desc, i)->attisdropped;
	furnished = rel->trigdesc != NULL || rel->rd_rel->relhasrules ||
		rel->rd_rel->relrowsecurity ||
		live != table->tmpl->columns->natts ||
		(desc->constr != NULL &&
		 (desc->constr->num_check > 0 || desc->constr->num_defval > 0));
	relation_close(rel, AccessShareLock);

	return furnished;
}

int64
wh_synctable_count(const WhSyncTable *table)
{
	int64		rows;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  psprintf("SELECT pg_catalog.count(*) FROM %s", qualified(table)), NULL, 0);
	rows = wh_col_int8(0, 1, 0);
	SPI_finish();

	return rows;
}

/*
 * Throw 42710 unless the relation is a table that the owner could have made
 * for us.
 */
static void
check_kind(const WhSyncTable *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->relid));
	Form_pg_class form;
	bool		is_table;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table->relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	is_table = form->relpersistence == RELPERSISTENCE_PERMANENT &&
		(form->relkind == RELKIND_RELATION ||
		 ((form->relkind == RELKIND_MATVIEW || form->relkind == RELKIND_VIEW) &&
		  table->slice != NULL));
	owner = form->relowner;
	ReleaseSysCache(tuple);

	if (!is_table)
		raise_unfit(table, "\n- it is not a plain, permanent table");
	if (owner != GetUserId())
		raise_unfit(table, psprintf("\n- it belongs to role \"%s\", not to \"%s\"",
									GetUserNameFromId(owner, false),
									GetUserNameFromId(GetUserId(), false)));
}

/*
 * Throw 42710 unless columns and key fit; all that is wrong at once.
 */
static void
check_fit(const WhSyncTable *table, Relation rel)
{
	StringInfoData lines;

	initStringInfo(&lines);
	list_wrong_columns(table, rel, &lines);
	if (!has_key(table, rel))
		appendStringInfo(&lines, "\n- it has no primary key or unique constraint on (%s)",
						 column_list(table->tmpl->key_columns));

	if (lines.len > 0)
		raise_unfit(table, lines.data);
}

/*
 * List the template's columns that the table has not got.
 */
static List *
missing_columns(const WhSyncTable *table, Relation rel)
{
	TupleDesc	wanted = table->tmpl->columns;
	List	   *missing = NIL;

	for (int i = 0; i < wanted->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(wanted, i);

		if (get_attnum(RelationGetRelid(rel), NameStr(column->attname)) == InvalidAttrNumber)
			missing = lappend(missing, column);
	}

	return missing;
}

/*
 * List what keeps the template's rows from being stored.
 */
static void
list_wrong_columns(const WhSyncTable *table, Relation rel, StringInfo lines)
{
	TupleDesc	wanted = table->tmpl->columns;
	ListCell   *lc;

	for (int i = 0; i < wanted->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(wanted, i);
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), NameStr(column->attname));
		Form_pg_attribute there;

		if (attnum == InvalidAttrNumber)
			continue;
		there = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
		if (there->attgenerated != '\0')
			appendStringInfo(lines, "\n- column \"%s\" is generated",
							 NameStr(column->attname));
		if (there->atttypid != column->atttypid || there->atttypmod != column->atttypmod)
			appendStringInfo(lines, "\n- column \"%s\" is of type %s, and the template's is %s",
							 NameStr(column->attname),
							 format_type_with_typemod(there->atttypid, there->atttypmod),
							 format_type_with_typemod(column->atttypid, column->atttypmod));
	}

	/* A table of ours grows them; one of somebody else's is another table. */
	if (table->slice != NULL)
		return;
	foreach(lc, missing_columns(table, rel))
		appendStringInfo(lines, "\n- it has no column \"%s\"",
						 NameStr(((Form_pg_attribute) lfirst(lc))->attname));
}

/*
 * Is there a unique index on the very key, as ON CONFLICT wants it?
 */
static bool
has_key(const WhSyncTable *table, Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		found |= RelationGetIndexExpressions(index) == NIL &&
			RelationGetIndexPredicate(index) == NIL &&
			is_key_index(table, rel, index->rd_index);
		index_close(index, AccessShareLock);
	}

	return found;
}

static bool
is_key_index(const WhSyncTable *table, Relation rel, Form_pg_index index)
{
	ListCell   *lc;

	if (!index->indisunique || !index->indisvalid || !index->indimmediate ||
		index->indnkeyatts != list_length(table->tmpl->key_columns))
		return false;

	foreach(lc, table->tmpl->key_columns)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), (const char *) lfirst(lc));
		bool		found = false;

		for (int i = 0; i < index->indnkeyatts; i++)
			found |= index->indkey.values[i] == attnum;
		if (!found)
			return false;
	}

	return true;
}

/*
 * Add columns that the template has got since the table was made.  Their
 * values come with the rows, all of which are read again.
 */
static void
add_columns(const WhSyncTable *table, List *columns)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, columns)
	{
		Form_pg_attribute column = (Form_pg_attribute) lfirst(lc);

		appendStringInfo(&sql, "%s ADD COLUMN %s %s", sql.len > 0 ? "," : "",
						 quote_identifier(NameStr(column->attname)),
						 format_type_with_typemod(column->atttypid, column->atttypmod));
	}

	(void) wh_lock_relation(table->relid, psprintf("table \"%s.%s\"", table->schema, table->name));
	wh_ddl(psprintf("ALTER TABLE %s%s", qualified(table), sql.data));
}

static char *
column_list(const List *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 quote_identifier((const char *) lfirst(lc)));

	return list.data;
}

static const char *
qualified(const WhSyncTable *table)
{
	return quote_qualified_identifier(table->schema, table->name);
}

static void
raise_unfit(const WhSyncTable *table, const char *lines)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" cannot hold the rows of template \"%s\"",
					table->schema, table->name, table->tmpl->name),
			 errdetail("Tenant \"%s\", template \"%s\".%s", table->tenant->name,
					   table->tmpl->name, lines),
			 errhint("Mend it, or move it out of the way: ALTER TABLE %s RENAME TO %s;",
					 qualified(table),
					 quote_identifier(wh_bounded_name(psprintf("%s_old", table->name))))));
}
