/*
 * breaker.c
 *		_wh.breakers: tenants whose server does not answer, and when it is
 *		asked again.
 *
 * A row tells of failures in a row; a server that answers has none.  It is
 * written where the log's row is, outside of what failed.  One session at a
 * time counts for a tenant, under an object lock that is tried for a moment:
 * somebody's long transaction, which would keep a row lock for as long, must
 * keep nobody waiting.  The same lock is the leave to probe, so whatever ends
 * the prober, its leave ends too.
 *
 * The time for which a server is left alone is doubled with each probe that
 * fails, and blurred, so that tenants of one server that comes back are not
 * all asked at once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "breaker.h"
#include "guc.h"
#include "lock.h"
#include "notify.h"
#include "spi.h"

#define LONGEST_COOLDOWN (60 * 60 * 1000)	/* ms */

/* How long to try to be the one who counts, ms. */
#define COUNT_PATIENCE 250

static bool may_write(const char *tenant);
static void *read_breaker(uint64 row);
static void open_breaker(WhBreaker *breaker, int cooldown, TimestampTz now);
static void put_breaker(const char *tenant, const WhBreaker *breaker);
static bool delete_breaker(const char *tenant);
static void tell(const char *event, const char *tenant, const WhBreaker *breaker);

/*
 * Look a breaker up; see breaker.h.
 */
WhBreaker *
wh_breaker(const char *tenant)
{
	WhArg		arg = wh_text(tenant);
	List	   *found = wh_spi_list("SELECT failures, opened_at, probe_at, cooldown_ms,"
									" sqlstate, error_message FROM _wh.breakers"
									" WHERE tenant_name OPERATOR(pg_catalog.=) $1",
									&arg, 1, read_breaker);

	return found == NIL ? NULL : (WhBreaker *) linitial(found);
}

bool
wh_breaker_try(const char *tenant)
{
	return wh_lock_key_try("breakers", tenant);
}

/*
 * Note a failure; see breaker.h.  One that was under way when the breaker
 * opened is no news.
 */
bool
wh_breaker_failed(const char *tenant, const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();
	WhBreaker  *breaker;
	bool		opens = false;

	if (wh_breaker_failures == 0 || !may_write(tenant))
		return false;

	breaker = wh_breaker(tenant);
	if (breaker == NULL)
		breaker = (WhBreaker *) palloc0(sizeof(WhBreaker));
	breaker->failures++;
	breaker->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	breaker->message = error->message;

	if (breaker->state == WH_BREAKER_HALF_OPEN)
	{
		opens = true;
		open_breaker(breaker, Min((int64) breaker->cooldown * 2, LONGEST_COOLDOWN), now);
	}
	else if (breaker->state == WH_BREAKER_CLOSED &&
			 breaker->failures >= wh_breaker_failures)
	{
		opens = true;
		breaker->opened_at = now;
		open_breaker(breaker, wh_breaker_cooldown, now);
	}
	put_breaker(tenant, breaker);
	if (opens)
		tell("breaker_open", tenant, breaker);

	return breaker->state == WH_BREAKER_OPEN;
}

void
wh_breaker_answered(const char *tenant)
{
	WhBreaker  *breaker;

	if (!may_write(tenant))
		return;

	breaker = wh_breaker(tenant);
	if (breaker == NULL || !delete_breaker(tenant))
		return;
	if (breaker->state != WH_BREAKER_CLOSED)
		tell("breaker_closed", tenant, NULL);
}

bool
wh_breaker_close(const char *tenant)
{
	WhBreaker  *breaker = wh_breaker(tenant);

	if (breaker == NULL || !delete_breaker(tenant))
		return false;
	if (breaker->state != WH_BREAKER_CLOSED)
		tell("breaker_closed", tenant, NULL);

	return true;
}

/*
 * Have the breaker to ourselves until the end of the transaction.  Not in one
 * that keeps a snapshot: it may not change what others have changed since.
 */
static bool
may_write(const char *tenant)
{
	return !IsolationUsesXactSnapshot() &&
		wh_lock_key_within("breakers", tenant, COUNT_PATIENCE);
}

static void *
read_breaker(uint64 row)
{
	WhBreaker  *breaker = (WhBreaker *) palloc0(sizeof(WhBreaker));

	breaker->failures = wh_col_int4(row, 1, 0);
	breaker->opened_at = wh_col_timestamptz(row, 2, DT_NOBEGIN);
	breaker->probe_at = wh_col_timestamptz(row, 3, DT_NOBEGIN);
	breaker->cooldown = wh_col_int4(row, 4, 0);
	breaker->sqlstate = wh_col_text(row, 5);
	breaker->message = wh_col_text(row, 6);
	breaker->state = breaker->opened_at == DT_NOBEGIN ? WH_BREAKER_CLOSED :
		breaker->probe_at > GetCurrentTimestamp() ? WH_BREAKER_OPEN :
		WH_BREAKER_HALF_OPEN;

	return breaker;
}

/*
 * Leave the server alone for the cool-down, give or take a quarter.
 */
static void
open_breaker(WhBreaker *breaker, int cooldown, TimestampTz now)
{
	double		blur = 0.75 + pg_prng_double(&pg_global_prng_state) / 2;

	breaker->state = WH_BREAKER_OPEN;
	breaker->cooldown = cooldown;
	breaker->probe_at = now + (TimestampTz) (cooldown * blur * 1000);
}

static void
put_breaker(const char *tenant, const WhBreaker *breaker)
{
	bool		open = breaker->state != WH_BREAKER_CLOSED;
	WhArg		args[8];

	args[0] = wh_text(tenant);
	args[1] = wh_int4(breaker->failures);
	args[2] = open ? wh_timestamptz(breaker->opened_at) : wh_null(TIMESTAMPTZOID);
	args[3] = open ? wh_timestamptz(breaker->probe_at) : wh_null(TIMESTAMPTZOID);
	args[4] = open ? wh_int4(breaker->cooldown) : wh_null(INT4OID);
	args[5] = wh_text(breaker->sqlstate);
	args[6] = wh_text(breaker->message);
	args[7] = wh_timestamptz(GetCurrentTimestamp());

	(void) wh_ledger("INSERT INTO _wh.breakers (tenant_name, failures, opened_at,"
					 " probe_at, cooldown_ms, sqlstate, error_message, failed_at)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
					 " ON CONFLICT (tenant_name) DO UPDATE SET"
					 " failures = EXCLUDED.failures, opened_at = EXCLUDED.opened_at,"
					 " probe_at = EXCLUDED.probe_at, cooldown_ms = EXCLUDED.cooldown_ms,"
					 " sqlstate = EXCLUDED.sqlstate,"
					 " error_message = EXCLUDED.error_message,"
					 " failed_at = EXCLUDED.failed_at",
					 args, lengthof(args));
}

static bool
delete_breaker(const char *tenant)
{
	WhArg		arg = wh_text(tenant);

	return wh_ledger("DELETE FROM _wh.breakers"
					 " WHERE tenant_name OPERATOR(pg_catalog.=) $1", &arg, 1) > 0;
}

/*
 * Tell whoever listens.
 */
static void
tell(const char *event, const char *tenant, const WhBreaker *breaker)
{
	WhNews		news[] = {
		{.name = "tenant",.value = tenant},
		{.name = "sqlstate",.value = breaker ? breaker->sqlstate : NULL},
		{.name = "failures",.number = breaker ? breaker->failures : 0},
		{.name = "probe_at",.value = breaker ? pstrdup(timestamptz_to_str(breaker->probe_at)) : NULL},
		{.name = "message",.value = breaker ? breaker->message : NULL}
	};

	wh_notify(event, news, lengthof(news));
}
