/*
 * describe.c
 *		What a query would return at a tenant, against what was declared.
 *
 * The tenant's own parser answers before a row is read, so that drift is told
 * column by column instead of showing in the data.  A type passes when each of
 * its values fits the declared one.  Lengths are left to the receive
 * functions, which refuse a value rather than cut it, and round to a declared
 * scale as any assignment does.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "describe.h"
#include "remote.h"
#include "session.h"

static void take_columns(WhRemoteColumns *remote, const PGresult *result);
static void name_types(WhConn *conn, WhRemoteColumns *remote);
static void ask_type_names(WhConn *conn, WhRemoteColumns *remote);
static bool is_known_type(Oid typid);
static bool is_builtin(Oid typid);
static int	find_remote(const WhRemoteColumns *remote, const char *name);
static int	find_declared(TupleDesc declared, const char *name);
static bool fits(const WhRemoteColumn *source, Oid declared);
static bool builtin_fits(Oid source, Oid declared);
static char *base_name(const char *type_name);
static WhDrift *make_drift(WhChange change, Form_pg_attribute att,
						   const WhRemoteColumn *column);
static char *drift_line(const WhDrift *drift);

/*
 * Prepare and describe a query; see describe.h.
 */
WhRemoteColumns *
wh_describe(WhConn *conn, const char *query)
{
	WhRemoteColumns *remote = palloc0(sizeof(WhRemoteColumns));
	PGresult   *volatile result = NULL;
	int			nparams;

	wh_conn_collect(conn);
	wh_session_queue(conn);
	if (!PQsendPrepare(wh_conn_pg(conn), "", query, 0, NULL) ||
		!PQsendDescribePrepared(wh_conn_pg(conn), ""))
		wh_remote_error(conn, NULL);
	wh_conn_ask(conn);

	wh_session_take(conn);
	PQclear(wh_conn_answer(conn, PGRES_COMMAND_OK));
	result = wh_conn_answer(conn, PGRES_COMMAND_OK);
	nparams = PQnparams(result);

	PG_TRY();
	{
		take_columns(remote, result);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();

	wh_conn_asked(conn);
	wh_session_check(conn);

	if (remote->n == 0 || nparams > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 remote->n == 0 ?
				 errmsg("query returns no columns") :
				 errmsg("query has parameters such as $1"),
				 errdetail("%s", wh_conn_subject(conn)),
				 errhint("Mend the query: SELECT _wh.alter_template(..., query_template => ...);")));

	name_types(conn, remote);

	return remote;
}

/*
 * Describe what a query here returns; see describe.h.
 */
WhRemoteColumns *
wh_describe_of(TupleDesc desc)
{
	WhRemoteColumns *columns = palloc0(sizeof(WhRemoteColumns));

	columns->n = desc->natts;
	columns->columns = palloc0(sizeof(WhRemoteColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		WhRemoteColumn *column = &columns->columns[i];

		column->name = pstrdup(NameStr(att->attname));
		column->typid = att->atttypid;
		column->typmod = att->atttypmod;
		column->type_name = format_type_with_typemod(att->atttypid, att->atttypmod);
	}

	return columns;
}

/*
 * Compare with the declaration; see describe.h.
 */
List *
wh_describe_drift(const WhRemoteColumns *remote, TupleDesc declared)
{
	List	   *drifts = NIL;
	int			matched = 0;

	for (int i = 0; i < declared->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(declared, i);
		int			at = find_remote(remote, NameStr(att->attname));

		if (at < 0)
		{
			drifts = lappend(drifts, make_drift(WH_MISSING, att, NULL));
			continue;
		}
		if (at < matched)
			drifts = lappend(drifts, make_drift(WH_REORDERED, att, &remote->columns[at]));
		matched = Max(matched, at);
		if (!fits(&remote->columns[at], att->atttypid))
			drifts = lappend(drifts, make_drift(WH_RETYPED, att, &remote->columns[at]));
	}
	for (int i = 0; i < remote->n; i++)
	{
		const WhRemoteColumn *column = &remote->columns[i];
		int			at = find_declared(declared, column->name);

		if (at < 0)
			drifts = lappend(drifts, make_drift(WH_ADDED, NULL, column));
		else if (find_remote(remote, column->name) != i)
			drifts = lappend(drifts, make_drift(WH_TWICE, TupleDescAttr(declared, at),
												column));
	}

	return drifts;
}

/*
 * Refuse drift that the template does not adapt to; see describe.h.  Where all
 * columns are missing, the query is another one: nothing is adapted to that.
 */
List *
wh_describe_check(const WhRemoteColumns *remote, const WhTemplate *tmpl,
				  const char *subject)
{
	bool		adapts = strcmp(tmpl->on_drift, "adapt") == 0;
	List	   *lines = NIL;
	StringInfoData detail;
	int			missing = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, wh_describe_drift(remote, tmpl->columns))
	{
		const WhDrift *drift = (const WhDrift *) lfirst(lc);
		char	   *line = drift_line(drift);

		missing += drift->change == WH_MISSING;
		adapts &= drift->change != WH_RETYPED && drift->change != WH_TWICE;
		lines = lappend(lines, line);
		appendStringInfo(&detail, "\n%s", line);
	}
	if (lines == NIL || (adapts && missing < tmpl->columns->natts))
		return lines;

	if (!wh_template_is_local(tmpl))
		wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("columns at the source differ from those that template \"%s\" declares",
					tmpl->name),
			 errdetail("%s%s", subject, detail.data),
			 errhint("SELECT _wh.alter_template(%s, column_definitions => ...); or mend the query.",
					 quote_literal_cstr(tmpl->name))));
}

bool
wh_describe_has(const WhRemoteColumns *remote, const char *column)
{
	return find_remote(remote, column) >= 0;
}

/*
 * Write the remote columns as column definitions.  A type that is not built in
 * is kept as its text.
 */
char *
wh_describe_definitions(const WhRemoteColumns *remote)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < remote->n; i++)
	{
		const WhRemoteColumn *column = &remote->columns[i];
		bool		as_is = is_known_type(column->typid) &&
		column->typid != UNKNOWNOID;

		appendStringInfo(&sql, "%s%s %s", i == 0 ? "" : ", ",
						 quote_identifier(column->name),
						 as_is ? column->type_name : "text");
	}

	return sql.data;
}

/*
 * Copy names and types out of libpq's memory.
 */
static void
take_columns(WhRemoteColumns *remote, const PGresult *result)
{
	remote->n = PQnfields(result);
	remote->columns = palloc0(sizeof(WhRemoteColumn) * Max(remote->n, 1));
	for (int i = 0; i < remote->n; i++)
	{
		WhRemoteColumn *column = &remote->columns[i];
		const char *name = PQfname(result, i);

		column->name = pg_verifymbstr(name, strlen(name), true) ?
			pstrdup(name) : wh_clean_text(name);
		column->typid = PQftype(result, i);
		column->typmod = PQfmod(result, i);
		column->relid = PQftable(result, i);
		column->attnum = PQftablecol(result, i);
	}
}

/*
 * Name each column's type: a built-in one from our own catalog, since those
 * have the same OID everywhere, others from the source's.
 */
static void
name_types(WhConn *conn, WhRemoteColumns *remote)
{
	bool		all_known = true;

	for (int i = 0; i < remote->n; i++)
	{
		WhRemoteColumn *column = &remote->columns[i];

		if (is_known_type(column->typid))
			column->type_name = format_type_with_typemod(column->typid,
														 column->typmod);
		else
			all_known = false;
	}

	if (!all_known)
		ask_type_names(conn, remote);
}

/*
 * Ask the source for the names that we do not know, in one query.
 */
static void
ask_type_names(WhConn *conn, WhRemoteColumns *remote)
{
	StringInfoData sql;
	PGresult   *volatile result = NULL;

	initStringInfo(&sql);
	for (int i = 0; i < remote->n; i++)
		appendStringInfo(&sql, "%s SELECT %d, pg_catalog.format_type(%u, %d)",
						 i == 0 ? "" : " UNION ALL", i,
						 remote->columns[i].typid, remote->columns[i].typmod);
	appendStringInfoString(&sql, " ORDER BY 1");

	result = wh_conn_exec(conn, sql.data, PGRES_TUPLES_OK);
	PG_TRY();
	{
		if (PQntuples(result) != remote->n || PQnfields(result) != 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("tenant did not name the types of its columns"),
					 errdetail("%s", wh_conn_subject(conn))));
		for (int i = 0; i < remote->n; i++)
		{
			WhRemoteColumn *column = &remote->columns[i];

			if (column->type_name == NULL)
				column->type_name = wh_clean_text(PQgetvalue(result, i, 1));
		}
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();

	while ((result = wh_conn_result(conn)) != NULL)
		PQclear(result);
}

/*
 * Is this a built-in type that our version has, too?
 */
static bool
is_known_type(Oid typid)
{
	return is_builtin(typid) &&
		SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(typid));
}

static bool
is_builtin(Oid typid)
{
	return typid < FirstGenbkiObjectId;
}

static int
find_remote(const WhRemoteColumns *remote, const char *name)
{
	for (int i = 0; i < remote->n; i++)
	{
		if (strcmp(remote->columns[i].name, name) == 0)
			return i;
	}

	return -1;
}

static int
find_declared(TupleDesc declared, const char *name)
{
	for (int i = 0; i < declared->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(declared, i)->attname), name) == 0)
			return i;
	}

	return -1;
}

/*
 * Does each value of the source's type fit the declared type?  What is not
 * built in travels as text: it fits text, and a type of the same name here.
 */
static bool
fits(const WhRemoteColumn *source, Oid declared)
{
	char		category;
	bool		preferred;

	if (is_builtin(source->typid) && is_builtin(declared))
		return builtin_fits(source->typid, declared);

	if (!is_builtin(source->typid))
		return declared == TEXTOID || declared == VARCHAROID ||
			strcmp(base_name(source->type_name),
				   base_name(format_type_be(declared))) == 0;

	/* A built-in type for one of our own: citext for text, say. */
	get_type_category_preferred(declared, &category, &preferred);

	return category == TYPCATEGORY_STRING &&
		builtin_fits(source->typid, TEXTOID);
}

/*
 * The same for two built-in types, and for arrays of them.
 */
static bool
builtin_fits(Oid source, Oid declared)
{
	Oid			source_element;
	Oid			declared_element;

	if (source == declared)
		return true;

	source_element = get_element_type(source);
	declared_element = get_element_type(declared);
	if (OidIsValid(source_element) && OidIsValid(declared_element))
		return builtin_fits(source_element, declared_element);

	switch (declared)
	{
		case INT4OID:
			return source == INT2OID;
		case INT8OID:
		case FLOAT8OID:
			return source == INT2OID || source == INT4OID ||
				(declared == FLOAT8OID && source == FLOAT4OID);
		case FLOAT4OID:
			return source == INT2OID;
		case NUMERICOID:
			return source == INT2OID || source == INT4OID || source == INT8OID;
		case TIMESTAMPOID:
			return source == DATEOID;
		case TEXTOID:
		case VARCHAROID:
			return source == TEXTOID || source == VARCHAROID ||
				source == BPCHAROID || source == NAMEOID ||
				source == CHAROID || source == UNKNOWNOID;
		default:
			return false;
	}
}

/*
 * Return a type's name without its schema and its modifier: "mood" of
 * public.mood, "geometry" of public.geometry(Point,4326).  What a quoted name
 * has in parentheses is its own.
 */
static char *
base_name(const char *type_name)
{
	const char *dot = strrchr(type_name, '.');
	char	   *name = pstrdup(dot != NULL ? dot + 1 : type_name);
	char	   *quote = strrchr(name, '"');
	char	   *modifier = strchr(quote != NULL ? quote : name, '(');
	char	   *rest = modifier != NULL ? strchr(modifier, ')') : NULL;

	if (rest != NULL)
		memmove(modifier, rest + 1, strlen(rest));

	return name;
}

/*
 * Tell of one difference; without "att" the column is not declared, without
 * "column" it is not at the source.
 */
static WhDrift *
make_drift(WhChange change, Form_pg_attribute att, const WhRemoteColumn *column)
{
	WhDrift    *drift = (WhDrift *) palloc0(sizeof(WhDrift));

	drift->change = change;
	drift->column = pstrdup(att != NULL ? NameStr(att->attname) : column->name);
	if (att != NULL)
		drift->declared_type = format_type_with_typemod(att->atttypid, att->atttypmod);
	if (column != NULL)
		drift->source_type = column->type_name;

	return drift;
}

static char *
drift_line(const WhDrift *drift)
{
	const char *what = NULL;

	switch (drift->change)
	{
		case WH_MISSING:
			what = "missing at the source";
			break;
		case WH_REORDERED:
			what = "reordered";
			break;
		case WH_RETYPED:
			what = psprintf("%s at the source, declared %s",
							drift->source_type, drift->declared_type);
			break;
		case WH_ADDED:
			what = "not declared";
			break;
		case WH_TWICE:
			what = "twice at the source";
			break;
	}

	return psprintf("column \"%s\": %s", wh_clean_text(drift->column), what);
}
