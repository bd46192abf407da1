/*
 * planned.c
 *		Answers the calls of the agreed surface that a later version builds, so
 *		that nobody mistakes a name for a misspelt one.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(wh_planned);

/*
 * Any function that is declared and not built yet.
 */
Datum
wh_planned(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("_wh.%s() is not built yet", get_func_name(fcinfo->flinfo->fn_oid)),
			 errhint("CHANGELOG.md says what each version brings.")));
}
