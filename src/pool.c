/*
 * pool.c
 *		Connections kept for the next unit of the same tenant, within one call.
 *
 * What is kept is clean: its transaction was committed, and all that a query
 * can leave in a session is forgotten.  Each unit begins a transaction of its
 * own, with its own snapshot.  A connection lent out belongs to the borrower's
 * memory context and so dies with the borrower's error; only one that is
 * given back is ever used again.  What is kept belongs to the pool's context,
 * that is to the call: nothing idle outlives it, however it ends.
 *
 * At most one connection per tenant is kept, for seconds only, and none is
 * lent to a tenant whose row or password has changed since it was made.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "endpoint.h"
#include "loadgate.h"
#include "pool.h"
#include "session.h"
#include "settings.h"

/* A call over many tenants must not hold a connection to each of them. */
#define MAX_IDLE 16

/* Shorter than what firewalls and servers forget idle connections after. */
#define MAX_IDLE_MS 30000

struct WhPool
{
	WhPool	   *outer;			/* of the call that this one is inside of */
	MemoryContext context;
	List	   *idle;			/* of WhLease *, the latest last */
	MemoryContextCallback on_reset;

	/* One snapshot for several units. */
	char	   *shared_tenant;	/* its key; NULL: each has its own */
	DateADT		shared_day;
	WhLease    *exporter;		/* NULL: nothing was read yet */
	char	   *snapshot;		/* the exporter's memory */
	TimestampTz as_of;
};

/* The innermost call's; its context takes it out of here when it goes. */
static WhPool *current = NULL;

static void forget_pool(void *arg);
static WhLease *find_idle(WhPool *pool, const char *endpoint);
static void drop_stale(WhPool *pool, const char *endpoint);
static WhLease *connect_anew(const WhTenant *tenant, const char *endpoint,
							 const char *subject);
static void set_snapshot(WhConn *conn, const WhTenant *tenant,
						 const char *endpoint, const char *subject);
static void export_snapshot(WhPool *pool, const WhTenant *tenant,
							const char *endpoint, const char *subject);
static void raise_lost(const WhTenant *tenant, const char *subject)
			pg_attribute_noreturn();
static void end_snapshot(WhPool *pool);
static void drop_lease(WhLease *lease);

/*
 * Begin to keep connections; see pool.h.
 */
WhPool *
wh_pool_open(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_warehouse pool",
												  ALLOCSET_SMALL_SIZES);
	WhPool	   *pool = (WhPool *) MemoryContextAllocZero(context, sizeof(WhPool));

	pool->context = context;
	pool->on_reset.func = forget_pool;
	pool->on_reset.arg = pool;
	MemoryContextRegisterResetCallback(context, &pool->on_reset);
	pool->outer = current;
	current = pool;

	return pool;
}

/*
 * Close the pool and all that is in it.
 */
void
wh_pool_close(WhPool *pool)
{
	ListCell   *lc;

	end_snapshot(pool);
	foreach(lc, pool->idle)
		drop_lease((WhLease *) lfirst(lc));
	MemoryContextDelete(pool->context);
}

/*
 * Read under one snapshot; see pool.h.
 */
void
wh_pool_share_snapshot(WhPool *pool, const WhTenant *tenant, DateADT day)
{
	if (pool->shared_tenant != NULL && pool->shared_day == day &&
		strcmp(pool->shared_tenant, tenant->key) == 0)
		return;

	end_snapshot(pool);
	if (pool->shared_tenant != NULL)
		pfree(pool->shared_tenant);
	pool->shared_tenant = MemoryContextStrdup(pool->context, tenant->key);
	pool->shared_day = day;
}

/*
 * Take a connection; see pool.h.
 */
WhLease *
wh_pool_take(const WhTenant *tenant, const char *subject)
{
	char	   *endpoint = wh_endpoint_text(tenant);
	WhLease    *lease = NULL;

	if (current != NULL)
		lease = find_idle(current, endpoint);
	if (lease != NULL)
	{
		/* What the first connection asked, the next ones must ask again. */
		wh_check_outbound();
		MemoryContextSetParent(lease->context, CurrentMemoryContext);
		wh_conn_turn_to(lease->conn, subject);
		if (!wh_session_ended(lease->conn))
		{
			drop_lease(lease);
			lease = NULL;
		}
	}
	if (lease == NULL)
		lease = connect_anew(tenant, endpoint, subject);
	wh_load_gate(lease->conn, tenant);

	if (current != NULL && current->shared_tenant != NULL &&
		strcmp(current->shared_tenant, tenant->key) == 0)
		set_snapshot(lease->conn, tenant, endpoint, subject);

	return lease;
}

/*
 * Give a connection back.  It is kept when its end could be sent; whether the
 * server agreed is asked when it is wanted again.
 */
void
wh_pool_give(WhLease *lease)
{
	MemoryContext caller;

	if (current == NULL || !wh_session_end(lease->conn))
	{
		drop_lease(lease);
		return;
	}

	drop_stale(current, lease->endpoint);
	wh_conn_session(lease->conn)->snapshot = NULL;
	lease->idle_since = GetCurrentTimestamp();
	MemoryContextSetParent(lease->context, current->context);
	caller = MemoryContextSwitchTo(current->context);
	current->idle = lappend(current->idle, lease);
	MemoryContextSwitchTo(caller);
}

/*
 * Leave the chain of pools, from whatever place in it.
 */
static void
forget_pool(void *arg)
{
	WhPool	  **link = &current;

	while (*link != NULL && *link != (WhPool *) arg)
		link = &(*link)->outer;
	if (*link != NULL)
		*link = (*link)->outer;
}

/*
 * Take an idle connection to the very endpoint out of the pool, or NULL.
 */
static WhLease *
find_idle(WhPool *pool, const char *endpoint)
{
	ListCell   *lc;

	drop_stale(pool, NULL);
	foreach(lc, pool->idle)
	{
		WhLease    *lease = (WhLease *) lfirst(lc);

		if (strcmp(lease->endpoint, endpoint) == 0)
		{
			pool->idle = foreach_delete_current(pool->idle, lc);
			return lease;
		}
	}

	return NULL;
}

/*
 * Drop what has been idle for too long, another connection to "endpoint", and
 * the oldest ones when there are too many.
 */
static void
drop_stale(WhPool *pool, const char *endpoint)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, pool->idle)
	{
		WhLease    *lease = (WhLease *) lfirst(lc);

		if (list_length(pool->idle) >= MAX_IDLE ||
			TimestampDifferenceExceeds(lease->idle_since, now, MAX_IDLE_MS) ||
			(endpoint != NULL && strcmp(lease->endpoint, endpoint) == 0))
		{
			pool->idle = foreach_delete_current(pool->idle, lc);
			drop_lease(lease);
		}
	}
}

/*
 * Connect, in a context of the lease's own.
 */
static WhLease *
connect_anew(const WhTenant *tenant, const char *endpoint, const char *subject)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller,
												  "pg_warehouse connection",
												  ALLOCSET_SMALL_SIZES);
	WhLease    *lease;

	MemoryContextSwitchTo(context);
	lease = (WhLease *) palloc0(sizeof(WhLease));
	lease->context = context;
	lease->endpoint = pstrdup(endpoint);
	lease->conn = wh_connect(tenant, subject);
	MemoryContextSwitchTo(caller);

	return lease;
}

/*
 * Let a connection read under the shared snapshot, which the first one to ask
 * has exported.
 */
static void
set_snapshot(WhConn *conn, const WhTenant *tenant, const char *endpoint,
			 const char *subject)
{
	WhSession  *session = wh_conn_session(conn);

	if (current->exporter == NULL)
		export_snapshot(current, tenant, endpoint, subject);
	else if (!wh_conn_is_quiet(current->exporter->conn))
		raise_lost(tenant, subject);
	session->snapshot = current->snapshot;
	session->as_of = current->as_of;
}

static void
export_snapshot(WhPool *pool, const WhTenant *tenant, const char *endpoint,
				const char *subject)
{
	WhLease    *lease;

	if (tenant->max_connections < 2)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant \"%s\" allows one connection, and a shared snapshot takes two",
						tenant->name),
				 errdetail("%s", subject),
				 errhint("SELECT _wh.alter_tenant(%s, max_connections => 2);",
						 quote_literal_cstr(tenant->name))));

	lease = connect_anew(tenant, endpoint, subject);
	wh_session_begin(lease->conn);

	pool->snapshot = MemoryContextStrdup(lease->context,
										 wh_session_export(lease->conn));
	pool->as_of = wh_conn_session(lease->conn)->as_of;
	MemoryContextSetParent(lease->context, pool->context);
	pool->exporter = lease;
}

/*
 * Another snapshot would not be the one that others were read under.
 */
static void
raise_lost(const WhTenant *tenant, const char *subject)
{
	wh_remote_failed_mark();
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("shared snapshot of tenant \"%s\" is lost", tenant->name),
			 errdetail("%s\nThe tenant ended the connection that kept it.", subject),
			 errhint("Refresh all templates of the tenant's day again.")));
}

static void
end_snapshot(WhPool *pool)
{
	if (pool->exporter != NULL)
		drop_lease(pool->exporter);
	pool->exporter = NULL;
}

static void
drop_lease(WhLease *lease)
{
	wh_disconnect(lease->conn);
	MemoryContextDelete(lease->context);
}
