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
 * Was it raised by a standby?  What that one refuses or breaks off may be
 * possible in a while.
 */
extern void wh_remote_standby_mark(bool standby);

/*
 * Was the work refused for now, at nobody's fault?  The mark is set, asked for
 * and reset like that of a failure.
 */
extern void wh_postponed_mark(void);
extern bool wh_postponed(void);

/*
 * May the same work succeed in a while, with nobody mending anything?
 */
extern bool wh_error_may_pass(int sqlerrcode, bool remote);

/*
 * Does a tenant's error say that its server is out of reach or lets nobody in,
 * whatever it is asked?
 */
extern bool wh_error_is_servers(int sqlerrcode);

/*
 * Class of an SQLSTATE in the log's words: network, authentication, source,
 * data, storage, local, cancelled.
 */
extern const char *wh_error_category(int sqlerrcode, bool remote);

#endif							/* WH_FAULT_H */
