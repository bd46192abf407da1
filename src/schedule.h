/*
 * schedule.h
 *		What pg_cron has to do with what it runs: jobs of what goes or is
 *		renamed, ticks that come twice, its own log.
 */
#ifndef WH_SCHEDULE_H
#define WH_SCHEDULE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * Remove the jobs of a template (NULL: all) and tenant (NULL: all), or give
 * those of a tenant its new name and keep their schedules.  Caller: owner.
 */
extern void wh_schedule_remove(const char *template_name, const char *tenant);
extern void wh_schedule_rename(const char *tenant, const char *new_tenant);

/*
 * Is this session a job of ours that has already been started since it was
 * last due?  Ticks that were missed come one after the other.  Caller: owner.
 */
extern bool wh_schedule_replayed(void);

/* Delete all that pg_cron noted of a tenant's refreshes.  Caller: owner. */
extern void wh_schedule_erase(const char *tenant);

/* Delete what pg_cron noted of our jobs before then.  Caller: owner. */
extern void wh_schedule_prune(TimestampTz before);

/*
 * Give jobs whose time zone has moved its clocks the hours of today, or list
 * those that have other ones (of WhJob *).  Caller: owner.
 */
extern void wh_schedule_follow_clocks(void);
extern List *wh_schedule_moved(void);

/* How pg_cron stands in this server and database. */
typedef struct WhCronState
{
	bool		loaded;			/* by shared_preload_libraries */
	bool		installed;		/* in this database */
	const char *database;		/* where it can be installed; NULL: not known */
	const char *host;			/* that it connects to */
	bool		background;		/* or else it starts workers */
	bool		one_at_a_time;	/* these, one by one */
} WhCronState;

extern void wh_cron_state(WhCronState *state);

/* A job of this database, with what became of its last run. */
typedef struct WhCronJob
{
	int64		id;
	char	   *name;			/* or its number */
	char	   *command;
	char	   *role;
	char	   *host;
	int			port;
	bool		active;
	char	   *last_status;	/* NULL: it never ran */
	char	   *last_message;
} WhCronJob;

/*
 * List the jobs that call something of ours, as the current user sees them:
 * with pg_cron installed only.
 */
extern List *wh_cron_jobs(void);

/* Write statements that change a job. */
extern char *wh_cron_command_sql(const WhCronJob *job, const char *command);
extern char *wh_cron_activate_sql(const WhCronJob *job);
extern char *wh_cron_move_sql(const WhCronJob *job, const char *host, int port);

/*
 * Write the statement that has pg_cron run many jobs at a time, or connect to
 * another host.
 */
extern char *wh_cron_many_sql(void);
extern char *wh_cron_host_sql(const char *host);

#endif							/* WH_SCHEDULE_H */
