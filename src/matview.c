/*
 * matview.c
 *		Create, index, own, grant, load and replace ONE materialized view.
 *
 * The body is a call of _wh.fetch() and nothing else, so pg_matviews shows no
 * secret and a plain REFRESH by any tool loads the same rows; that of a derived
 * template is its query.  Which shorter way rows take when we are asked is
 * load's.  A relation is touched only when it is a slice: a permanent heap
 * materialized view of the owner's that the ledger lists.  When its columns are
 * no longer the template's, or its body is another query, a new one takes its
 * place together with its grants, comments and the view over it.
 * What the ledger says afterwards is the caller's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "conn.h"
#include "content.h"
#include "gate.h"
#include "guc.h"
#include "kept.h"
#include "livereader.h"
#include "local.h"
#include "lock.h"
#include "matview.h"
#include "names.h"
#include "plain.h"
#include "published.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "synctable.h"
#include "unionview.h"
#include "viewtext.h"

/* The one relation that a call is about. */
typedef struct Target
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	const WhPeriod *period;
	char	   *schema;
	char	   *name;
	const WhLoadRules *rules;	/* NULL: only the text is asked for */
	Oid			relid;			/* InvalidOid: not there yet */
	bool		populated;
	bool		is_table;		/* of a template that was incremental, or a
								 * derived one whose input was replaced */
	bool		is_view;		/* of one that was live */
	int64		rows;			/* stored, as the ledger says */
	int64		lost;			/* that the ledger says were stored, and are
								 * not there any more */
	char	   *hash;			/* of the derived query that is to be its
								 * body; NULL: it asks _wh.fetch() */
	const char *hash_found;		/* of the query that is */
} Target;

static void find_target(Target *target);
static const WhSlice *locate(Target *target);
static int64 rows_known(const Target *target);
static void find_and_lock_target(Target *target);
static void check_ours(Target *target, const WhSlice *slice);
static void check_plain(const Target *target);
static void load(const Target *target, WhMatviewResult *result);
static void prove(const Target *target, WhMatviewResult *result);
static void check_method(const Target *target, WhMethod fitting);
static void create(const Target *target, WhLoaded *loaded);
static void fill(const Target *target, const char *name, WhLoaded *loaded);
static void refresh(const Target *target, WhLoaded *loaded);
static void replace(const Target *target, WhLoaded *loaded);
static bool columns_fit(const Target *target);
static bool body_fits(const Target *target);
static char *definition(const Target *target, const char *name);
static char *planned(const Target *target, const char *name);
static char *definition_as(const Target *target, const char *name,
						   const char *body);
static char *name_of_new(const Target *target);
static void create_indexes(const Target *target);
static void grant_to_reader(const Target *target);
static void ddl(const char *verb, const char *schema, const char *name,
				const char *rest);
static char *what(const Target *target);
static char *unit_of(const Target *target);
static void name_the_unit(const Target *target, MemoryContext context);

/*
 * Make, or adopt, the tenant's schema; see matview.h.
 */
void
wh_matview_schema(const WhTenant *tenant)
{
	const char *schema = quote_identifier(tenant->schema);
	const char *reader = quote_identifier(wh_settings()->reader_role);

	if (!wh_matview_schema_exists(tenant))
		wh_ddl(psprintf("CREATE SCHEMA %s", schema));
	wh_ddl(psprintf("GRANT USAGE ON SCHEMA %s TO %s", schema, reader));
	wh_ddl(psprintf("ALTER DEFAULT PRIVILEGES IN SCHEMA %s"
					" GRANT SELECT ON TABLES TO %s", schema, reader));
}

/*
 * Bring one materialized view to the source's present content; see matview.h.
 */
void
wh_matview_load(const WhTemplate *tmpl, const WhTenant *tenant,
				const WhPeriod *period, const WhLoadRules *rules,
				WhMatviewResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	Target		target = {.tmpl = tmpl,.tenant = tenant,.period = period};
	int			nestlevel = wh_lock_bound();

	target.rules = rules;
	if (wh_template_is_local(tmpl))
		target.hash = wh_local_hash(tmpl, tenant, period);
	if (!wh_matview_schema_exists(tenant))
		wh_matview_schema(tenant);

	PG_TRY();
	{
		find_and_lock_target(&target);
		load(&target, result);
	}
	PG_CATCH();
	{
		name_the_unit(&target, context);
	}
	PG_END_TRY();

	wh_lock_unbound(nestlevel);
}

/*
 * Swap a relation for a fresh one; see matview.h.
 */
WhKept *
wh_matview_swap(const WhTemplate *tmpl, const WhTenant *tenant, Oid relid,
				const char *fresh, double *lock_ms)
{
	const char *schema = get_namespace_name(get_rel_namespace(relid));
	const char *name = get_rel_name(relid);
	char	   *aside = wh_bounded_name(psprintf("%s.old", name));
	List	   *readers = NIL;
	WhKept	   *kept;

	/* What derived templates made of it keeps its rows until their turn. */
	wh_plain_tables(wh_plain_reading(wh_plain_derived(tmpl->name, tenant->name), relid));

	/* A view of all tenants' relations: first whoever rewrites it. */
	if (!wh_template_is_daily(tmpl))
		wh_published_lock(tmpl->name);
	*lock_ms = wh_lock_relation(relid, psprintf("relation \"%s.%s\"", schema, name));
	kept = wh_kept(relid, tmpl->columns);
	if (!wh_template_is_daily(tmpl))
		readers = wh_live_readers_put_aside(tenant, relid, lock_ms);
	ddl("ALTER TABLE", schema, name, psprintf("RENAME TO %s", quote_identifier(aside)));
	ddl("ALTER TABLE", schema, fresh, psprintf("RENAME TO %s", quote_identifier(name)));
	wh_unionview_let_go(tmpl, tenant, relid);
	ddl(psprintf("DROP %s", wh_kept_kind(relid)), schema, aside, "RESTRICT");
	wh_live_readers_put_back(readers, psprintf("relation \"%s.%s\"", schema, name));

	return kept;
}

/*
 * See that nothing but views of ours is in the way of a swap; see matview.h.
 */
void
wh_matview_check_dependents(const WhTemplate *tmpl, const WhTenant *tenant,
							Oid relid, const char *what)
{
	List	   *ours = wh_plain_derived(tmpl->name, tenant->name);

	ours = lappend_oid(ours, wh_unionview_over(tmpl, tenant));
	if (!wh_template_is_daily(tmpl))
		ours = list_concat(ours, wh_live_readers(tenant, relid));
	wh_kept_check_others(relid, ours, what);
}

/*
 * Foretell a load: the same questions as load() asks, in the same order.
 */
void
wh_matview_plan(const WhTemplate *tmpl, const WhTenant *tenant,
				const WhPeriod *period, const WhLoadRules *rules,
				WhMatviewPlan *plan)
{
	Target		target = {.tmpl = tmpl,.tenant = tenant,.period = period};
	const WhSlice *slice;
	WhMethod	fitting;

	memset(plan, 0, sizeof(WhMatviewPlan));
	target.rules = rules;
	if (wh_template_is_local(tmpl))
	{
		target.hash = wh_local_hash(tmpl, tenant, period);
		plan->sql = wh_local_text(tmpl, tenant, period);
	}
	slice = locate(&target);
	plan->relation = quote_qualified_identifier(target.schema, target.name);
	if (OidIsValid(target.relid) && slice == NULL)
	{
		plan->locks = "none";
		plan->reason = "fails: a relation that is no slice has this name";
		return;
	}

	if (!OidIsValid(target.relid))
	{
		fitting = WH_FIRST_FILL;
		plan->sql = planned(&target, target.name);
		plan->locks = "AccessExclusiveLock on the new relation, which nobody sees yet";
		plan->reason = "no rows were stored";
	}
	else if (get_rel_relkind(target.relid) != RELKIND_MATVIEW ||
			 !columns_fit(&target) || !body_fits(&target))
	{
		fitting = WH_REFILL;
		plan->sql = planned(&target, name_of_new(&target));
		plan->locks = "RowExclusiveLock; AccessExclusiveLock by try as the last act";
		plan->reason = get_rel_relkind(target.relid) != RELKIND_MATVIEW ?
			"the template was kept otherwise: a new relation takes the old one's place" :
			columns_fit(&target) ? "the query changed: a new relation takes the old one's place" :
			"the template's columns changed: a new relation takes the old one's place";
	}
	else if (!wh_slice_is_populated(slice))
	{
		fitting = WH_FIRST_FILL;
		plan->locks = "ExclusiveLock; AccessExclusiveLock by try as the last act";
		plan->reason = "no rows were stored";
	}
	else if (rules->method == WH_REFILL)
	{
		fitting = WH_REFILL;
		plan->locks = "ExclusiveLock; AccessExclusiveLock by try as the last act";
		plan->reason = "asked for";
	}
	else
	{
		fitting = WH_DELTA;
		plan->may_go_over = rules->method == WH_CHOOSE && rules->may_refill;
		plan->locks = plan->may_go_over ?
			"RowExclusiveLock; as a refill ExclusiveLock, and AccessExclusiveLock by try as the last act" :
			"RowExclusiveLock";
		plan->reason = rules->method == WH_DELTA ? "asked for" : "rows were stored";
	}

	if (rules->method == WH_CHOOSE || rules->method == fitting)
		plan->method = fitting;
	else
	{
		plan->sql = NULL;
		plan->locks = "none";
		plan->reason = psprintf("fails: it needs method \"%s\"",
								wh_method_name(fitting));
	}
}

/*
 * Measure a relation with its toast table and indexes.
 */
int64
wh_relation_bytes(Oid relid)
{
	return DatumGetInt64(DirectFunctionCall1(pg_total_relation_size,
											 ObjectIdGetDatum(relid)));
}

void
wh_relation_drop(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));

	if (get_rel_relkind(relid) == RELKIND_VIEW)
		wh_kept_check_others(relid, NIL, psprintf("view \"%s.%s\"", schema, get_rel_name(relid)));
	wh_ddl(psprintf("DROP %s %s", wh_kept_kind(relid),
					quote_qualified_identifier(schema, get_rel_name(relid))));
}

/*
 * Is the tenant's schema there?  Throw 42710 when it is not the owner's.
 */
bool
wh_matview_schema_exists(const WhTenant *tenant)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACENAME,
										CStringGetDatum(tenant->schema));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);

	if (owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" belongs to role \"%s\"",
						tenant->schema, GetUserNameFromId(owner, false)),
				 errdetail("Tenant \"%s\" needs a schema of role \"%s\".",
						   tenant->name, GetUserNameFromId(GetUserId(), false)),
				 errhint("Choose another with schema_name => '...'.")));

	return true;
}

/*
 * Find the relation that is the slice, or the name that it will have.  The
 * ledger knows where a slice is; names only say where a new one goes.
 */
static void
find_target(Target *target)
{
	const WhSlice *slice = locate(target);

	/* What was found before may be gone since. */
	target->populated = false;
	if (OidIsValid(target->relid))
		check_ours(target, slice);

	target->rows = target->populated ? slice->row_count : 0;
	target->lost = target->populated ? 0 : rows_known(target);
}

static const WhSlice *
locate(Target *target)
{
	const WhSlice *slice = wh_slice_find(target->tmpl->name,
										 target->tenant->name,
										 target->period);

	if (slice != NULL && OidIsValid(wh_slice_relid(slice)))
	{
		target->schema = slice->relation_schema;
		target->name = slice->relation_name;
		target->hash_found = slice->query_hash;
	}
	else
	{
		slice = NULL;
		target->schema = target->tenant->schema;
		target->name = wh_slice_name(target->tmpl->name, target->period);
	}
	target->relid = get_relname_relid(target->name,
									  get_namespace_oid(target->schema, true));

	return slice;
}

/*
 * Tell how many rows the period had when it was loaded last.
 */
static int64
rows_known(const Target *target)
{
	const WhSlice *slice = wh_slice_find(target->tmpl->name, target->tenant->name,
										 target->period);

	return slice != NULL ? slice->row_count : 0;
}

/*
 * Find it, and see to it that it is still the same once it is locked.  The
 * lock lets readers through and waits, until lock_timeout, for a REFRESH.
 */
static void
find_and_lock_target(Target *target)
{
	Oid			locked = InvalidOid;

	for (;;)
	{
		find_target(target);
		if (target->relid == locked)
			return;
		if (OidIsValid(locked))
			UnlockRelationOid(locked, RowExclusiveLock);
		locked = target->relid;
		if (OidIsValid(locked))
			LockRelationOid(locked, RowExclusiveLock);
	}
}

/*
 * Throw 42710 unless the relation is a slice of ours: what we do to it checks
 * no rights and asks nobody.
 */
static void
check_ours(Target *target, const WhSlice *slice)
{
	HeapTuple	tuple = SearchSysCache1(RELOID,
										ObjectIdGetDatum(target->relid));
	Form_pg_class form;
	bool		fit;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", target->relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	target->is_table = form->relkind == RELKIND_RELATION &&
		(target->period->kind == WH_WHOLE || target->hash != NULL);
	target->is_view = form->relkind == RELKIND_VIEW &&
		target->period->kind == WH_WHOLE;
	fit = (target->is_view ||
		   ((form->relkind == RELKIND_MATVIEW || target->is_table) &&
			form->relam == HEAP_TABLE_AM_OID)) &&
		form->relpersistence == RELPERSISTENCE_PERMANENT &&
		form->relowner == GetUserId();
	target->populated = form->relispopulated && !target->is_view;
	ReleaseSysCache(tuple);

	if (fit && slice != NULL && target->is_table && target->hash == NULL)
		check_plain(target);

	/* Its row can be newer than this transaction's only snapshot. */
	if (fit && slice == NULL && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to %s", what(target)),
				 errdetail("It was created after this transaction began."),
				 errhint("Run it again in a new transaction.")));
	if (!fit || slice == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("relation \"%s.%s\" already exists and is not a slice of this warehouse",
						target->schema, target->name),
				 errdetail("%s", unit_of(target)),
				 errhint("Move it out of the way: %s",
						 wh_rename_aside(target->schema, target->name))));
}

/*
 * Throw 55000 where a table would be dropped with what its owner put on it.
 */
static void
check_plain(const Target *target)
{
	WhSyncTable table;

	wh_synctable_find(&table, target->tmpl, target->tenant);
	if (!wh_synctable_is_furnished(&table))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s.%s\" cannot become a materialized view",
					target->schema, target->name),
			 errdetail("%s\nIt has triggers, rules, constraints or columns of its own.",
					   unit_of(target)),
			 errhint("Drop these, or SELECT _wh.alter_template(%s, materialization => 'incremental');",
					 quote_literal_cstr(target->tmpl->name))));
}

/*
 * Choose the way and take its measures.
 */
static void
load(const Target *target, WhMatviewResult *result)
{
	WhLoaded   *loaded = &result->loaded;
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);

	if (!OidIsValid(target->relid))
		create(target, loaded);
	else if (!target->is_table && !target->is_view && columns_fit(target) &&
			 body_fits(target))
		refresh(target, loaded);
	else
	{
		replace(target, loaded);
		result->replaced = true;
	}
	if (target->lost > 0)
		wh_load_check_lost(target->tmpl, target->tenant, target->period,
						   target->rules, target->lost, &loaded->fetched);
	if (target->rules->prove)
		prove(target, result);

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);

	result->load_ms = Max(INSTR_TIME_GET_MILLISEC(elapsed) -
						  loaded->fetched.fetch_ms - loaded->lock_ms, 0);
	result->schema = target->schema;
	result->name = target->name;
	result->query_hash = target->hash;
	result->size_bytes =
		wh_relation_bytes(get_relname_relid(target->name,
											get_namespace_oid(target->schema,
															  false)));
}

/*
 * See that the relation has what the source had, and hash it while that is
 * known.
 */
static void
prove(const Target *target, WhMatviewResult *result)
{
	Oid			relid = get_relname_relid(target->name,
										  get_namespace_oid(target->schema, false));
	Relation	rel = relation_open(relid, AccessShareLock);

	wh_load_prove(rel, NULL, target->tmpl, target->tenant, target->period,
				  &result->loaded.fetched);
	result->content_hash = wh_content_hash(rel, NULL, NULL);
	relation_close(rel, AccessShareLock);
}

/*
 * Throw 55000 when a method was forced that cannot serve here.
 */
static void
check_method(const Target *target, WhMethod fitting)
{
	WhMethod	forced = target->rules->method;

	if (forced == WH_CHOOSE || forced == fitting)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("method \"%s\" cannot serve %s",
					wh_method_name(forced), what(target)),
			 errdetail("%s\nIt needs method \"%s\".", unit_of(target),
					   wh_method_name(fitting)),
			 errhint("Leave method out: it is chosen per unit.")));
}

/*
 * Make the relation and fill it, indexes afterwards.
 */
static void
create(const Target *target, WhLoaded *loaded)
{
	check_method(target, WH_FIRST_FILL);
	fill(target, target->name, loaded);
	create_indexes(target);
	grant_to_reader(target);
	ddl("ANALYZE", target->schema, target->name, "");
}

/*
 * Create a relation of that name and fill it while nobody else can see it.
 */
static void
fill(const Target *target, const char *name, WhLoaded *loaded)
{
	Relation	rel;

	wh_ddl(definition(target, name));
	rel = relation_open(get_relname_relid(name,
										  get_namespace_oid(target->schema, false)),
						AccessExclusiveLock);
	wh_load_new(rel, target->tmpl, target->tenant, target->period,
				target->rules, loaded);
	relation_close(rel, NoLock);
}

/*
 * Load the relation that is there.
 */
static void
refresh(const Target *target, WhLoaded *loaded)
{
	Relation	rel;

	if (!target->populated)
		check_method(target, WH_FIRST_FILL);
	else if (target->rules->method == WH_FIRST_FILL ||
			 target->rules->method == WH_UPSERT ||
			 target->rules->method == WH_LIVE)
		check_method(target, WH_DELTA);

	rel = relation_open(target->relid, NoLock);
	wh_load_again(rel, target->tmpl, target->tenant, target->period,
				  target->rules, target->rows, loaded);
	relation_close(rel, NoLock);
	if (loaded->method == WH_FIRST_FILL)
		ddl("ANALYZE", target->schema, target->name, "");
}

/*
 * Put a relation with the template's present columns in the place of one with
 * older columns.  It is filled under a name of its own, so that the old one
 * is locked only after the last byte.  The old one's index names are free
 * once it is gone, so indexes come last; those that people added go with it.
 */
static void
replace(const Target *target, WhLoaded *loaded)
{
	char	   *fresh = name_of_new(target);
	bool		other_columns = !columns_fit(target);
	WhKept	   *kept;

	check_method(target, WH_REFILL);
	wh_matview_check_dependents(target->tmpl, target->tenant, target->relid, what(target));

	fill(target, fresh, loaded);
	wh_load_check_shrink(target->tmpl, target->tenant, target->period,
						 target->rules, target->rows, &loaded->fetched);
	loaded->method = WH_REFILL;
	loaded->reason = target->is_table ? "there was a table" :
		target->is_view ? "there was a view of a live template" :
		other_columns ? "the template's columns changed" : "the query changed";
	loaded->counts.deleted = target->rows;

	kept = wh_matview_swap(target->tmpl, target->tenant, target->relid, fresh,
						   &loaded->lock_ms);
	create_indexes(target);
	wh_kept_restore(kept,
					get_relname_relid(target->name,
									  get_namespace_oid(target->schema, false)));
	ddl("ANALYZE", target->schema, target->name, "");
}

/*
 * Does the relation have exactly the columns that the template has now?
 */
static bool
columns_fit(const Target *target)
{
	Relation	rel = relation_open(target->relid, AccessShareLock);
	bool		fit = wh_columns_same(RelationGetDescr(rel), target->tmpl->columns);

	relation_close(rel, AccessShareLock);

	return fit;
}

/*
 * Is its body the query that the template would have it made with?  That of
 * any other template never changes.
 */
static bool
body_fits(const Target *target)
{
	return target->hash == NULL ||
		(target->hash_found != NULL && strcmp(target->hash, target->hash_found) == 0);
}

/*
 * Name what will take the place of the relation that is there.
 */
static char *
name_of_new(const Target *target)
{
	return wh_bounded_name(psprintf("%s.new", target->name));
}

/*
 * Write the statement that makes the relation.
 */
static char *
definition(const Target *target, const char *name)
{
	const WhTemplate *tmpl = target->tmpl;

	if (target->hash != NULL)
		return definition_as(target, name,
							 wh_local_body(tmpl, target->tenant, target->period));

	/* The tenant's first name: a rename need not touch what exists. */
	return definition_as(target, name,
						 psprintf("SELECT * FROM _wh.fetch(%s, %s, %s::pg_catalog.date)"
								  " AS r (%s)",
								  quote_literal_cstr(tmpl->name),
								  quote_literal_cstr(target->tenant->key),
								  target->period->kind == WH_WHOLE ? "NULL" :
								  quote_literal_cstr(wh_date_text(target->period->start)),
								  wh_columns_sql(tmpl->columns)));
}

/*
 * The same for people: a derived query as they wrote it, though what it reads
 * may not be there yet.
 */
static char *
planned(const Target *target, const char *name)
{
	if (target->hash == NULL)
		return definition(target, name);

	return definition_as(target, name,
						 wh_local_text(target->tmpl, target->tenant, target->period));
}

static char *
definition_as(const Target *target, const char *name, const char *body)
{
	const char *tablespace = target->tmpl->daily_tablespace;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE MATERIALIZED VIEW %s USING heap",
					 quote_qualified_identifier(target->schema, name));
	if (tablespace != NULL)
		appendStringInfo(&sql, " TABLESPACE %s", quote_identifier(tablespace));
	appendStringInfo(&sql, " AS %s WITH NO DATA", body);

	return sql.data;
}

static void
create_indexes(const Target *target)
{
	ListCell   *lc;

	foreach(lc, wh_gate_index_stmts(target->tmpl->indexes,
									target->tmpl->columns,
									target->schema, target->name))
		wh_ddl_stmt((Node *) lfirst(lc), target->tmpl->indexes);
}

static void
grant_to_reader(const Target *target)
{
	wh_ddl(psprintf("GRANT SELECT ON TABLE %s TO %s",
					quote_qualified_identifier(target->schema, target->name),
					quote_identifier(wh_settings()->reader_role)));
}

static void
ddl(const char *verb, const char *schema, const char *name, const char *rest)
{
	wh_ddl(psprintf("%s %s %s", verb,
					quote_qualified_identifier(schema, name), rest));
}

static char *
what(const Target *target)
{
	return psprintf("materialized view \"%s.%s\"",
					target->schema, target->name);
}

static char *
unit_of(const Target *target)
{
	return wh_fetch_subject(target->tmpl, target->tenant, target->period);
}

/*
 * Throw the current error on.  A duplicate key, unless it is a catalog's, only
 * an index of ours can have found: it says whose rows it was in; a lock that was waited for too
 * long, whose relation it was.
 */
static void
name_the_unit(const Target *target, MemoryContext context)
{
	const char *unit = unit_of(target);
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (wh_remote_failed())
		ReThrowError(error);

	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION &&
		error->schema_name != NULL &&
		strcmp(error->schema_name, "pg_catalog") == 0)
	{
		error->sqlerrcode = ERRCODE_DUPLICATE_OBJECT;
		error->message = psprintf("%s was made by another session meanwhile",
								  what(target));
		error->detail = unconstify(char *, unit);
		error->hint = "Run it again, and see what stands there now.";
	}
	else if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION)
	{
		error->detail = psprintf("%s %s", unit, error->detail ? error->detail : "");
		error->hint = psprintf("Let the query return each key once, or change the unique index: SELECT _wh.alter_template(%s, indexes => ...);",
							   quote_literal_cstr(target->tmpl->name));
	}
	else if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && error->detail == NULL)
	{
		error->message = psprintf("could not lock %s", what(target));
		error->detail = psprintf("%s Another session has held it for %d ms (pg_warehouse.lock_deadline).",
								 unit, wh_lock_deadline);
		error->hint = "Nothing was changed; run it again.";
	}
	ReThrowError(error);
}
