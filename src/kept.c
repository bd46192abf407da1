/*
 * kept.c
 *		What people gave a relation and the one that takes its place keeps.
 *
 * A relation whose columns change is made anew: its grants, comments and
 * options are written down before as the statements that give them again.
 * What else depends on it is never dropped along; it is listed, and the
 * change refused.  Which relation replaces which is the caller's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "kept.h"
#include "spi.h"

/* Who holds a privilege, as GRANT and REVOKE want it. */
#define GRANTEE \
	" CASE a.grantee WHEN 0 THEN 'PUBLIC'" \
	" ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END"
#define GRANT_OPTION \
	" CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
#define PG_CLASS "'pg_catalog.pg_class'::pg_catalog.regclass"
#define PG_REWRITE "'pg_catalog.pg_rewrite'::pg_catalog.regclass"
#define PG_TYPE "'pg_catalog.pg_type'::pg_catalog.regclass"
#define TABLE_PRIVILEGES \
	" pg_catalog.pg_class c," \
	" pg_catalog.aclexplode(coalesce(c.relacl," \
	" pg_catalog.acldefault('r', c.relowner))) a"

static WhArg oid_arg(Oid oid);
static WhArg oids_arg(const List *oids);
static List *column_names(TupleDesc columns);

/*
 * Write down what a relation has; see kept.h.
 */
WhKept *
wh_kept(Oid relid, TupleDesc successor)
{
	WhKept	   *kept = (WhKept *) palloc0(sizeof(WhKept));
	List	   *options;
	List	   *comments;
	WhArg		args[2];

	args[0] = oid_arg(relid);
	args[1] = wh_name_array(column_names(successor));

	kept->statements =
		wh_spi_strings("SELECT pg_catalog.format("
					   "'GRANT %s ON TABLE %s TO %s%s', a.privilege_type,"
					   " $1::pg_catalog.regclass," GRANTEE "," GRANT_OPTION ")"
					   " FROM" TABLE_PRIVILEGES " WHERE c.oid = $1"
					   " UNION ALL SELECT pg_catalog.format("
					   "'GRANT %s (%I) ON TABLE %s TO %s%s',"
					   " a.privilege_type, t.attname,"
					   " $1::pg_catalog.regclass," GRANTEE "," GRANT_OPTION ")"
					   " FROM pg_catalog.pg_attribute t,"
					   " pg_catalog.aclexplode(t.attacl) a"
					   " WHERE t.attrelid = $1 AND t.attname = ANY ($2)"
					   " UNION ALL SELECT pg_catalog.format("
					   "'COMMENT ON COLUMN %s.%I IS %L',"
					   " $1::pg_catalog.regclass, t.attname, d.description)"
					   " FROM pg_catalog.pg_description d"
					   " JOIN pg_catalog.pg_attribute t"
					   " ON t.attrelid = d.objoid AND t.attnum = d.objsubid"
					   " WHERE d.classoid = " PG_CLASS
					   " AND d.objoid = $1 AND d.objsubid > 0"
					   " AND t.attname = ANY ($2)",
					   args, 2);

	options = wh_spi_strings("SELECT pg_catalog.string_agg(pg_catalog.format("
							 "'%I=%L', o.option_name, o.option_value), ', ')"
							 " FROM pg_catalog.pg_class c,"
							 " pg_catalog.pg_options_to_table(c.reloptions) o"
							 " WHERE c.oid = $1 AND c.relkind = 'v'"
							 " HAVING pg_catalog.count(*) > 0",
							 args, 1);
	if (options != NIL)
		kept->view_options = (char *) linitial(options);
	comments = wh_spi_strings("SELECT d.description FROM pg_catalog.pg_description d"
							  " WHERE d.classoid = " PG_CLASS
							  " AND d.objoid = $1 AND d.objsubid = 0",
							  args, 1);
	if (comments != NIL)
		kept->comment = (char *) linitial(comments);

	return kept;
}

/*
 * Give a new relation what its predecessor had, and nothing that default
 * privileges gave it beyond that.
 */
void
wh_kept_restore(const WhKept *kept, Oid relid)
{
	WhArg		arg = oid_arg(relid);
	List	   *revokes;
	ListCell   *lc;

	revokes = wh_spi_strings("SELECT DISTINCT pg_catalog.format("
							 "'REVOKE ALL ON TABLE %s FROM %s',"
							 " $1::pg_catalog.regclass," GRANTEE ")"
							 " FROM" TABLE_PRIVILEGES " WHERE c.oid = $1",
							 &arg, 1);
	foreach(lc, revokes)
		wh_ddl((const char *) lfirst(lc));
	foreach(lc, kept->statements)
		wh_ddl((const char *) lfirst(lc));
	if (kept->comment != NULL)
		wh_ddl(psprintf("COMMENT ON %s %s IS %s", wh_kept_kind(relid),
						quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												   get_rel_name(relid)),
						quote_literal_cstr(kept->comment)));
}

/*
 * Name the kind of a relation; see kept.h.
 */
const char *
wh_kept_kind(Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_MATVIEW:
			return "MATERIALIZED VIEW";
		case RELKIND_RELATION:
			return "TABLE";
		case RELKIND_FOREIGN_TABLE:
			return "FOREIGN TABLE";
		default:
			return "VIEW";
	}
}

/*
 * List what people demand of a table's rows; see kept.h.
 */
List *
wh_kept_constraints(Oid relid, TupleDesc successor, List *ours)
{
	WhArg		args[3];

	args[0] = oid_arg(relid);
	args[1] = wh_name_array(column_names(successor));
	args[2] = wh_name_array(ours);

	return wh_spi_strings("SELECT pg_catalog.format("
						  "'ALTER TABLE %s ALTER COLUMN %I SET NOT NULL',"
						  " $1::pg_catalog.regclass, t.attname)"
						  " FROM pg_catalog.pg_attribute t"
						  " WHERE t.attrelid = $1 AND t.attnum > 0"
						  " AND t.attnotnull AND t.attname = ANY ($2)"
						  " UNION ALL (SELECT pg_catalog.format("
						  "'ALTER TABLE %s ADD CONSTRAINT %I %s',"
						  " $1::pg_catalog.regclass, n.conname,"
						  " pg_catalog.pg_get_constraintdef(n.oid))"
						  " FROM pg_catalog.pg_constraint n"
						  " WHERE n.conrelid = $1 AND n.contype IN ('c', 'u', 'p', 'x')"
						  " AND n.conname <> ALL ($3)"
						  " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute t"
						  "   WHERE t.attrelid = n.conrelid AND t.attnum = ANY (n.conkey)"
						  "   AND t.attname <> ALL ($2))"
						  " ORDER BY n.conname)",
						  args, lengthof(args));
}

/*
 * List what others built on relations; see kept.h.  Rules, triggers and
 * defaults of a relation itself are people's too, though they would go with
 * it without a word; its own constraints are not, which wh_kept_constraints()
 * carries over where there can be any.
 */
char *
wh_kept_dependents(const List *relids, const List *ours)
{
	WhArg		args[2];
	List	   *dependents;

	args[0] = oids_arg(relids);
	args[1] = oids_arg(ours);
	dependents =
		wh_spi_strings("SELECT pg_catalog.string_agg(DISTINCT"
					   " CASE WHEN r.rulename = '_RETURN' THEN"
					   " pg_catalog.pg_describe_object(" PG_CLASS ","
					   " r.ev_class, 0)"
					   " ELSE pg_catalog.pg_describe_object(d.classid, d.objid,"
					   " d.objsubid) END, ', ')"
					   " FROM pg_catalog.pg_class c"
					   " JOIN pg_catalog.pg_type t ON t.oid = c.reltype"
					   " JOIN pg_catalog.pg_depend d ON (d.deptype = 'n'"
					   " OR d.deptype = 'a' AND d.classid IN (" PG_REWRITE ","
					   " 'pg_catalog.pg_trigger'::pg_catalog.regclass,"
					   " 'pg_catalog.pg_attrdef'::pg_catalog.regclass)) AND"
					   " (d.refclassid = " PG_CLASS
					   " AND d.refobjid = c.oid"
					   " OR d.refclassid = " PG_TYPE
					   " AND d.refobjid IN (t.oid, t.typarray))"
					   " LEFT JOIN pg_catalog.pg_rewrite r"
					   " ON r.oid = d.objid AND d.classid = " PG_REWRITE
					   " LEFT JOIN pg_catalog.pg_constraint k"
					   " ON k.oid = d.objid AND d.classid ="
					   " 'pg_catalog.pg_constraint'::pg_catalog.regclass"
					   " WHERE c.oid = ANY ($1) AND (k.oid IS NULL OR k.conrelid <> ALL ($1))"
					   " AND (r.oid IS NULL OR r.ev_class <> ALL ($2)"
					   " AND NOT (r.ev_class = ANY ($1) AND r.rulename = '_RETURN'))"
					   " HAVING pg_catalog.count(*) > 0",
					   args, lengthof(args));

	return dependents == NIL ? NULL : (char *) linitial(dependents);
}

/*
 * Put a relation that reads others of the list before them; see kept.h.
 */
List *
wh_kept_readers_first(List *relids)
{
	WhArg		arg = oids_arg(relids);
	List	   *ordered = NIL;
	ListCell   *lc;

	foreach(lc, wh_spi_strings("WITH RECURSIVE given AS (SELECT u.relid FROM pg_catalog.unnest($1) AS u (relid)),"
							   " reads AS (SELECT DISTINCT r.ev_class AS reader, d.refobjid AS relid"
							   " FROM given AS g"
							   " JOIN pg_catalog.pg_depend AS d ON d.refobjid = g.relid"
							   " AND d.refclassid = " PG_CLASS " AND d.classid = " PG_REWRITE
							   " JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid"
							   " JOIN given AS h ON h.relid = r.ev_class"
							   " WHERE r.ev_class <> d.refobjid),"
							   " depths AS (SELECT g.relid, 0 AS depth FROM given AS g"
							   " UNION SELECT r.relid, p.depth + 1"
							   " FROM depths AS p JOIN reads AS r ON r.reader = p.relid"
							   " WHERE p.depth < pg_catalog.cardinality($1))"
							   " SELECT relid::pg_catalog.text FROM depths"
							   " GROUP BY relid ORDER BY pg_catalog.max(depth), relid",
							   &arg, 1))
		ordered = lappend_oid(ordered, (Oid) strtoul((const char *) lfirst(lc), NULL, 10));

	return ordered;
}

/*
 * Refuse to lose what others built on a relation; see kept.h.
 */
void
wh_kept_check_dependents(Oid relid, Oid ours, const char *what)
{
	wh_kept_check_others(relid, list_make1_oid(ours), what);
}

void
wh_kept_check_others(Oid relid, const List *ours, const char *what)
{
	char	   *dependents = wh_kept_dependents(list_make1_oid(relid), ours);

	if (dependents == NULL)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot replace or drop %s because other objects depend on it",
					what),
			 errdetail("Dependents: %s.", dependents),
			 errhint("Keep their definitions (pg_get_viewdef), drop them, run this again and create them anew. Until then nothing changes.")));
}

/*
 * Describe a relation's columns; see kept.h.
 */
TupleDesc
wh_columns_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	TupleDesc	columns;
	int			natts = 0;

	if (HeapTupleIsValid(tuple))
	{
		natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
		ReleaseSysCache(tuple);
	}
	columns = CreateTemplateTupleDesc(natts);

	for (int i = 0; i < natts; i++)
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
								Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(tuple))
			return CreateTemplateTupleDesc(0);
		memcpy(TupleDescAttr(columns, i), GETSTRUCT(tuple),
			   ATTRIBUTE_FIXED_PART_SIZE);
		ReleaseSysCache(tuple);
	}

	return columns;
}

/*
 * Compare columns as CREATE OR REPLACE VIEW does.
 */
bool
wh_columns_extend(TupleDesc before, TupleDesc now)
{
	if (before->natts > now->natts)
		return false;

	for (int i = 0; i < before->natts; i++)
	{
		Form_pg_attribute old = TupleDescAttr(before, i);
		Form_pg_attribute new = TupleDescAttr(now, i);

		if (namestrcmp(&old->attname, NameStr(new->attname)) != 0 ||
			old->atttypid != new->atttypid ||
			old->atttypmod != new->atttypmod ||
			old->attcollation != new->attcollation)
			return false;
	}

	return true;
}

bool
wh_columns_same(TupleDesc a, TupleDesc b)
{
	return a->natts == b->natts && wh_columns_extend(a, b);
}

static WhArg
oid_arg(Oid oid)
{
	WhArg		arg = {OIDOID, ObjectIdGetDatum(oid), false};

	return arg;
}

static WhArg
oids_arg(const List *oids)
{
	Datum	   *elems = (Datum *) palloc(sizeof(Datum) * Max(list_length(oids), 1));
	WhArg		arg = {OIDARRAYOID, (Datum) 0, false};
	int			n = 0;
	ListCell   *lc;

	foreach(lc, oids)
		elems[n++] = ObjectIdGetDatum(lfirst_oid(lc));
	arg.value = PointerGetDatum(construct_array(elems, n, OIDOID, sizeof(Oid), true,
												TYPALIGN_INT));

	return arg;
}

static List *
column_names(TupleDesc columns)
{
	List	   *names = NIL;

	for (int i = 0; i < columns->natts; i++)
		names = lappend(names, NameStr(TupleDescAttr(columns, i)->attname));

	return names;
}
