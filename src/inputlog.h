/*
 * inputlog.h
 *		What the log, _wh.extract_runs, says of the inputs of derived templates.
 */
#ifndef WH_INPUTLOG_H
#define WH_INPUTLOG_H

#include "nodes/pg_list.h"
#include "period.h"

/*
 * Has a refresh of a day of that range failed, or was it lost, and no later one
 * of the day has loaded it?
 */
extern bool wh_inputlog_failed(const char *template_name, const char *tenant,
							   DateADT from, DateADT to);

/*
 * Write down, as a JSON object, when the last run of each of these templates
 * ended whose rows can be seen by now.  The runs of one template and tenant end
 * one after the other, each under the object lock until it is committed, so
 * whatever ends later was not seen.
 */
extern char *wh_inputlog_seen(List *inputs, const char *tenant);

/*
 * Has a run of one of these templates changed rows that the period is made of,
 * which that run has not seen?  A period that is the whole is made of all.
 */
extern bool wh_inputlog_changed(int64 run_id, List *inputs, const char *tenant,
								const WhPeriod *period);

/*
 * List the days (DateADT) of a template whose last run has not seen rows that
 * one of its inputs got in the last month.
 */
extern List *wh_inputlog_days(const char *template_name, List *inputs,
							  const char *tenant);

#endif							/* WH_INPUTLOG_H */
