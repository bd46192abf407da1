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

void
wh_remote_failed_reset(void)
{
	failed = WH_FAULT_OURS;
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
