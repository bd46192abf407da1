/*
 * live.c
 *		Live templates: per tenant a view over foreign tables of the source.
 *
 * {schema}.{template} is a view that its owner reads for everybody, so readers
 * need no user mapping, and its text is the template's query with a cast to
 * each declared column, so PostgreSQL's planner sees through it and sends
 * conditions to the source.  A refresh asks the source what the relations that
 * the query names look like, which shows at once that it can be reached; where
 * foreign tables and view are what they should be, nothing is locked or
 * written.  What the names mean is livequery's, the foreign tables are
 * livetable's.
 *
 * A relation of another kind in the view's place, which the template had while
 * it was a snapshot or incremental, gives its place to the view, with grants
 * and comments.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "portability/instr_time.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "conn.h"
#include "kept.h"
#include "live.h"
#include "livequery.h"
#include "livetable.h"
#include "lock.h"
#include "names.h"
#include "settings.h"
#include "slice.h"
#include "spi.h"
#include "synctable.h"

/* One template of one tenant at work. */
typedef struct Live
{
	WhLiveQuery query;
	char	   *schema;
	char	   *name;
	Oid			relid;			/* what stands there; InvalidOid: nothing */
	char		relkind;
	WhRemoteColumns *columns;	/* that the query returns */
	WhLived    *lived;
} Live;

/* What wh_live_describe() wants to know. */
typedef struct Look
{
	const WhTemplate *tmpl;
	const WhTenant *tenant;
	WhLiveQuery query;
	WhRemoteColumns *columns;
} Look;

static void check_rules(const WhTemplate *tmpl, const WhLoadRules *rules);
static void locate(Live *live, const WhTemplate *tmpl, const WhTenant *tenant);
static void raise_not_ours(const Live *live, const WhTemplate *tmpl,
						   const WhTenant *tenant) pg_attribute_noreturn();
static void load(Live *live);
static void ask(Live *live);
static void find_columns(Live *live);
static bool is_current(const Live *live);
static char *deparse(Query *query);
static void change(Live *live);
static void replace(Live *live);
static void check_plain(const Live *live);
static ViewStmt *view_stmt(const Live *live, const char *sql);
static char *view_sql(const Live *live, const char *verb, const char *name,
					  const char *options);
static char *select_sql(const WhTemplate *tmpl, const char *query,
						const WhRemoteColumns *columns);
static Query *wanted_query(const Live *live);
static void look(void *arg);
static char *what(const Live *live);
static void name_the_pair(const WhLiveQuery *query, const WhTemplate *tmpl,
						  const WhTenant *tenant, MemoryContext context);

/*
 * Make or mend the view; see live.h.
 */
void
wh_live_load(const WhTemplate *tmpl, const WhTenant *tenant,
			 const WhLoadRules *rules, WhLived *lived)
{
	MemoryContext context = CurrentMemoryContext;
	Live		live = {0};
	int			nestlevel = wh_lock_bound();
	instr_time	begun;
	instr_time	elapsed;

	live.lived = lived;
	check_rules(tmpl, rules);
	wh_check_outbound();
	if (!wh_matview_schema_exists(tenant))
		wh_matview_schema(tenant);

	INSTR_TIME_SET_CURRENT(begun);
	PG_TRY();
	{
		locate(&live, tmpl, tenant);
		wh_livequery_read(&live.query, tmpl, tenant);
		load(&live);
	}
	PG_CATCH();
	{
		name_the_pair(&live.query, tmpl, tenant, context);
	}
	PG_END_TRY();
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);

	lived->as_of = live.query.as_of;
	lived->load_ms = Max(INSTR_TIME_GET_MILLISEC(elapsed) - lived->fetch_ms - lived->lock_ms, 0);
	lived->schema = live.schema;
	lived->name = live.name;
	wh_lock_unbound(nestlevel);
}

/*
 * Foretell it; see live.h.
 */
void
wh_live_plan(const WhTemplate *tmpl, const WhTenant *tenant,
			 const WhLoadRules *rules, WhMatviewPlan *plan)
{
	WhPeriod	whole = wh_period_whole();

	memset(plan, 0, sizeof(WhMatviewPlan));
	plan->relation = quote_qualified_identifier(tenant->schema, tmpl->name);
	if (rules->method != WH_CHOOSE && rules->method != WH_LIVE)
	{
		plan->locks = "none";
		plan->reason = psprintf("fails: it needs method \"%s\"", wh_method_name(WH_LIVE));
		return;
	}
	plan->method = WH_LIVE;
	plan->sql = psprintf("CREATE OR REPLACE VIEW %s AS\n%s", plan->relation,
						 select_sql(tmpl, wh_fetch_query(tmpl, tenant, &whole), NULL));
	plan->locks = "AccessExclusiveLock on the view by try, where it has to change";
	plan->reason = psprintf("the source is asked for its columns, foreign tables in schema \"%s\" and the view are made or mended; no row is read",
							wh_live_schema(tenant->schema));
}

/*
 * Describe the query; see live.h.
 */
WhRemoteColumns *
wh_live_describe(const WhTemplate *tmpl, const WhTenant *tenant)
{
	MemoryContext context = CurrentMemoryContext;
	Look		work = {.tmpl = tmpl,.tenant = tenant};

	wh_check_outbound();
	PG_TRY();
	{
		wh_subtransaction(look, &work, false);
	}
	PG_CATCH();
	{
		name_the_pair(&work.query, tmpl, tenant, context);
	}
	PG_END_TRY();

	return work.columns;
}

/*
 * Have the view speak of the tenant by the new name; see live.h.
 */
void
wh_live_renamed(const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhLived		lived = {0};
	Live		live = {0};
	int			nestlevel;

	if (strstr(tmpl->query, "{TENANT}") == NULL)
		return;

	live.lived = &lived;
	locate(&live, tmpl, tenant);
	if (live.relkind != RELKIND_VIEW)
		return;

	nestlevel = wh_lock_bound();
	wh_livequery_read(&live.query, tmpl, tenant);
	wh_livequery_recall(&live.query);
	find_columns(&live);
	if (!is_current(&live))
		replace(&live);
	wh_lock_unbound(nestlevel);
}

static void
check_rules(const WhTemplate *tmpl, const WhLoadRules *rules)
{
	if (rules->prove)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of live template \"%s\" cannot be proved", tmpl->name),
				 errdetail("It keeps none."),
				 errhint("Leave prove out.")));
	if (rules->method != WH_CHOOSE && rules->method != WH_LIVE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("method \"%s\" cannot serve live template \"%s\"",
						wh_method_name(rules->method), tmpl->name),
				 errhint("Leave method out: it is chosen per unit.")));
}

/*
 * Find what stands in the view's place; 42710 for what is not ours.
 */
static void
locate(Live *live, const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhPeriod	whole = wh_period_whole();
	const WhSlice *slice = wh_slice_find(tmpl->name, tenant->name, &whole);
	bool		known = slice != NULL && OidIsValid(wh_slice_relid(slice));

	live->schema = known ? slice->relation_schema : tenant->schema;
	live->name = known ? slice->relation_name : tmpl->name;
	live->relid = get_relname_relid(live->name, get_namespace_oid(live->schema, false));
	if (!OidIsValid(live->relid))
		return;

	live->relkind = get_rel_relkind(live->relid);
	if (!known || !wh_class_ownercheck(live->relid, GetUserId()) ||
		(live->relkind != RELKIND_VIEW && live->relkind != RELKIND_MATVIEW &&
		 live->relkind != RELKIND_RELATION))
		raise_not_ours(live, tmpl, tenant);
}

static void
raise_not_ours(const Live *live, const WhTemplate *tmpl, const WhTenant *tenant)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("relation \"%s.%s\" already exists and is not a slice of this warehouse",
					live->schema, live->name),
			 errdetail("Tenant \"%s\", template \"%s\".", tenant->name, tmpl->name),
			 errhint("Move it out of the way: %s",
					 wh_rename_aside(live->schema, live->name))));
}

/*
 * Change what has to be; mostly that is nothing, and then nobody is kept out
 * of anything.
 */
static void
load(Live *live)
{
	WhLived    *lived = live->lived;

	ask(live);
	wh_livequery_check_circle(&live->query, live->relid);
	if (wh_livequery_fits(&live->query))
	{
		find_columns(live);
		if (is_current(live))
		{
			lived->reason = "foreign tables and view are as they should be";
			return;
		}
	}

	/* Whoever had the lock may have made the tables meanwhile. */
	lived->lock_ms = wh_livetables_lock(live->query.live_schema);
	wh_livequery_make_tables(&live->query);
	find_columns(live);
	if (!is_current(live))
		change(live);
	else
		lived->reason = "a foreign table was made anew";
	(void) wh_livetables_tidy(live->query.live_schema);
}

static void
ask(Live *live)
{
	instr_time	begun;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(begun);
	wh_livequery_ask(&live->query);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, begun);
	live->lived->fetch_ms = INSTR_TIME_GET_MILLISEC(elapsed);
}

/*
 * Find out what the query returns, and compare it with the declaration.
 */
static void
find_columns(Live *live)
{
	const WhLiveQuery *query = &live->query;

	live->columns = wh_describe_of(wh_livequery_columns(query));
	live->lived->drift = wh_describe_check(live->columns, query->tmpl,
										   psprintf("Tenant \"%s\", template \"%s\".",
													query->tenant->name, query->tmpl->name));
}

/*
 * Is the view that is there the one that should be?  Both are compared as
 * PostgreSQL writes them, which tells relations apart that have had each
 * other's names.
 */
static bool
is_current(const Live *live)
{
	Relation	view;
	Query	   *stored;

	if (live->relkind != RELKIND_VIEW)
		return false;

	view = relation_open(live->relid, AccessShareLock);
	stored = copyObject(get_view_query(view));
	relation_close(view, NoLock);

	return strcmp(deparse(stored), deparse(wanted_query(live))) == 0;
}

/*
 * Write a query, which is scribbled on, as PostgreSQL does.  A view's own has
 * two entries more than a plain one before 16, and a query of one entry is
 * written without prefixes; an entry that nothing refers to makes them alike.
 */
static char *
deparse(Query *query)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RESULT;
	rte->eref = makeAlias("unused", NIL);
	query->rtable = lappend(query->rtable, rte);

	return pg_get_querydef(query, false);
}

/*
 * Bring the view into being.
 */
static void
change(Live *live)
{
	const char *relation = quote_qualified_identifier(live->schema, live->name);
	const char *sql;

	if (OidIsValid(live->relid))
	{
		live->lived->reason = live->relkind == RELKIND_VIEW ? "the view was made anew" :
			"a view took the place of what was stored";
		replace(live);
		return;
	}

	sql = view_sql(live, "CREATE VIEW", live->name, NULL);
	wh_livequery_ddl(&live->query, (Node *) view_stmt(live, sql), sql);
	wh_ddl(psprintf("GRANT SELECT ON TABLE %s TO %s", relation,
					quote_identifier(wh_settings()->reader_role)));
	live->lived->reason = "there was no view";
}

/*
 * Put the view in the place of what is there: where it is, if that is a view
 * with the same columns; else a new one gets its name, grants and comments.
 */
static void
replace(Live *live)
{
	const WhTemplate *tmpl = live->query.tmpl;
	const WhTenant *tenant = live->query.tenant;
	TupleDesc	columns = ExecCleanTypeFromTL(wanted_query(live)->targetList);
	char	   *fresh = wh_bounded_name(psprintf("%s.new", live->name));
	char	   *options = wh_kept(live->relid, columns)->view_options;
	double		lock_ms;
	WhKept	   *kept;
	char	   *sql;

	if (live->relkind == RELKIND_VIEW &&
		wh_columns_extend(wh_columns_of(live->relid), columns))
	{
		live->lived->lock_ms += wh_lock_relation(live->relid, what(live));
		sql = view_sql(live, "CREATE OR REPLACE VIEW", live->name, options);
		wh_livequery_ddl(&live->query, (Node *) view_stmt(live, sql), sql);
		return;
	}

	check_plain(live);
	wh_matview_check_dependents(tmpl, tenant, live->relid, what(live));
	sql = view_sql(live, "CREATE VIEW", fresh, options);
	wh_livequery_ddl(&live->query, (Node *) view_stmt(live, sql), sql);
	kept = wh_matview_swap(tmpl, tenant, live->relid, fresh, &lock_ms);
	wh_kept_restore(kept, get_relname_relid(live->name,
											get_namespace_oid(live->schema, false)));
	live->lived->lock_ms += lock_ms;
}

/*
 * Throw 55000 where a table would be dropped with what its owner put on it.
 */
static void
check_plain(const Live *live)
{
	WhSyncTable table;

	if (live->relkind != RELKIND_RELATION)
		return;
	wh_synctable_find(&table, live->query.tmpl, live->query.tenant);
	if (!wh_synctable_is_furnished(&table))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s.%s\" cannot become a view", live->schema, live->name),
			 errdetail("It has triggers, rules, constraints or columns of its own."),
			 errhint("Drop these, or SELECT _wh.alter_template(%s, materialization => 'incremental');",
					 quote_literal_cstr(live->query.tmpl->name))));
}

/*
 * Parse a statement that makes the view, with every name settled.
 */
static ViewStmt *
view_stmt(const Live *live, const char *sql)
{
	WhParsedText text = {sql, 0, NULL};
	RawStmt    *raw = linitial_node(RawStmt, wh_parse(sql, &text));
	ViewStmt   *stmt = castNode(ViewStmt, raw->stmt);

	wh_livequery_bind(&live->query, stmt->query);

	return stmt;
}

static char *
view_sql(const Live *live, const char *verb, const char *name, const char *options)
{
	return psprintf("%s %s%s%s%s AS\n%s", verb,
					quote_qualified_identifier(live->schema, name),
					options ? " WITH (" : "", options ? options : "", options ? ")" : "",
					select_sql(live->query.tmpl, live->query.text, live->columns));
}

/*
 * Write the SELECT behind the view: the declared columns, by name, in their
 * types.  A cast to the type that a column has is none to PostgreSQL.  One
 * that the query does not return, which the template adapts to, is NULL;
 * without "columns" it returns all.
 */
static char *
select_sql(const WhTemplate *tmpl, const char *query, const WhRemoteColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < tmpl->columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tmpl->columns, i);
		const char *name = quote_identifier(NameStr(att->attname));
		bool		there = columns == NULL || wh_describe_has(columns, NameStr(att->attname));

		appendStringInfo(&sql, "%s%s%s::%s AS %s", i == 0 ? "SELECT " : ", ",
						 there ? "q." : "", there ? name : "NULL",
						 format_type_extended(att->atttypid, att->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY),
						 name);
	}
	appendStringInfo(&sql, " FROM (\n%s\n) AS q", query);

	return sql.data;
}

static Query *
wanted_query(const Live *live)
{
	const char *sql = view_sql(live, "CREATE VIEW", live->name, NULL);

	return wh_livequery_analyze(&live->query, view_stmt(live, sql)->query, sql);
}

/*
 * The work of wh_live_describe(), all of which is undone.
 */
static void
look(void *arg)
{
	Look	   *work = (Look *) arg;

	wh_livequery_read(&work->query, work->tmpl, work->tenant);
	wh_livequery_ask(&work->query);
	if (!wh_livequery_fits(&work->query))
	{
		(void) wh_livetables_lock(work->query.live_schema);
		wh_livequery_make_tables(&work->query);
	}
	work->columns = wh_describe_of(wh_livequery_columns(&work->query));
}

static char *
what(const Live *live)
{
	return psprintf("%s \"%s.%s\"",
					live->relkind == RELKIND_VIEW ? "view" :
					live->relkind == RELKIND_MATVIEW ? "materialized view" : "table",
					live->schema, live->name);
}

/*
 * Throw the current error on, which says whose it is; one of the query's own
 * names may be a column that could not be had.
 */
static void
name_the_pair(const WhLiveQuery *query, const WhTemplate *tmpl,
			  const WhTenant *tenant, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (!wh_remote_failed() &&
		(error->detail == NULL || strncmp(error->detail, "Tenant \"", 8) != 0))
		error->detail = psprintf("Tenant \"%s\", template \"%s\".%s%s", tenant->name, tmpl->name,
								 error->detail ? "\n" : "", error->detail ? error->detail : "");
	if (query->left_out != NULL &&
		(error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN ||
		 error->sqlerrcode == ERRCODE_DATATYPE_MISMATCH))
		error->detail = psprintf("%s\nNot in this database are the types of %s.", error->detail,
								 query->left_out);
	ReThrowError(error);
}
