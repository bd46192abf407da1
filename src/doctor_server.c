/*
 * doctor_server.c
 *		Checks of what the server gives us: worker slots, autovacuum, and what
 *		becomes of relations without it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "doctor.h"
#include "guc.h"
#include "slice.h"

/* Others than we want workers too: pg_cron, logical replication, queries. */
#define SLOTS_FOR_OTHERS 4

/* Dead rows matter when there are so many, and half as many as living ones. */
#define MANY_DEAD_ROWS 1000

/*
 * Find out whether one call's workers fit beside everybody else's.
 */
void
wh_check_worker_slots(WhDoctor *doctor)
{
	int			needed = wh_max_workers + SLOTS_FOR_OTHERS;

	if (wh_max_workers > 0 && max_worker_processes < needed)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("max_worker_processes is %d, and a call may start %d workers (pg_warehouse.max_workers) beside parallel queries and other extensions; takes effect at the next restart",
							max_worker_processes, wh_max_workers),
				   psprintf("ALTER SYSTEM SET max_worker_processes = %d;", needed));
}

/*
 * Find relations that nobody cleans up: delta refreshes leave dead rows.
 */
void
wh_check_autovacuum(WhDoctor *doctor)
{
	WhRole		caller;
	WhArg		args[] = {wh_name(doctor->settings->owner_role)};

	if (!autovacuum_start_daemon)
		wh_finding(doctor, WH_FINDING_WARN,
				   "autovacuum is off; takes effect with pg_reload_conf()",
				   "ALTER SYSTEM SET autovacuum = on;");

	wh_become_owner(&caller);
	wh_findings(doctor, WH_FINDING_WARN,
				"SELECT format('autovacuum is off for %I.%I', n.nspname, c.relname),"
				" format('ALTER %s %I.%I RESET (autovacuum_enabled);',"
				"  CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, n.nspname, c.relname)"
				" FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,"
				" pg_options_to_table(c.reloptions) AS o"
				" WHERE pg_get_userbyid(c.relowner) = $1 AND c.relkind IN ('m', 'r')"
				" AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean"
				" ORDER BY n.nspname, c.relname",
				args, lengthof(args));
	wh_role_leave(&caller);
}

/*
 * Find slices of which a third or more are dead rows.
 */
void
wh_check_bloat(WhDoctor *doctor)
{
	WhRole		caller;
	ListCell   *lc;

	wh_become_owner(&caller);
	foreach(lc, wh_slices(NULL, NULL))
	{
		const WhSlice *slice = (const WhSlice *) lfirst(lc);
		Oid			relid = wh_slice_relid(slice);
		const char *name;
		int64		dead;

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(relid))
			continue;
		dead = DatumGetInt64(DirectFunctionCall1(pg_stat_get_dead_tuples,
												 ObjectIdGetDatum(relid)));
		if (dead < MANY_DEAD_ROWS || dead < slice->row_count / 2)
			continue;
		name = quote_qualified_identifier(slice->relation_schema, slice->relation_name);
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("%s holds " INT64_FORMAT " dead rows beside " INT64_FORMAT " living ones",
							name, dead, slice->row_count),
				   psprintf("VACUUM %s;", name));
	}
	wh_role_leave(&caller);
}
