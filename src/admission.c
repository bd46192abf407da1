/*
 * admission.c
 *		Whether a unit may be run now: pauses, breakers, and what its tenant
 *		allows.
 *
 * A pause is ours, and holds up what nobody asked for by name.  The rest is the
 * tenant's, and holds for everybody: hours, what was read today, how many of
 * us at a time over all sessions, and its breaker.  What its server says of
 * its load is asked on the connection (loadgate).
 *
 * A refusal is no failure: the unit is skipped, and the log says why.  Most are
 * made before there is anything to undo, so that a unit of a tenant that is
 * down costs one row and no socket.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "breaker.h"
#include "limits.h"
#include "lock.h"
#include "pause.h"

static bool asks_tenant(const WhUnit *unit);
static const char *pause_refusal(const WhUnit *unit);
static const char *limits_refusal(const WhTenant *tenant);
static const char *window_refusal(const WhTenant *tenant, const WhLimits *limits);
static const char *budget_refusal(const WhTenant *tenant, const WhLimits *limits);
static const char *pass_breaker(const char *tenant, WhRun *run);
static const char *breaker_refusal(const char *tenant, const WhBreaker *breaker);
static const char *moment(TimestampTz at);
static int	take_place(const WhTenant *tenant);
static void leave_place(const WhTenant *tenant, WhRun *run);
static char *place_key(const WhTenant *tenant, int place);

/*
 * Say why a unit is not to be begun; see admission.h.
 */
const char *
wh_admission_refusal(const WhUnit *unit)
{
	const char *reason = pause_refusal(unit);

	if (reason != NULL || !asks_tenant(unit))
		return reason;

	reason = breaker_refusal(unit->tenant->name, wh_breaker(unit->tenant->name));

	return reason != NULL ? reason : limits_refusal(unit->tenant);
}

/*
 * Take what the unit needs; see admission.h.
 */
const char *
wh_admission_enter(const WhUnit *unit, WhRun *run)
{
	const char *reason;

	if (!asks_tenant(unit))
		return NULL;

	run->place = take_place(unit->tenant);
	if (run->place < 0)
	{
		run->may_pass = true;
		return psprintf("all %d connections that tenant \"%s\" allows are in use by other runs",
						unit->tenant->max_connections, unit->tenant->name);
	}

	reason = pass_breaker(unit->tenant->name, run);
	if (reason != NULL)
		leave_place(unit->tenant, run);

	return reason;
}

/*
 * Leave; see admission.h.  A server that fails a statement has answered; one
 * that we did not get as far as asking, or gave up waiting for, tells nothing.
 */
void
wh_admission_leave(const WhUnit *unit, WhRun *run)
{
	const char *tenant = unit->tenant->name;

	if (run->place < 0)
		return;

	leave_place(unit->tenant, run);
	if (run->server_failed)
	{
		if (wh_breaker_failed(tenant, run->error))
			run->may_pass = false;
	}
	else if (run->watched &&
			 (run->error == NULL ||
			  (run->fault == WH_FAULT_TENANT && run->error->sqlerrcode != ERRCODE_QUERY_CANCELED)))
		wh_breaker_answered(tenant);
}

/*
 * Does the unit contact a tenant?  A live one has the bridge that it goes by,
 * which has connections of its own; and what is lost is brought back at once,
 * perhaps from the archive.
 */
static bool
asks_tenant(const WhUnit *unit)
{
	return !unit->rollup && unit->replays == 0 && unit->purpose != WH_RESTORE &&
		strcmp(unit->tmpl->source, "tenant") == 0 && !wh_template_is_live(unit->tmpl);
}

static const char *
pause_refusal(const WhUnit *unit)
{
	const WhPause *pause;

	if (unit->named)
		return NULL;
	pause = wh_pause_of(unit->tmpl->name, unit->tenant->name);
	if (pause == NULL)
		return NULL;

	return psprintf("%s has been paused by \"%s\" since %s",
					wh_pause_text(pause->template_name, pause->tenant_name),
					pause->paused_by, moment(pause->paused_at));
}

static const char *
limits_refusal(const WhTenant *tenant)
{
	WhLimits	limits;
	const char *reason;

	if (JB_ROOT_COUNT(tenant->options) == 0)
		return NULL;
	wh_limits(tenant->options, &limits);
	reason = window_refusal(tenant, &limits);

	return reason != NULL ? reason : budget_refusal(tenant, &limits);
}

static const char *
window_refusal(const WhTenant *tenant, const WhLimits *limits)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		wall = now + wh_wall_clock_offset(now, tenant->time_zone);
	int			minute = (int) ((wall % USECS_PER_DAY) / USECS_PER_MINUTE);

	if (wh_limits_open(limits, minute))
		return NULL;

	return psprintf("tenant \"%s\" allows work at %s, and it is %02d:%02d there (%s)",
					tenant->name, wh_limits_windows(limits), minute / 60, minute % 60,
					tenant->time_zone);
}

/*
 * Say which of the tenant's budgets is used up.  The unit that uses it up is
 * the last one: none is stopped in the middle.
 */
static const char *
budget_refusal(const WhTenant *tenant, const WhLimits *limits)
{
	WhPeriod	today;
	int64		bytes;
	double		ms;

	if (limits->bytes_per_day == 0 && limits->seconds_per_day == 0)
		return NULL;

	today = wh_period_day(wh_date_at(GetCurrentTimestamp(), tenant->time_zone));
	wh_run_spent(tenant->name, wh_period_span(&today, tenant->time_zone).start,
				 &bytes, &ms);
	if (limits->bytes_per_day > 0 && bytes >= limits->bytes_per_day)
		return psprintf(INT64_FORMAT " bytes were read from tenant \"%s\" today, bytes_per_day is " INT64_FORMAT,
						bytes, tenant->name, limits->bytes_per_day);
	if (limits->seconds_per_day > 0 && ms / 1000 >= limits->seconds_per_day)
		return psprintf("tenant \"%s\" was read from for %.0f seconds today, seconds_per_day is " INT64_FORMAT,
						tenant->name, ms / 1000, limits->seconds_per_day);

	return NULL;
}

/*
 * Pass the tenant's breaker, as the one who probes where it is half open.
 */
static const char *
pass_breaker(const char *tenant, WhRun *run)
{
	const WhBreaker *breaker = wh_breaker(tenant);

	if (breaker != NULL && breaker->state == WH_BREAKER_HALF_OPEN)
	{
		if (!wh_breaker_try(tenant))
			return psprintf("another run is trying whether tenant \"%s\" answers again",
							tenant);

		/* Somebody may have tried since we looked. */
		breaker = wh_breaker(tenant);
	}
	run->watched = breaker != NULL;

	return breaker_refusal(tenant, breaker);
}

static const char *
breaker_refusal(const char *tenant, const WhBreaker *breaker)
{
	if (breaker == NULL || breaker->state != WH_BREAKER_OPEN)
		return NULL;

	return psprintf("tenant \"%s\" failed %d times in a row and is left alone until %s: %s",
					tenant, breaker->failures, moment(breaker->probe_at),
					breaker->message);
}

/*
 * Write a time as people read it, to the second.
 */
static const char *
moment(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at - at % USECS_PER_SEC));
}

/*
 * Take one of the places at the tenant, which sessions share; -1 when there is
 * none left.
 */
static int
take_place(const WhTenant *tenant)
{
	for (int place = 0; place < tenant->max_connections; place++)
	{
		if (wh_lock_key_try("tenant_connections", place_key(tenant, place)))
			return place;
	}

	return -1;
}

static void
leave_place(const WhTenant *tenant, WhRun *run)
{
	wh_lock_key_release("tenant_connections", place_key(tenant, run->place));
	run->place = -1;
}

static char *
place_key(const WhTenant *tenant, int place)
{
	return psprintf("%s\1%d", tenant->key, place);
}
