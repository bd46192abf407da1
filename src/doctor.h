/*
 * doctor.h
 *		_wh.wh_doctor(): what is wrong with this warehouse, and the SQL that
 *		mends it.
 */
#ifndef WH_DOCTOR_H
#define WH_DOCTOR_H

#include "settings.h"
#include "spi.h"

typedef enum WhFindingStatus
{
	WH_FINDING_OK,
	WH_FINDING_WARN,			/* works, and will fail one day */
	WH_FINDING_ERROR			/* does not work, or is not safe */
} WhFindingStatus;

/* Where a check puts what it finds. */
typedef struct WhDoctor
{
	const WhSettings *settings;
	const char *check_name;
	int			findings;		/* of this check so far */
	struct ReturnSetInfo *rsinfo;	/* for rows; or NULL, and what they would */
	List	   *details;		/* say, of char *, */
	MemoryContext context;		/* in there */
} WhDoctor;

/*
 * Put an object into the archive that the settings name, read it and take it
 * out; throws what fails (doctor_archive.c).  Caller: owner.
 */
extern void wh_probe_archive(void);

/* List what one check finds, of char *; NIL: all is well. */
extern List *wh_doctor_findings(const char *check_name);

/*
 * A check looks, and tells by wh_finding() what it does not like, as often as
 * there is something.  It changes nothing and becomes the owner itself where it
 * reads records.  An error that it throws is a finding.
 */
typedef void (*WhCheck) (WhDoctor *doctor);

/*
 * Tell of one thing; "fix_sql" is a statement ready to be run by whoever may,
 * or NULL where no statement helps.
 */
extern void wh_finding(WhDoctor *doctor, WhFindingStatus status,
					   const char *detail, const char *fix_sql);

/*
 * The same for each row (detail, fix_sql) of a query, run as the current user:
 * who has become the owner, or else every name and operator is qualified.
 */
extern void wh_findings(WhDoctor *doctor, WhFindingStatus status,
						const char *sql, const WhArg *args, int nargs);

/* doctor_setup.c */
extern char *wh_setup_sql(const WhSettings *settings);
extern void wh_check_instance(WhDoctor *doctor);
extern void wh_check_preload(WhDoctor *doctor);
extern void wh_check_owner_role(WhDoctor *doctor);
extern void wh_check_union_schema(WhDoctor *doctor);

/* doctor_grants.c */
extern void wh_check_grants(WhDoctor *doctor);
extern void wh_check_excess_grants(WhDoctor *doctor);
extern void wh_check_readers(WhDoctor *doctor);

/* doctor_server.c */
extern void wh_check_worker_slots(WhDoctor *doctor);
extern void wh_check_autovacuum(WhDoctor *doctor);
extern void wh_check_bloat(WhDoctor *doctor);

/* doctor_tenants.c */
extern void wh_check_tls(WhDoctor *doctor);
extern void wh_check_keys(WhDoctor *doctor);
extern void wh_check_tenants(WhDoctor *doctor);
extern void wh_check_bridges(WhDoctor *doctor);
extern void wh_check_breakers(WhDoctor *doctor);
extern void wh_check_pauses(WhDoctor *doctor);

/* doctor_data.c */
extern void wh_check_templates(WhDoctor *doctor);
extern void wh_check_materialization(WhDoctor *doctor);
extern void wh_check_drift(WhDoctor *doctor);
extern void wh_check_lost(WhDoctor *doctor);
extern void wh_check_row_counts(WhDoctor *doctor);
extern void wh_check_log(WhDoctor *doctor);

/* doctor_archive.c */
extern void wh_check_archive(WhDoctor *doctor);

/* doctor_cron.c */
extern void wh_check_cron(WhDoctor *doctor);
extern void wh_check_cron_login(WhDoctor *doctor);
extern void wh_check_cron_jobs(WhDoctor *doctor);

/* doctor_views.c */
extern void wh_check_lock_budget(WhDoctor *doctor);
extern void wh_check_union_views(WhDoctor *doctor);

#endif							/* WH_DOCTOR_H */
