/*
 * names.c
 *		Names of templates, tenants, relations and indexes: made, bounded and
 *		checked.
 *
 * A name is made from what the ledger says and never taken apart again, so
 * the checks here refuse what would make two different things share one name.
 * Lengths count bytes, since that is what PostgreSQL cuts at.  Quoting is left
 * to whoever writes the statement, but for the one that many HINTs share.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "names.h"

/* "_" and eight hexadecimal digits. */
#define HASH_SUFFIX_LENGTH 9

static void check_length(const char *kind, const char *name, int max);
static void check_characters(const char *kind, const char *name);
static void check_not_system(const char *kind, const char *name);
static bool ends_like_period(const char *name);
static bool matches_mask(const char *text, const char *mask);

/*
 * Make the name of the relation that holds a period of a template.
 */
char *
wh_slice_name(const char *template_name, const WhPeriod *period)
{
	char	   *date;

	if (period->kind == WH_WHOLE)
		return pstrdup(template_name);

	date = wh_date_text(period->start);
	for (char *c = date; *c != '\0'; c++)
	{
		if (*c == '-')
			*c = '_';
	}

	return psprintf("%s_%.*s", template_name,
					period->kind == WH_DAY ? 10 :
					period->kind == WH_MONTH ? 7 : 4,
					date);
}

/*
 * Return the name, made to fit: names that differ anywhere still differ after
 * the cut, as far as 32 bits of hash can tell.
 */
char *
wh_bounded_name(const char *name)
{
	int			len = strlen(name);
	int			kept;

	if (len < NAMEDATALEN)
		return pstrdup(name);

	kept = pg_mbcliplen(name, len, NAMEDATALEN - 1 - HASH_SUFFIX_LENGTH);

	return psprintf("%.*s_%08x", kept, name,
					hash_bytes((const unsigned char *) name, len));
}

/*
 * Write the statement that moves what is not ours out of the way.
 */
char *
wh_rename_aside(const char *schema, const char *name)
{
	return psprintf("ALTER TABLE %s RENAME TO %s;",
					quote_qualified_identifier(schema, name),
					quote_identifier(wh_bounded_name(psprintf("%s_old",
															  name))));
}

/*
 * Check the name of a template: its relations' names, with the longest period
 * added, must fit, and must not look like another template's.
 */
void
wh_check_template_name(const char *name)
{
	check_length("template", name, WH_TEMPLATE_NAME_MAX);
	check_characters("template", name);
	if (ends_like_period(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("template name \"%s\" ends like a period", name),
				 errhint("Choose a name that does not end in _YYYY, _YYYY_MM or _YYYY_MM_DD: slices are named so.")));
}

/*
 * Check the name of a tenant, which is also its schema's unless told else.
 */
void
wh_check_tenant_name(const char *name)
{
	check_length("tenant", name, NAMEDATALEN - 1);
	check_characters("tenant", name);
	check_not_system("tenant", name);

	/* Passwords are given under this name, too. */
	if (strcmp(name, WH_ARCHIVE_NAME) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("tenant name \"%s\" is reserved", name),
				 errhint("The keys of the archive go by it; choose another.")));
}

/*
 * Check the name of a schema that is to hold a tenant's relations.
 */
void
wh_check_schema_name(const char *name)
{
	Size		len = strlen(name);
	Size		suffix = strlen(WH_LIVE_SUFFIX);

	check_length("schema", name, NAMEDATALEN - 1);
	check_characters("schema", name);
	check_not_system("schema", name);
	if (len >= suffix && strcmp(name + len - suffix, WH_LIVE_SUFFIX) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("schema name \"%s\" is reserved", name),
				 errhint("Choose one that does not end in " WH_LIVE_SUFFIX ": foreign tables of live templates are kept in such.")));
}

static void
check_length(const char *kind, const char *name, int max)
{
	int			len = strlen(name);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s name is empty", kind),
				 errhint("Choose a name of 1 to %d bytes.", max)));
	if (len > max)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("%s name \"%s\" is too long", kind, name),
				 errhint("Choose a name of at most %d bytes; this one has %d.",
						 max, len)));
}

/*
 * Refuse control characters, which would break log lines and reports apart.
 * The name is not shown for the same reason.
 */
static void
check_characters(const char *kind, const char *name)
{
	for (const unsigned char *c = (const unsigned char *) name; *c != '\0'; c++)
	{
		if (*c < ' ' || *c == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("%s name holds the control character 0x%02x",
							kind, *c),
					 errhint("Choose a name without line breaks, tabs and the like.")));
	}
}

/*
 * Refuse the schemas of PostgreSQL and our own, and the one that everybody
 * shares.
 */
static void
check_not_system(const char *kind, const char *name)
{
	if (strcmp(name, "public") == 0 ||
		strcmp(name, "information_schema") == 0 ||
		strcmp(name, "_wh") == 0 ||
		strcmp(name, "_wh_union") == 0 ||
		strncmp(name, "pg_", 3) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("%s name \"%s\" is reserved", kind, name),
				 errhint("Choose another than public, information_schema, _wh, _wh_union and pg_*.")));
}

static bool
ends_like_period(const char *name)
{
	static const char *const masks[] = {"_9999", "_9999_99", "_9999_99_99"};
	Size		len = strlen(name);

	for (int i = 0; i < (int) lengthof(masks); i++)
	{
		Size		suffix = strlen(masks[i]);

		if (len >= suffix && matches_mask(name + len - suffix, masks[i]))
			return true;
	}

	return false;
}

/*
 * Does the text follow the mask, where a 9 stands for any digit?
 */
static bool
matches_mask(const char *text, const char *mask)
{
	for (; *mask != '\0'; text++, mask++)
	{
		if (*mask == '9' ? (*text < '0' || *text > '9') : *text != *mask)
			return false;
	}

	return true;
}
