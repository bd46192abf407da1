/*
 * fault.h
 *		Whose fault an error is: the tenant's or our own, and of what kind.
 */
#ifndef WH_FAULT_H
#define WH_FAULT_H

/*
 * Has a tenant's failure been raised since the last reset?  The wire marks
 * just before it raises; a unit resets before its work and asks in its
 * handler.  SQLSTATE cannot tell: a tenant's 57014 looks like the user's.
 */
extern void wh_remote_failed_reset(void);
extern void wh_remote_failed_mark(void);
extern bool wh_remote_failed(void);

/*
 * Class of an SQLSTATE in the log's words: network, authentication, source,
 * data, storage, local, cancelled.
 */
extern const char *wh_error_category(int sqlerrcode, bool remote);

#endif							/* WH_FAULT_H */
