/*
 * notify.h
 *		NOTIFY pg_warehouse: news for whoever listens, as JSON.
 */
#ifndef WH_NOTIFY_H
#define WH_NOTIFY_H

/* A member of the message; a value of NULL is left out. */
typedef struct WhNews
{
	const char *name;
	const char *value;
} WhNews;

/*
 * Tell listeners {"event": ..., and these members, all of them strings}; they
 * hear of it when the transaction commits.
 */
extern void wh_notify(const char *event, const WhNews *news, int n);

#endif							/* WH_NOTIFY_H */
