/*
 * remote.h
 *		A tenant's failures as errors of ours; and a bridge's.
 */
#ifndef WH_REMOTE_H
#define WH_REMOTE_H

#include "libpq-fe.h"

/* Who failed, and at what. */
typedef struct WhRemote
{
	const char *kind;			/* tenant, bridge */
	char	   *name;
	char	   *username;
	char	   *subject;		/* begins the DETAIL */
} WhRemote;

/*
 * Raise an error of the tenant's server under its SQLSTATE; "message" is
 * clean.
 */
extern void wh_remote_raise(const WhRemote *remote, const char *sqlstate,
							const char *message) pg_attribute_noreturn();

/*
 * Raise why pg, still connecting, failed: the server's refusal, which
 * wh_remote_refused() tells of, or else nobody's answer.  pg's error verbosity
 * is PQERRORS_VERBOSE.
 */
extern void wh_remote_raise_connect(const WhRemote *remote, PGconn *pg,
									bool timed_out) pg_attribute_noreturn();
extern bool wh_remote_refused(const PGconn *pg);

/* Raise 08001: nobody answered. */
extern void wh_remote_raise_unreachable(const WhRemote *remote,
										const char *reason)
			pg_attribute_noreturn();

/* Raise 08006: the connection is lost. */
extern void wh_remote_raise_lost(const WhRemote *remote, PGconn *pg)
			pg_attribute_noreturn();

/*
 * Copy a tenant's text for a message of ours: its first line, at most 1 kB,
 * with '?' for what is not valid in our encoding or could forge a log line.
 */
extern char *wh_clean_text(const char *text);

#endif							/* WH_REMOTE_H */
