/*
 * schedule.h
 *		What pg_cron has to do with what it runs: jobs of what goes or is
 *		renamed, ticks that come twice, its own log.
 */
#ifndef WH_SCHEDULE_H
#define WH_SCHEDULE_H

#include "datatype/timestamp.h"

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
 * Give jobs whose time zone has moved its clocks the hours of today.
 * Caller: owner.
 */
extern void wh_schedule_follow_clocks(void);

#endif							/* WH_SCHEDULE_H */
