/*
 * schedule.h
 *		What becomes of pg_cron jobs when what they refresh goes or is renamed.
 */
#ifndef WH_SCHEDULE_H
#define WH_SCHEDULE_H

/*
 * Remove the jobs of a template (NULL: all) and tenant (NULL: all), or give
 * one the tenant's new name and keep its schedule.  Nothing to do where
 * pg_cron is not there or has no such job.  Caller: owner.
 */
extern void wh_schedule_remove(const char *template_name, const char *tenant);
extern void wh_schedule_rename(const char *template_name, const char *tenant,
							   const char *new_tenant);

#endif							/* WH_SCHEDULE_H */
