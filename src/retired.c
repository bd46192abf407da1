/*
 * retired.c
 *		_wh.retired_relations: what a roll-up has replaced and not yet dropped.
 *
 * The only file that names that table.  A relation is noted in the transaction
 * that takes it out of the ledger, and struck out in the one that drops it, so
 * that whatever ends a roll-up in between leaves no relation that nobody knows
 * of.  When to drop it is rollup's.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/lsyscache.h"

#include "retired.h"
#include "spi.h"

static void *read_retired(uint64 row);

/*
 * List relations in order of name; see retired.h.
 */
List *
wh_retired(const char *template_name, const char *tenant)
{
	WhArg		args[2];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);

	return wh_spi_list("SELECT template_name, tenant_name,"
					   " relation_schema, relation_name"
					   " FROM _wh.retired_relations"
					   WH_WHERE_PAIR
					   " ORDER BY template_name, tenant_name,"
					   " relation_schema, relation_name",
					   args, lengthof(args), read_retired);
}

static void *
read_retired(uint64 row)
{
	WhRetired  *retired = (WhRetired *) palloc(sizeof(WhRetired));

	retired->template_name = wh_col_text(row, 1);
	retired->tenant_name = wh_col_text(row, 2);
	retired->relation_schema = wh_col_text(row, 3);
	retired->relation_name = wh_col_text(row, 4);

	return retired;
}

void
wh_retired_put(const char *template_name, const char *tenant, List *schemas,
			   List *names)
{
	WhArg		args[4];

	args[0] = wh_text(template_name);
	args[1] = wh_text(tenant);
	args[2] = wh_text_array(schemas);
	args[3] = wh_text_array(names);

	(void) wh_ledger("INSERT INTO _wh.retired_relations (relation_schema,"
					 " relation_name, template_name, tenant_name)"
					 " SELECT r.relation_schema::pg_catalog.name,"
					 " r.relation_name::pg_catalog.name, $1, $2"
					 " FROM ROWS FROM (pg_catalog.unnest($3),"
					 " pg_catalog.unnest($4)) AS r (relation_schema, relation_name)"
					 " ON CONFLICT (relation_schema, relation_name) DO NOTHING",
					 args, lengthof(args));
}

void
wh_retired_forget(List *retired)
{
	List	   *schemas = NIL;
	List	   *names = NIL;
	WhArg		args[2];
	ListCell   *lc;

	if (retired == NIL)
		return;

	foreach(lc, retired)
	{
		const WhRetired *one = (const WhRetired *) lfirst(lc);

		schemas = lappend(schemas, one->relation_schema);
		names = lappend(names, one->relation_name);
	}
	args[0] = wh_text_array(schemas);
	args[1] = wh_text_array(names);

	(void) wh_ledger("DELETE FROM _wh.retired_relations AS r"
					 " USING ROWS FROM (pg_catalog.unnest($1),"
					 " pg_catalog.unnest($2)) AS g (relation_schema, relation_name)"
					 " WHERE r.relation_schema OPERATOR(pg_catalog.=)"
					 " g.relation_schema::pg_catalog.name"
					 " AND r.relation_name OPERATOR(pg_catalog.=)"
					 " g.relation_name::pg_catalog.name",
					 args, lengthof(args));
}

Oid
wh_retired_relid(const WhRetired *retired)
{
	Oid			nspid = get_namespace_oid(retired->relation_schema, true);

	return OidIsValid(nspid) ?
		get_relname_relid(retired->relation_name, nspid) : InvalidOid;
}
