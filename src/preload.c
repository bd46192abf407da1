/*
 * preload.c
 *		Which sessions load this library when they begin.
 *
 * A session takes session_preload_libraries from its role in this database,
 * else from its role, else from the database, else from the server: each
 * replaces the next, so a role's own list can leave the library out.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "preload.h"
#include "spi.h"

#define LIBRARY "pg_warehouse"

static List *settings_found(bool *database_has_one);
static WhPreloadGap *gap_in(const char *role, char *value);
static bool server_preloads(void);
static bool names_library(List *libraries);

/*
 * List the gaps; see preload.h.
 */
List *
wh_preload_gaps(void)
{
	bool		database_has_one;
	List	   *gaps;
	WhPreloadGap *gap;

	if (server_preloads())
		return NIL;

	gaps = settings_found(&database_has_one);
	if (database_has_one)
		return gaps;

	gap = gap_in(NULL,
				 GetConfigOptionByName("session_preload_libraries", NULL, false));

	return gap != NULL ? lcons(gap, gaps) : gaps;
}

/*
 * List the gaps of what ALTER DATABASE and ALTER ROLE have set, the
 * database's first.
 */
static List *
settings_found(bool *database_has_one)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		args[] = {wh_text(get_database_name(MyDatabaseId))};
	List	   *gaps = NIL;
	uint64		rows;

	*database_has_one = false;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "SELECT DISTINCT ON (r.rolname) r.rolname,"
				  " pg_catalog.substr(entry,"
				  "   pg_catalog.strpos(entry, '=') OPERATOR(pg_catalog.+) 1)"
				  " FROM pg_catalog.pg_db_role_setting AS s"
				  " LEFT JOIN pg_catalog.pg_roles AS r"
				  "   ON r.oid OPERATOR(pg_catalog.=) s.setrole,"
				  " pg_catalog.unnest(s.setconfig) AS entry"
				  " WHERE (s.setdatabase OPERATOR(pg_catalog.=) 0"
				  "   OR s.setdatabase OPERATOR(pg_catalog.=)"
				  "   (SELECT d.oid FROM pg_catalog.pg_database AS d"
				  "    WHERE d.datname OPERATOR(pg_catalog.=) $1::pg_catalog.name))"
				  " AND (r.rolname IS NOT NULL"
				  "   OR s.setdatabase OPERATOR(pg_catalog.<>) 0)"
				  " AND entry OPERATOR(pg_catalog.~~) 'session_preload_libraries=%'"
				  " ORDER BY r.rolname NULLS FIRST,"
				  " s.setdatabase OPERATOR(pg_catalog.=) 0",
				  args, lengthof(args));

	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
	{
		char	   *role = wh_col_text(row, 1);
		WhPreloadGap *gap = gap_in(role, wh_col_text(row, 2));

		*database_has_one |= role == NULL;
		if (gap != NULL)
			gaps = lappend(gaps, gap);
	}
	SPI_finish();

	return gaps;
}

/*
 * Say how to mend one list of libraries; NULL when it names ours.  "value" is
 * scribbled on.
 */
static WhPreloadGap *
gap_in(const char *role, char *value)
{
	const char *database = quote_identifier(get_database_name(MyDatabaseId));
	WhPreloadGap *gap;
	List	   *libraries;
	ListCell   *lc;
	StringInfoData sql;

	if (!SplitDirectoriesString(value, ',', &libraries))
		libraries = NIL;
	if (names_library(libraries))
		return NULL;

	initStringInfo(&sql);
	if (role == NULL)
		appendStringInfo(&sql, "ALTER DATABASE %s", database);
	else
		appendStringInfo(&sql, "ALTER ROLE %s IN DATABASE %s",
						 quote_identifier(role), database);
	appendStringInfoString(&sql, " SET session_preload_libraries = ");
	foreach(lc, libraries)
	{
		/* An empty setting is one library without a name. */
		if (*(char *) lfirst(lc) != '\0')
			appendStringInfo(&sql, "%s, ", quote_literal_cstr((char *) lfirst(lc)));
	}
	appendStringInfo(&sql, "%s;", quote_literal_cstr(LIBRARY));

	gap = (WhPreloadGap *) palloc(sizeof(WhPreloadGap));
	gap->role = role != NULL ? pstrdup(role) : NULL;
	gap->sql = sql.data;

	return gap;
}

static bool
server_preloads(void)
{
	const char *value = GetConfigOption("shared_preload_libraries", false, false);
	List	   *libraries;

	return SplitDirectoriesString(pstrdup(value), ',', &libraries) &&
		names_library(libraries);
}

/*
 * Is the library in the list, with or without its directory?
 */
static bool
names_library(List *libraries)
{
	ListCell   *lc;

	foreach(lc, libraries)
	{
		const char *name = (const char *) lfirst(lc);
		const char *slash = last_dir_separator(name);

		if (strcmp(slash != NULL ? slash + 1 : name, LIBRARY) == 0)
			return true;
	}

	return false;
}
