/*
 * audit.c
 *		_wh.audit_log: who changed what.
 *
 * The line names the role that the user had set, not the one that a function
 * of ours became for the work.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "audit.h"
#include "spi.h"

void
wh_audit(const char *action, const char *subject, const char *detail)
{
	WhArg		args[4];

	args[0] = wh_name(GetUserNameFromId(GetOuterUserId(), true));
	args[1] = wh_text(action);
	args[2] = wh_text(subject);
	args[3] = wh_null(JSONBOID);
	if (detail != NULL)
		args[3] = wh_jsonb(DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															  CStringGetDatum(detail))));

	(void) wh_ledger("INSERT INTO _wh.audit_log (role, action, subject, detail)"
					 " VALUES ($1, $2, $3, $4)",
					 args, lengthof(args));
}
