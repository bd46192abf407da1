/*
 * fault.c
 *		Whose fault an error is: the tenant's, the archive's or our own, and of
 *		what kind.
 *
 * The mark outlives an error on purpose, since a handler asks for it; every
 * unit resets it first, so what an earlier one left is never read.
 */
#include "postgres.h"

#include "fault.h"

static WhFault failed = WH_FAULT_OURS;
static bool standby_failed = false;
static bool postponed = false;

void
wh_remote_failed_reset(void)
{
	failed = WH_FAULT_OURS;
	standby_failed = false;
	postponed = false;
}

void
wh_remote_failed_mark(void)
{
	failed = WH_FAULT_TENANT;
}

void
wh_archive_failed_mark(void)
{
	failed = WH_FAULT_ARCHIVE;
}

void
wh_archive_failed_reset(void)
{
	if (failed == WH_FAULT_ARCHIVE)
		failed = WH_FAULT_OURS;
}

bool
wh_remote_failed(void)
{
	return failed != WH_FAULT_OURS;
}

WhFault
wh_fault(void)
{
	return failed;
}

void
wh_remote_standby_mark(bool standby)
{
	standby_failed = standby;
}

void
wh_postponed_mark(void)
{
	postponed = true;
}

bool
wh_postponed(void)
{
	return postponed;
}

/*
 * Say whether an error may pass by itself; see fault.h.  A lack of resources
 * here is nothing to wait for, but at the tenant others end, too.
 */
bool
wh_error_may_pass(int sqlerrcode, bool remote)
{
	switch (sqlerrcode)
	{
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return true;
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CRASH_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
			return remote;
		case ERRCODE_READ_ONLY_SQL_TRANSACTION:
			return remote && standby_failed;
		default:
			break;
	}

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
			return remote;
		default:
			return false;
	}
}

/*
 * Say whether an error speaks of the server as a whole; see fault.h.
 */
bool
wh_error_is_servers(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CRASH_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
		case ERRCODE_TOO_MANY_CONNECTIONS:
		case ERRCODE_UNDEFINED_DATABASE:
			/* Let in, but not by the password. */
		case ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED:
			return true;
		default:
			break;
	}

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return true;
		default:
			return false;
	}
}

/*
 * Say what kind of trouble an SQLSTATE is, in the log's words.
 */
const char *
wh_error_category(int sqlerrcode, WhFault fault)
{
	bool		remote = fault == WH_FAULT_TENANT;

	if (fault == WH_FAULT_ARCHIVE)
		return "storage";

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
			return "network";
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return "authentication";
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return "data";
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
			return remote ? "source" : "storage";
		case ERRCODE_OPERATOR_INTERVENTION:
			return remote ? "source" : "cancelled";
		default:
			if (sqlerrcode == ERRCODE_DATATYPE_MISMATCH)
				return "source";
			return remote ? "source" : "local";
	}
}
