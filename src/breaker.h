/*
 * breaker.h
 *		_wh.breakers: tenants whose server does not answer, and when it is
 *		asked again.
 */
#ifndef WH_BREAKER_H
#define WH_BREAKER_H

#include "datatype/timestamp.h"
#include "utils/elog.h"

typedef enum WhBreakerState
{
	WH_BREAKER_CLOSED,			/* asked whenever there is something to ask */
	WH_BREAKER_OPEN,			/* left alone */
	WH_BREAKER_HALF_OPEN		/* one may try */
} WhBreakerState;

typedef struct WhBreaker
{
	WhBreakerState state;
	int			failures;		/* in a row */
	TimestampTz opened_at;
	TimestampTz probe_at;		/* when it becomes half open */
	int			cooldown;		/* ms that it was left alone for, about */
	char	   *sqlstate;		/* of the last failure */
	char	   *message;
} WhBreaker;

/*
 * Look a tenant's breaker up, as the current user, who has become the owner;
 * NULL: it did not fail lately.
 */
extern WhBreaker *wh_breaker(const char *tenant);

/*
 * Try to be the one who may ask a tenant whose breaker is half open; if so,
 * until the end of the transaction, however that comes.  Look it up again
 * afterwards.
 */
extern bool wh_breaker_try(const char *tenant);

/*
 * Note that a tenant's server failed, or that it answered; the former returns
 * whether the breaker is open now.  Both write in the caller's transaction and
 * leave it to others who are at the same.  Caller: owner.
 */
extern bool wh_breaker_failed(const char *tenant, const ErrorData *error);
extern void wh_breaker_answered(const char *tenant);

/*
 * Close a breaker, since something was mended, or the tenant goes; false when
 * nothing had failed.  Caller: owner.
 */
extern bool wh_breaker_close(const char *tenant);

#endif							/* WH_BREAKER_H */
