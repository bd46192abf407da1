/*
 * store.c
 *		Which store the settings name, and what a key may be.
 *
 * A key becomes a path below a folder, or part of a URL, so it is checked
 * before either is made of it, whoever made the key.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "guc.h"
#include "settings.h"
#include "store.h"
#include "storedir.h"
#include "stores3.h"

#define MAX_KEY_LENGTH 1000

static bool is_plain(unsigned char c);

bool
wh_store_configured(void)
{
	return wh_archive_directory[0] != '\0' || wh_s3_bucket[0] != '\0';
}

/*
 * Open the store that the settings name; see store.h.  A copy of the warehouse
 * must not touch what its original has archived.
 */
WhStore *
wh_store_open(void)
{
	wh_check_outbound();
	if (!wh_store_configured())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no archive"),
				 errdetail("pg_warehouse.archive_directory is empty, and so is pg_warehouse.s3_bucket."),
				 errhint("ALTER SYSTEM SET pg_warehouse.archive_directory = '/path/outside/the/data/directory'; SELECT pg_reload_conf();")));

	if (wh_archive_directory[0] != '\0')
		return wh_storedir_open(wh_archive_directory);

	return wh_stores3_open();
}

/*
 * Check a key; see store.h.
 */
void
wh_store_check_key(const char *key)
{
	Size		len = strlen(key);
	bool		begins = true;	/* a segment */
	bool		fit = len > 0 && len <= MAX_KEY_LENGTH;

	for (const char *c = key; fit && *c != '\0'; c++)
	{
		if (*c == '/')
			fit = !begins;
		else
			fit = is_plain((unsigned char) *c) && !(begins && *c == '.');
		begins = *c == '/';
	}
	if (fit && !begins)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no key of an archive", key),
			 errdetail("A key is segments of letters, digits, '.', '-', '_' and '~' with '/' in between, none of which begins with a dot."),
			 errhint("Undo what changed csv_path in _wh.extract_runs.")));
}

/*
 * Write a name as a segment; see store.h.
 */
char *
wh_store_segment(const char *name)
{
	StringInfoData segment;

	initStringInfo(&segment);
	for (const char *c = name; *c != '\0'; c++)
	{
		if (is_plain((unsigned char) *c) && *c != '~' && !(c == name && *c == '.'))
			appendStringInfoChar(&segment, *c);
		else
			appendStringInfo(&segment, "~%02X", (unsigned char) *c);
	}

	return segment.data;
}

static bool
is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (c != '\0' && strchr(".-_~", c) != NULL);
}
