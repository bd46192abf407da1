/*
 * notify.h
 *		What listeners of channel pg_warehouse hear.
 */
#ifndef WH_NOTIFY_H
#define WH_NOTIFY_H

#include "nodes/pg_list.h"

/* A member of the JSON object that is sent: one of these, else left out. */
typedef struct WhNews
{
	const char *name;
	const char *value;			/* a string */
	int64		number;			/* 0: none */
	const List *list;			/* of char * */
} WhNews;

/*
 * Tell listeners of an event when this transaction commits.  Long texts and
 * lists are cut so that the whole fits into what PostgreSQL sends.
 */
extern void wh_notify(const char *event, const WhNews *news, int n);

#endif							/* WH_NOTIFY_H */
