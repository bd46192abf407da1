/*
 * livereader.c
 *		Live views that read a relation of their tenant's, while that gives its
 *		place to another.
 *
 * A live template may read other templates' relations, and a relation is
 * replaced when its columns change or it becomes a snapshot, a table or a view.
 * Ours are the views, so that is not in the way: they show nothing for the
 * moment, which nobody sees, and then the same text over the new relation.
 * They keep their identity, grants and whatever is built on them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "kept.h"
#include "livereader.h"
#include "livetable.h"
#include "lock.h"
#include "slice.h"
#include "spi.h"
#include "template.h"
#include "viewmake.h"

struct WhLiveReader
{
	char	   *view;			/* qualified and quoted */
	char	   *options;		/* NULL: none */
	char	   *definition;
};

static char *definition_of(Oid view);
static char *nothing(TupleDesc columns);
static void write_view(const WhLiveReader *reader, const char *select);

List *
wh_live_readers(const WhTenant *tenant, Oid relid)
{
	WhPeriod	whole = wh_period_whole();
	List	   *readers = NIL;
	ListCell   *lc;

	foreach(lc, wh_templates_all())
	{
		const WhSlice *slice = wh_slice_find(((const WhTemplate *) lfirst(lc))->name,
											 tenant->name, &whole);
		Oid			view = slice != NULL ? wh_slice_relid(slice) : InvalidOid;

		if (OidIsValid(view) && view != relid && get_rel_relkind(view) == RELKIND_VIEW &&
			wh_view_shows(view, relid))
			readers = lappend_oid(readers, view);
	}

	return readers;
}

List *
wh_live_readers_put_aside(const WhTenant *tenant, Oid relid, double *lock_ms)
{
	List	   *views = wh_live_readers(tenant, relid);
	List	   *readers = NIL;
	ListCell   *lc;

	/* Nobody is to write one of them anew meanwhile. */
	if (views != NIL)
		*lock_ms += wh_livetables_lock(wh_live_schema(tenant->schema));
	foreach(lc, views)
	{
		Oid			view = lfirst_oid(lc);
		char	   *schema = get_namespace_name(get_rel_namespace(view));
		WhLiveReader *reader = (WhLiveReader *) palloc(sizeof(WhLiveReader));
		TupleDesc	columns;

		*lock_ms += wh_lock_relation(view, wh_view_what(schema, get_rel_name(view)));
		columns = wh_columns_of(view);
		reader->view = quote_qualified_identifier(schema, get_rel_name(view));
		reader->options = wh_kept(view, columns)->view_options;
		reader->definition = definition_of(view);
		write_view(reader, nothing(columns));
		readers = lappend(readers, reader);
	}

	return readers;
}

void
wh_live_readers_put_back(List *readers, const char *what)
{
	ListCell   *lc;

	foreach(lc, readers)
	{
		const WhLiveReader *reader = (const WhLiveReader *) lfirst(lc);
		MemoryContext context = CurrentMemoryContext;

		PG_TRY();
		{
			write_view(reader, reader->definition);
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
				PG_RE_THROW();
			FlushErrorState();
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot replace %s because live view %s needs it as it was",
							what, reader->view),
					 errdetail("%s", error->message),
					 errhint("Change that template first, or drop it.")));
		}
		PG_END_TRY();
	}
}

/*
 * Return a view's SELECT, with every name qualified: the search path is
 * pg_catalog alone.
 */
static char *
definition_of(Oid view)
{
	WhArg		arg = wh_int8(view);

	return (char *) linitial(wh_spi_strings("SELECT pg_catalog.rtrim(pg_catalog.pg_get_viewdef($1::pg_catalog.oid), ';')",
											&arg, 1));
}

/*
 * Write a SELECT of the same columns that reads nothing.
 */
static char *
nothing(TupleDesc columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		appendStringInfo(&sql, "%sNULL::%s", i == 0 ? "SELECT " : ", ",
						 format_type_with_typemod(att->atttypid, att->atttypmod));
		if (OidIsValid(att->attcollation) && att->attcollation != get_typcollation(att->atttypid))
			appendStringInfo(&sql, " COLLATE %s", generate_collation_name(att->attcollation));
		appendStringInfo(&sql, " AS %s", quote_identifier(NameStr(att->attname)));
	}
	appendStringInfoString(&sql, " WHERE false");

	return sql.data;
}

static void
write_view(const WhLiveReader *reader, const char *select)
{
	wh_ddl(psprintf("CREATE OR REPLACE VIEW %s%s%s%s AS %s", reader->view,
					reader->options ? " WITH (" : "", reader->options ? reader->options : "",
					reader->options ? ")" : "", select));
}
