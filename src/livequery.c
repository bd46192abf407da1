/*
 * livequery.c
 *		The query of a live template for one tenant, and what the names in it
 *		mean.
 *
 * Whoever wrote the query thought of the source, so a name is looked for there
 * first: without a schema in the bridge's, with one in that (the bridge's
 * local schema stands for the remote one).  What the source does not have, and
 * what is written with the tenant's own schema or named in depends_on, is a
 * relation here: of the tenant's schema, as another template's or a table that
 * the owner keeps there, or of any schema that is named.
 *
 * Names are settled in the parse tree, so the text is what its author wrote
 * and no search path decides about a relation.  Functions and types are looked
 * for in pg_catalog and the tenant's schema.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "fetch.h"
#include "gate.h"
#include "livequery.h"
#include "livetable.h"
#include "mention.h"
#include "names.h"
#include "period.h"
#include "spi.h"
#include "viewmake.h"
#include "viewtable.h"

static void raise_no_bridge(const WhTemplate *tmpl, const WhTenant *tenant) pg_attribute_noreturn();
static RawStmt *parse(const char *sql);
static WhLiveName *find_name(const WhLiveQuery *query, const char *schema, const char *name);
static bool is_here(const WhLiveQuery *query, const WhLiveName *name);
static const char *source_schema(const WhLiveQuery *query, const WhLiveName *name);
static List *asked_names(const WhLiveQuery *query);
static void leave_out_unknown(WhLiveQuery *query, const List *tables);
static void settle_here(const WhLiveQuery *query, WhLiveName *name);
static Oid	relid_here(const char *schema, const char *name);
static void raise_missing(const WhLiveQuery *query, const WhLiveName *name) pg_attribute_noreturn();
static int	pin_path(const WhLiveQuery *query);

/*
 * Read the query; see livequery.h.
 */
void
wh_livequery_read(WhLiveQuery *query, const WhTemplate *tmpl, const WhTenant *tenant)
{
	WhPeriod	whole = wh_period_whole();
	ListCell   *lc;

	memset(query, 0, sizeof(WhLiveQuery));
	query->tmpl = tmpl;
	query->tenant = tenant;
	query->live_schema = wh_live_schema(tenant->schema);
	query->as_of = DT_NOBEGIN;
	query->bridge = wh_bridge_to(tenant);
	if (query->bridge == NULL)
		raise_no_bridge(tmpl, tenant);

	query->text = wh_fetch_query(tmpl, tenant, &whole);
	foreach(lc, wh_mentions(parse(query->text)->stmt))
	{
		const WhMention *mention = (const WhMention *) lfirst(lc);
		WhLiveName *name;

		if (find_name(query, mention->schema, mention->name) != NULL)
			continue;
		name = (WhLiveName *) palloc0(sizeof(WhLiveName));
		name->schema = mention->schema;
		name->name = mention->name;
		query->names = lappend(query->names, name);
	}
}

/*
 * Ask the source; see livequery.h.
 */
void
wh_livequery_ask(WhLiveQuery *query)
{
	const WhBridge *bridge = query->bridge;
	List	   *found;
	ListCell   *lc;
	ListCell   *lf;

	found = wh_bridge_remote_named(bridge, asked_names(query),
								   psprintf("Tenant \"%s\", template \"%s\", bridge \"%s\".",
											query->tenant->name, query->tmpl->name, bridge->server),
								   &query->as_of);
	leave_out_unknown(query, found);
	foreach(lc, query->names)
	{
		WhLiveName *name = (WhLiveName *) lfirst(lc);

		foreach(lf, is_here(query, name) ? NIL : found)
		{
			WhBridgeTable *table = (WhBridgeTable *) lfirst(lf);

			if (strcmp(table->name, name->name) == 0 &&
				strcmp(table->schema, source_schema(query, name)) == 0)
				name->source = table;
		}
		if (name->source == NULL)
			settle_here(query, name);
		else if (!name->source->readable)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may not read %s at the source", bridge->username,
							quote_qualified_identifier(name->source->schema, name->name)),
					 errhint("At the source: GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s;",
							 quote_identifier(name->source->schema),
							 quote_identifier(bridge->username),
							 quote_qualified_identifier(name->source->schema, name->name),
							 quote_identifier(bridge->username))));
	}
}

void
wh_livequery_recall(WhLiveQuery *query)
{
	ListCell   *lc;

	foreach(lc, query->names)
	{
		WhLiveName *name = (WhLiveName *) lfirst(lc);
		Oid			relid = wh_livetable_relid(query->live_schema,
											   wh_livetable_name(query->bridge,
																 source_schema(query, name),
																 name->name));

		if (!is_here(query, name) && OidIsValid(relid))
			name->source = wh_bridge_table_here(relid);
		if (name->source == NULL)
			settle_here(query, name);
	}
}

bool
wh_livequery_fits(const WhLiveQuery *query)
{
	ListCell   *lc;

	foreach(lc, query->names)
	{
		const WhLiveName *name = (const WhLiveName *) lfirst(lc);

		if (name->source != NULL &&
			!wh_livetable_fits(query->live_schema, query->bridge, name->source))
			return false;
	}

	return true;
}

void
wh_livequery_make_tables(const WhLiveQuery *query)
{
	ListCell   *lc;

	foreach(lc, query->names)
	{
		const WhLiveName *name = (const WhLiveName *) lfirst(lc);

		/* Two names can mean one table. */
		if (name->source != NULL &&
			!wh_livetable_fits(query->live_schema, query->bridge, name->source))
			wh_livetable_make(query->live_schema, query->bridge, name->source);
	}
}

void
wh_livequery_bind(const WhLiveQuery *query, Node *tree)
{
	List	   *mentions = wh_mentions(tree);
	ListCell   *lc;

	foreach(lc, mentions)
	{
		const WhMention *mention = (const WhMention *) lfirst(lc);
		const WhLiveName *name = find_name(query, mention->schema, mention->name);

		if (name == NULL)
			elog(ERROR, "relation \"%s\" has no meaning", mention->name);
		if (name->source != NULL)
			wh_mention_means(mention, query->live_schema,
							 wh_livetable_name(query->bridge, name->source->schema, name->name));
		else
			wh_mention_means(mention, name->here, name->name);
	}
	wh_mentions_settle(tree, mentions);
}

Query *
wh_livequery_analyze(const WhLiveQuery *query, Node *tree, const char *sql)
{
	WhParsedText text = {sql, 0, NULL};
	RawStmt    *raw = makeNode(RawStmt);
	int			nestlevel = pin_path(query);
	Query	   *result;

	raw->stmt = tree;
	result = wh_analyze(raw, sql, &text);
	AtEOXact_GUC(false, nestlevel);

	return result;
}

void
wh_livequery_ddl(const WhLiveQuery *query, Node *stmt, const char *sql)
{
	int			nestlevel = pin_path(query);

	(void) wh_ddl_stmt(stmt, sql);
	AtEOXact_GUC(false, nestlevel);
}

/*
 * See that no relation here leads back; see livequery.h.  PostgreSQL would
 * make such a view, and then refuse whoever reads it.
 */
void
wh_livequery_check_circle(const WhLiveQuery *query, Oid own)
{
	List	   *relids = NIL;
	WhArg		args[2];
	uint64		found;
	ListCell   *lc;

	foreach(lc, query->names)
	{
		const WhLiveName *name = (const WhLiveName *) lfirst(lc);

		if (name->source == NULL)
			relids = lappend(relids, psprintf("%u", relid_here(name->here, name->name)));
	}
	if (relids == NIL)
		return;

	/* What the foreign table of the layout expand shows, no catalog knows. */
	args[0] = wh_text_array(relids);
	args[1] = wh_text_array(list_make3(psprintf("%u", own),
									   psprintf("%u", wh_view_relid(query->tmpl, WH_PUBLIC_VIEW)),
									   psprintf("%u", wh_viewtable_relid(query->tmpl))));
	SPI_connect();
	found = wh_spi(SPI_OK_SELECT,
				   "WITH RECURSIVE reads AS ("
				   " SELECT r.relid::pg_catalog.oid AS relid FROM pg_catalog.unnest($1) AS r (relid)"
				   " UNION SELECT d.refobjid FROM reads"
				   " JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = reads.relid"
				   " JOIN pg_catalog.pg_depend AS d ON d.objid = w.oid"
				   " AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				   " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)"
				   " SELECT FROM reads WHERE relid = ANY ($2::pg_catalog.oid[])",
				   args, lengthof(args));
	SPI_finish();

	if (found > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the query of live template \"%s\" would read its own result",
						query->tmpl->name),
				 errhint("Let it read other relations: SELECT _wh.alter_template(%s, query_template => ...);",
						 quote_literal_cstr(query->tmpl->name))));
}

TupleDesc
wh_livequery_columns(const WhLiveQuery *query)
{
	RawStmt    *raw = parse(query->text);

	wh_livequery_bind(query, raw->stmt);

	return ExecCleanTypeFromTL(wh_livequery_analyze(query, raw->stmt, query->text)->targetList);
}

static void
raise_no_bridge(const WhTemplate *tmpl, const WhTenant *tenant)
{
	const char *server = quote_literal_cstr(wh_bounded_name(psprintf("%s_bridge", tenant->name)));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("there is no bridge to the database of tenant \"%s\"", tenant->name),
			 errdetail("Tenant \"%s\", template \"%s\": a live query runs here, over a bridge to the tenant's host, port and database.",
					   tenant->name, tmpl->name),
			 errhint("A superuser may make it, since PostgreSQL keeps its password in clear: SELECT _wh.create_bridge(%s, %s, %s, %s, %d); SELECT _wh.rotate_password(%s, '...');",
					 server, quote_literal_cstr(tenant->host), quote_literal_cstr(tenant->dbname),
					 quote_literal_cstr(tenant->username), tenant->port, server)));
}

static RawStmt *
parse(const char *sql)
{
	WhParsedText text = {sql, 0, NULL};

	return linitial_node(RawStmt, wh_parse(sql, &text));
}

static WhLiveName *
find_name(const WhLiveQuery *query, const char *schema, const char *name)
{
	ListCell   *lc;

	foreach(lc, query->names)
	{
		WhLiveName *known = (WhLiveName *) lfirst(lc);

		if (strcmp(known->name, name) == 0 &&
			(schema == NULL || known->schema == NULL ? schema == known->schema
			 : strcmp(known->schema, schema) == 0))
			return known;
	}

	return NULL;
}

/*
 * Can the name only be a relation here: as it is written, or since the template
 * depends on another one of that name?
 */
static bool
is_here(const WhLiveQuery *query, const WhLiveName *name)
{
	ListCell   *lc;

	foreach(lc, name->schema == NULL ? query->tmpl->depends_on : NIL)
	{
		if (strcmp((const char *) lfirst(lc), name->name) == 0)
			return true;
	}

	return name->schema != NULL &&
		(strcmp(name->schema, query->tenant->schema) == 0 ||
		 strcmp(name->schema, query->live_schema) == 0 ||
		 strcmp(name->schema, "pg_catalog") == 0 ||
		 strcmp(name->schema, "information_schema") == 0);
}

static const char *
source_schema(const WhLiveQuery *query, const WhLiveName *name)
{
	if (name->schema == NULL || strcmp(name->schema, query->bridge->local_schema) == 0)
		return query->bridge->remote_schema;

	return name->schema;
}

/*
 * List what the source is asked for, as tables of schema and name.
 */
static List *
asked_names(const WhLiveQuery *query)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, query->names)
	{
		const WhLiveName *name = (const WhLiveName *) lfirst(lc);
		WhBridgeTable *table;

		if (is_here(query, name))
			continue;
		table = (WhBridgeTable *) palloc0(sizeof(WhBridgeTable));
		table->schema = unconstify(char *, source_schema(query, name));
		table->name = name->name;
		tables = lappend(tables, table);
	}

	return tables;
}

/*
 * Leave out columns of types that this database does not have: a query that
 * does not need them works, and one that does is told of them.
 */
static void
leave_out_unknown(WhLiveQuery *query, const List *tables)
{
	List	   *unknown = wh_bridge_unknown_types(tables);
	StringInfoData text;
	ListCell   *lt;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lt, tables)
	{
		WhBridgeTable *table = (WhBridgeTable *) lfirst(lt);
		List	   *kept = NIL;

		foreach(lc, table->columns)
		{
			const WhBridgeColumn *column = (const WhBridgeColumn *) lfirst(lc);

			if (!wh_bridge_column_is_unknown(column, unknown))
				kept = lappend(kept, lfirst(lc));
			else
				appendStringInfo(&text, "%s%s.%s (%s)", text.len > 0 ? ", " : "",
								 quote_identifier(table->name), quote_identifier(column->name),
								 column->type);
		}
		table->columns = kept;
	}
	if (text.len > 0)
		query->left_out = text.data;
}

/*
 * Find a relation here.
 */
static void
settle_here(const WhLiveQuery *query, WhLiveName *name)
{
	const char *schemas[] = {name->schema, NULL};

	if (name->schema == NULL)
	{
		schemas[0] = query->tenant->schema;
		schemas[1] = "pg_catalog";
	}
	for (int i = 0; i < (int) lengthof(schemas) && schemas[i] != NULL; i++)
	{
		if (!OidIsValid(relid_here(schemas[i], name->name)))
			continue;
		name->here = schemas[i];
		return;
	}

	raise_missing(query, name);
}

static Oid
relid_here(const char *schema, const char *name)
{
	Oid			nspid = get_namespace_oid(schema, true);

	return OidIsValid(nspid) ? get_relname_relid(name, nspid) : InvalidOid;
}

/*
 * Say what was looked for and where; another template's name wants its
 * relation to be there first.
 */
static void
raise_missing(const WhLiveQuery *query, const WhLiveName *name)
{
	const char *written = name->schema == NULL ? quote_identifier(name->name) :
	quote_qualified_identifier(name->schema, name->name);
	bool		is_template = false;
	ListCell   *lc;

	foreach(lc, name->schema == NULL ? wh_templates_all() : NIL)
	{
		const char *other = ((const WhTemplate *) lfirst(lc))->name;

		is_template |= strcmp(other, name->name) == 0 && strcmp(other, query->tmpl->name) != 0;
	}

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation %s of live template \"%s\" is neither at the source nor here",
					written, query->tmpl->name),
			 is_here(query, name) ?
			 errdetail("Tenant \"%s\": looked for in schema \"%s\" here.", query->tenant->name,
					   name->schema == NULL ? query->tenant->schema : name->schema) :
			 errdetail("Tenant \"%s\": looked for in schema \"%s\" of bridge \"%s\" and in schema \"%s\" here.",
					   query->tenant->name, source_schema(query, name), query->bridge->server,
					   name->schema == NULL ? query->tenant->schema : name->schema),
			 is_template ?
			 errhint("It is a template: SELECT * FROM _wh.wh_refresh(%s, %s); comes first.",
					 quote_literal_cstr(name->name), quote_literal_cstr(query->tenant->name)) :
			 errhint("Mend the query: SELECT _wh.alter_template(%s, query_template => ...);",
					 quote_literal_cstr(query->tmpl->name))));
}

/*
 * Have functions and types looked for in the tenant's schema, too; returns the
 * nest level that undoes it.
 */
static int
pin_path(const WhLiveQuery *query)
{
	int			nestlevel = NewGUCNestLevel();

	wh_pin("search_path", psprintf("pg_catalog, %s, pg_temp",
								   quote_identifier(query->tenant->schema)));

	return nestlevel;
}
