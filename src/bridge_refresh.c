/*
 * bridge_refresh.c
 *		CALL _wh.refresh_schema(): every materialized view of a schema, those of
 *		users too, in the order in which they read each other.
 *
 * Each has a row of the log of its own and is committed by itself; one that
 * fails stops only those that read it.  Whoever may call, the work is the
 * owner's.  Without "concurrently" it is done here, by a delta, for which no
 * reader waits; REFRESH itself is for views without rows, which nobody can
 * read anyhow, and for those that are no plain heap.  Before postgres_fdw is let
 * loose on a bridge, which since 16 waits for a silent one without end, we
 * connect to it by our own means, once in a call.  REFRESH CONCURRENTLY
 * needs a temporary table, which no switched role may make, so a background
 * worker does it, as a session of the owner's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "bridge_refresh.h"
#include "bridges.h"
#include "compat.h"
#include "conn.h"
#include "fault.h"
#include "guc.h"
#include "lock.h"
#include "requery.h"
#include "run.h"
#include "settings.h"
#include "spi.h"
#include "worker.h"

/* One materialized view. */
typedef struct Matview
{
	Oid			relid;
	char	   *schema;
	char	   *name;
	char	   *qualified;
	char	   *owner;			/* NULL: ours */
	bool		populated;
	bool		has_key;		/* REFRESH CONCURRENTLY can tell its rows
								 * apart */
	bool		is_plain;		/* a heap of the owner's own: a delta can do
								 * it */
	List	   *inputs;			/* OIDs of those that it reads */
	bool		loaded;
} Matview;

/* A bridge that views read, as it was found. */
typedef struct Tried
{
	char	   *server;
	ErrorData  *error;			/* NULL: it let us in */
} Tried;

/* One call. */
typedef struct Job
{
	MemoryContext context;
	List	   *matviews;
	List	   *tried;			/* of Tried * */
	bool		concurrently;
	int			failed;
	Matview    *first_failed;
	char	   *first_message;
	int			first_sqlerrcode;
} Job;

/* What a refresh works at. */
typedef struct Refresh
{
	Job		   *job;			/* NULL in a worker */
	const Matview *mv;
	bool		concurrently;
} Refresh;

/* One way to do it, and who is told of the rows. */
typedef struct Work
{
	const Matview *mv;
	bool		concurrently;
	WhRun	   *run;
} Work;

/* What a worker is given; fits into bgw_extra. */
typedef struct Order
{
	Oid			database;
	Oid			owner;
	Oid			relid;
	int			lock_deadline;
	int			connect_timeout;
	int64		run_id;
} Order;

StaticAssertDecl(sizeof(Order) <= BGW_EXTRALEN, "an order fits into bgw_extra");

PG_FUNCTION_INFO_V1(wh_refresh_schema);

static void check_schema(const char *schema);
static List *matviews_of(const char *schema);
static void refresh(Job *job, Matview *mv);
static char *failed_input(const Job *job, const Matview *mv);
static bool choose_concurrently(const Job *job, const Matview *mv, WhRun *run);
static void refresh_logged(WhRun *run, const Refresh *refresh);
static void refuse_foreign(WhRun *run, void *arg);
static void refresh_one(WhRun *run, void *arg);
static void try_bridges(const Refresh *refresh);
static void try_bridge(Job *job, const char *server, const char *subject);
static List *bridges_of(Oid relid);
static void run_statement(const Work *work);
static void run_delta(const Work *work);
static void mark_source_errors(void (*run) (const Work *work), const Work *work);
static int64 count_changed(Oid relid, const char *what);
static void refresh_in_worker(WhRun *run, const Matview *mv);
static BackgroundWorkerHandle *launch(const Order *order);
static void terminate(int code, Datum arg);
static void refuse_no_worker(WhRun *run, void *arg);
static void begin(WhRole *caller);
static void commit(const WhRole *caller);
static void raise_failures(const Job *job, const char *schema);

/*
 * CALL _wh.refresh_schema(schema_name name, concurrently boolean)
 */
Datum
wh_refresh_schema(PG_FUNCTION_ARGS)
{
	CallContext *context = castNode(CallContext, fcinfo->context);
	MemoryContext memory;
	char	   *schema;
	Job			job = {0};
	WhRole		caller;
	ListCell   *lc;

	if (context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("refresh_schema cannot be called inside a transaction block"),
				 errdetail("It commits every materialized view by itself."),
				 errhint("CALL it on its own.")));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("schema_name must not be null"),
				 errhint("CALL _wh.refresh_schema('analytics');")));

	/* The list outlives the transactions that it is worked through in. */
	memory = AllocSetContextCreate(PortalContext, "pg_warehouse bridge job",
								   ALLOCSET_DEFAULT_SIZES);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(memory);
	job.context = memory;
	schema = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	job.concurrently = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	wh_check_outbound();
	begin(&caller);
	check_schema(schema);
	job.matviews = matviews_of(schema);
	commit(&caller);

	foreach(lc, job.matviews)
	{
		CHECK_FOR_INTERRUPTS();
		refresh(&job, (Matview *) lfirst(lc));
	}
	SPI_finish();
	if (job.failed > 0)
		raise_failures(&job, schema);

	PG_RETURN_VOID();
}

/*
 * Refresh the view that main_arg's order names, then end.
 */
void
wh_bridge_worker_main(Datum main_arg)
{
	Refresh		refresh = {0};
	Matview		mv = {0};
	WhRun		run = {0};
	Order		order;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	BackgroundWorkerInitializeConnectionByOid(order.database, order.owner,
											  WH_WORKER_CONNECT_FLAGS);
	wh_lock_deadline = order.lock_deadline;
	wh_connect_timeout = order.connect_timeout;
	wh_worker_pin(NIL);
	pgstat_report_activity(STATE_RUNNING, "pg_warehouse: REFRESH MATERIALIZED VIEW CONCURRENTLY");

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	mv.relid = order.relid;
	mv.name = get_rel_name(order.relid);
	if (mv.name != NULL)
	{
		mv.schema = get_namespace_name(get_rel_namespace(order.relid));
		mv.qualified = psprintf("%s.%s", mv.schema, mv.name);
		run.run_id = order.run_id;
		run.table_name = mv.qualified;
		refresh.mv = &mv;
		refresh.concurrently = true;
		refresh_logged(&run, &refresh);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);

	proc_exit(0);
}

/*
 * Refuse schemas whose materialized views have a better way.
 */
static void
check_schema(const char *schema)
{
	WhArg		arg = wh_name(schema);
	bool		tenants;

	if (!OidIsValid(get_namespace_oid(schema, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", schema),
				 errhint("SELECT * FROM _wh.create_snapshot_mvs(..., %s);",
						 quote_literal_cstr(schema))));

	SPI_connect();
	tenants = wh_spi(SPI_OK_SELECT,
					 "SELECT FROM _wh.v_pairs"
					 " WHERE schema_name OPERATOR(pg_catalog.=) $1 LIMIT 1", &arg, 1) > 0;
	SPI_finish();
	if (tenants)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema \"%s\" is a tenant's", schema),
				 errdetail("Its slices are refreshed by day, and readers do not wait for the network."),
				 errhint("CALL _wh.run_refresh();")));
}

/*
 * List the materialized views, each after those that it reads, directly or
 * through views.
 */
static List *
matviews_of(const char *schema)
{
	MemoryContext caller = CurrentMemoryContext;
	WhArg		arg = wh_name(schema);
	List	   *matviews = NIL;
	uint64		rows;

	SPI_connect();
	rows = wh_spi(SPI_OK_SELECT,
				  "WITH RECURSIVE mv AS ("
				  " SELECT c.oid, c.relname, c.relispopulated, c.relowner"
				  " FROM pg_catalog.pg_class c"
				  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				  " WHERE n.nspname = $1 AND c.relkind = 'm'),"
				  " reads(mv, rel, depth) AS ("
				  " SELECT oid, oid, 0 FROM mv"
				  " UNION SELECT reads.mv, d.refobjid, reads.depth + 1 FROM reads"
				  " JOIN pg_catalog.pg_rewrite r ON r.ev_class = reads.rel"
				  " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
				  "   AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
				  "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
				  "   AND d.refobjid <> r.ev_class)"
				  " SELECT mv.oid, mv.relname, mv.relispopulated,"
				  " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = mv.oid"
				  "   AND i.indisunique AND i.indimmediate AND i.indisvalid"
				  "   AND i.indpred IS NULL AND i.indexprs IS NULL),"
				  " CASE WHEN NOT pg_catalog.pg_has_role(mv.relowner, 'USAGE')"
				  "   THEN pg_catalog.pg_get_userbyid(mv.relowner) END,"
				  " ARRAY(SELECT DISTINCT reads.rel FROM reads JOIN mv AS input"
				  "   ON input.oid = reads.rel WHERE reads.mv = mv.oid AND reads.rel <> mv.oid)"
				  ", EXISTS (SELECT FROM pg_catalog.pg_class c"
				  "   JOIN pg_catalog.pg_am a ON a.oid = c.relam"
				  "   JOIN pg_catalog.pg_roles o ON o.oid = c.relowner"
				  "   WHERE c.oid = mv.oid AND a.amname = 'heap' AND c.relpersistence = 'p'"
				  "   AND o.rolname = CURRENT_USER)"
				  " FROM mv ORDER BY (SELECT pg_catalog.max(reads.depth) FROM reads"
				  "   WHERE reads.mv = mv.oid), mv.relname",
				  &arg, 1);

	/* Copy out while the SPI result is still there. */
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < rows; row++)
	{
		Matview    *mv = (Matview *) palloc0(sizeof(Matview));
		Datum	   *inputs;
		int			ninputs;
		bool		isnull;

		mv->relid = DatumGetObjectId(wh_col(row, 1, &isnull));
		mv->schema = pstrdup(schema);
		mv->name = wh_col_text(row, 2);
		mv->qualified = psprintf("%s.%s", schema, mv->name);
		mv->populated = wh_col_bool(row, 3, false);
		mv->has_key = wh_col_bool(row, 4, false);
		mv->owner = wh_col_text(row, 5);
		deconstruct_array(DatumGetArrayTypeP(wh_col(row, 6, &isnull)), OIDOID, sizeof(Oid),
						  true, TYPALIGN_INT, &inputs, NULL, &ninputs);
		mv->is_plain = wh_col_bool(row, 7, false);
		for (int i = 0; i < ninputs; i++)
			mv->inputs = lappend_oid(mv->inputs, DatumGetObjectId(inputs[i]));
		matviews = lappend(matviews, mv);
	}
	SPI_finish();

	return matviews;
}

/*
 * Refresh one, in transactions of its own: the log hears of it first.
 */
static void
refresh(Job *job, Matview *mv)
{
	MemoryContext context = CurrentMemoryContext;
	Refresh		refresh = {job, mv, false};
	char	   *input = failed_input(job, mv);
	WhRun		run = {0};
	WhRole		caller;

	run.table_name = mv->qualified;
	begin(&caller);
	MemoryContextSwitchTo(context);
	wh_run_start(&run, "bridge");
	commit(&caller);
	MemoryContextSwitchTo(context);

	if (input != NULL)
	{
		run.status = "skipped";
		run.reason = psprintf("materialized view \"%s\" was left as it is: it reads \"%s\", which was not refreshed",
							  mv->qualified, input);
		begin(&caller);
		wh_run_finish(&run);
		commit(&caller);
	}
	else if (choose_concurrently(job, mv, &run))
		refresh_in_worker(&run, mv);
	else
	{
		begin(&caller);
		MemoryContextSwitchTo(context);
		refresh_logged(&run, &refresh);
		commit(&caller);
	}
	MemoryContextSwitchTo(context);

	mv->loaded = strcmp(run.status, "loaded") == 0;
	if (run.reason != NULL)
		wh_run_warn(&run);
	if (run.error == NULL || job->failed++ > 0)
		return;
	job->first_failed = mv;
	job->first_message = pstrdup(run.error->message);
	job->first_sqlerrcode = run.error->sqlerrcode;
}

/*
 * Name a view that this one reads and that was to be refreshed, but was not.
 */
static char *
failed_input(const Job *job, const Matview *mv)
{
	ListCell   *lc;

	foreach(lc, job->matviews)
	{
		const Matview *other = (const Matview *) lfirst(lc);

		if (!other->loaded && list_member_oid(mv->inputs, other->relid))
			return other->name;
	}

	return NULL;
}

/*
 * Refresh concurrently where that was asked for and can be done; where it
 * cannot, say so, here and in the log.
 */
static bool
choose_concurrently(const Job *job, const Matview *mv, WhRun *run)
{
	if (!job->concurrently || mv->owner != NULL)
		return false;

	if (!mv->populated)
		run->choice = "it had no rows yet";
	else if (!mv->has_key)
		run->choice = "it has no unique index on columns alone";
	else
		return true;

	ereport(NOTICE,
			(errmsg("materialized view \"%s\" is not refreshed concurrently: %s",
					mv->qualified, run->choice)));

	return false;
}

/*
 * Refresh, contained, and finish the row of the log.  The lock keeps a second
 * one out until the end of the transaction.
 */
static void
refresh_logged(WhRun *run, const Refresh *refresh)
{
	const Matview *mv = refresh->mv;

	if (mv->owner != NULL)
		wh_run_contained(run, refuse_foreign, unconstify(Refresh *, refresh));
	else if (!wh_lock_key_try("bridge_relations", mv->qualified))
	{
		run->status = "skipped";
		run->reason = psprintf("materialized view \"%s\" is already being refreshed",
							   mv->qualified);
	}
	else
	{
		wh_run_reap(run);
		wh_run_contained(run, refresh_one, unconstify(Refresh *, refresh));
	}
	wh_run_finish(run);
}

static void
refuse_foreign(WhRun *run, void *arg)
{
	const Matview *mv = ((const Refresh *) arg)->mv;

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("materialized view \"%s\" belongs to role \"%s\"", mv->qualified, mv->owner),
			 errdetail("Its owner must refresh it, with the user mapping of his own."),
			 errhint("ALTER MATERIALIZED VIEW %s OWNER TO %s;",
					 quote_qualified_identifier(mv->schema, mv->name),
					 quote_identifier(wh_settings()->owner_role))));
}

static void
refresh_one(WhRun *run, void *arg)
{
	const Refresh *refresh = (const Refresh *) arg;
	const Matview *mv = refresh->mv;
	TimestampTz begun = GetCurrentTimestamp();
	int			nestlevel = wh_lock_bound();
	Work		work = {mv, refresh->concurrently, run};

	try_bridges(refresh);
	if (refresh->concurrently)
	{
		run->method = "concurrent";
		mark_source_errors(run_statement, &work);
		run->rows_inserted = count_changed(mv->relid, "inserted");
		run->rows_deleted = count_changed(mv->relid, "deleted");
		run->rows_unchanged = run->rows_extracted - run->rows_inserted;
	}
	else if (mv->populated && mv->is_plain)
	{
		run->method = "delta";
		mark_source_errors(run_delta, &work);
	}
	else
	{
		run->method = "refresh";
		run->lock_ms = wh_lock_relation(mv->relid,
										psprintf("materialized view \"%s\"", mv->qualified));
		mark_source_errors(run_statement, &work);
		run->rows_inserted = run->rows_extracted;
	}
	wh_lock_unbound(nestlevel);
	run->load_ms = (double) (GetCurrentTimestamp() - begun) / 1000.0 - run->lock_ms;
	run->status = "loaded";
}

/*
 * Log in to each bridge that the view reads.
 */
static void
try_bridges(const Refresh *refresh)
{
	ListCell   *lc;

	foreach(lc, bridges_of(refresh->mv->relid))
	{
		const char *server = (const char *) lfirst(lc);

		try_bridge(refresh->job, server,
				   psprintf("Bridge \"%s\", materialized view \"%s\".", server,
							refresh->mv->qualified));
	}
}

/*
 * Log in to a bridge, unless it was tried in this call: many views that read a
 * silent one must not wait for it one after the other.
 */
static void
try_bridge(Job *job, const char *server, const char *subject)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	ListCell   *lc;

	foreach(lc, job != NULL ? job->tried : NIL)
	{
		const Tried *tried = (const Tried *) lfirst(lc);

		if (strcmp(tried->server, server) != 0)
			continue;
		if (tried->error == NULL)
			return;
		wh_remote_failed_mark();
		ReThrowError(tried->error);
	}

	PG_TRY();
	{
		wh_disconnect(wh_connect(wh_bridge_endpoint(wh_bridge(server)), subject));
	}
	PG_CATCH();
	{
		/* A cancel says nothing of the bridge. */
		if (job == NULL || !wh_remote_failed())
			PG_RE_THROW();
		MemoryContextSwitchTo(job->context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();

	if (job != NULL)
	{
		Tried	   *tried;

		MemoryContextSwitchTo(job->context);
		tried = (Tried *) palloc(sizeof(Tried));
		tried->server = pstrdup(server);
		tried->error = error;
		job->tried = lappend(job->tried, tried);
	}
	MemoryContextSwitchTo(caller);
	if (error != NULL)
		ReThrowError(error);
}

/*
 * List the bridges whose foreign tables a view reads, directly or through
 * others.
 */
static List *
bridges_of(Oid relid)
{
	WhArg		arg = {OIDOID, ObjectIdGetDatum(relid), false};
	List	   *bridges = NIL;
	ListCell   *lc;

	foreach(lc, wh_spi_strings("WITH RECURSIVE reads(rel) AS (SELECT $1"
							   " UNION SELECT d.refobjid FROM reads"
							   " JOIN pg_catalog.pg_rewrite r ON r.ev_class = reads.rel"
							   " JOIN pg_catalog.pg_class c ON c.oid = r.ev_class"
							   " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
							   "   AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
							   "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
							   "   AND d.refobjid <> r.ev_class"
							   " WHERE c.relkind = 'v' OR c.oid = $1)"
							   " SELECT DISTINCT s.srvname::pg_catalog.text FROM reads"
							   " JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = reads.rel"
							   " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"
							   " ORDER BY 1", &arg, 1))
	{
		char	   *server = (char *) lfirst(lc);

		/* Others are for their owners to look after. */
		if (wh_bridge_find(server) != NULL)
			bridges = lappend(bridges, server);
	}

	return bridges;
}

static void
run_statement(const Work *work)
{
	RefreshMatViewStmt *stmt = makeNode(RefreshMatViewStmt);

	stmt->concurrent = work->concurrently;
	stmt->relation = makeRangeVar(work->mv->schema, work->mv->name, -1);
	work->run->rows_extracted = (int64) wh_ddl_stmt((Node *) stmt, "REFRESH MATERIALIZED VIEW");
}

static void
run_delta(const Work *work)
{
	WhDeltaCounts counts;

	work->run->rows_extracted = (int64) wh_requery(work->mv->relid, &counts);
	work->run->rows_inserted = counts.inserted;
	work->run->rows_deleted = counts.deleted;
	work->run->rows_unchanged = counts.unchanged;
}

/*
 * Do the work, and mark an error as the source's when postgres_fdw says so in
 * its context: a timeout there is no cancel of ours.
 */
static void
mark_source_errors(void (*run) (const Work *work), const Work *work)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		run(work);
	}
	PG_CATCH();
	{
		MemoryContext error_context = MemoryContextSwitchTo(context);
		ErrorData  *error = CopyErrorData();

		if (error->context != NULL && strstr(error->context, "remote SQL command: ") != NULL)
			wh_remote_failed_mark();
		MemoryContextSwitchTo(error_context);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Count the rows that this transaction has "inserted" or "deleted".
 */
static int64
count_changed(Oid relid, const char *what)
{
	WhArg		arg = {OIDOID, ObjectIdGetDatum(relid), false};
	int64		rows;

	SPI_connect();
	(void) wh_spi(SPI_OK_SELECT,
				  psprintf("SELECT pg_catalog.pg_stat_get_xact_tuples_%s($1)", what), &arg, 1);
	rows = wh_col_int8(0, 1, 0);
	SPI_finish();

	return rows;
}

/*
 * Have a worker do it and wait; what it has to say is in the row of the log.
 * Whatever ends us ends the worker.
 */
static void
refresh_in_worker(WhRun *run, const Matview *mv)
{
	BackgroundWorkerHandle *handle;
	Order		order;
	WhRole		caller;

	order.database = MyDatabaseId;
	order.owner = wh_owner_oid();
	order.relid = mv->relid;
	order.lock_deadline = wh_lock_deadline;
	order.connect_timeout = wh_connect_timeout;
	order.run_id = run->run_id;

	handle = launch(&order);
	if (handle == NULL)
	{
		begin(&caller);
		wh_run_contained(run, refuse_no_worker, unconstify(Matview *, mv));
		wh_run_finish(run);
		commit(&caller);
		return;
	}

	PG_ENSURE_ERROR_CLEANUP(terminate, PointerGetDatum(handle));
	{
		(void) WaitForBackgroundWorkerShutdown(handle);
	}
	PG_END_ENSURE_ERROR_CLEANUP(terminate, PointerGetDatum(handle));

	begin(&caller);
	wh_run_read(run);
	if (strcmp(run->status, "extracting") == 0)
		wh_run_lost(run);
	commit(&caller);
}

/*
 * Launch a worker; NULL when there is none to be had.
 */
static BackgroundWorkerHandle *
launch(const Order *order)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;

	if (wh_max_workers == 0)
		return NULL;

	strlcpy(worker.bgw_name, "pg_warehouse bridge worker", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pg_warehouse worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pg_warehouse", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "wh_bridge_worker_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, order, sizeof(*order));

	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

static void
terminate(int code, Datum arg)
{
	TerminateBackgroundWorker((BackgroundWorkerHandle *) DatumGetPointer(arg));
}

static void
refuse_no_worker(WhRun *run, void *arg)
{
	const Matview *mv = (const Matview *) arg;

	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no background worker can refresh materialized view \"%s\" concurrently",
					mv->qualified),
			 errhint("Raise max_worker_processes and pg_warehouse.max_workers, or CALL _wh.refresh_schema(%s);",
					 quote_literal_cstr(mv->schema))));
}

/*
 * Become the owner with a fresh snapshot, of a transaction of its own.
 */
static void
begin(WhRole *caller)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	wh_become_owner(caller);
}

static void
commit(const WhRole *caller)
{
	wh_role_leave(caller);
	PopActiveSnapshot();
	SPI_commit();
}

static void
raise_failures(const Job *job, const char *schema)
{
	ereport(ERROR,
			(errcode(job->first_sqlerrcode),
			 errmsg("refresh failed for %d of %d materialized views of schema \"%s\"",
					job->failed, list_length(job->matviews), schema),
			 errdetail("The first, \"%s\": %s", job->first_failed->name, job->first_message),
			 errhint("SELECT * FROM _wh.v_recent_failures;")));
}
