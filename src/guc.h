/*
 * guc.h
 *		The settings of pg_warehouse.*
 */
#ifndef WH_GUC_H
#define WH_GUC_H

extern char *wh_key_file;		/* resolved default: wh_guc_key_file() */
extern char *wh_sslrootcert;
extern char *wh_archive_directory;	/* empty: none */
extern char *wh_s3_endpoint;	/* "": none */
extern char *wh_s3_bucket;		/* "": none */
extern char *wh_s3_region;
extern char *wh_s3_prefix;		/* without slashes at its ends */
extern int	wh_log_retention;	/* minutes; -1: for ever */
extern int	wh_failure_retention;	/* likewise, of failures */
extern int	wh_breaker_failures;	/* 0: a breaker never opens */
extern int	wh_breaker_cooldown;	/* ms */
extern int	wh_retry_time;		/* ms; 0: no second attempt */
extern int	wh_max_workers;
extern int	wh_connect_timeout; /* ms */
extern int	wh_no_progress_timeout; /* ms */
extern int	wh_run_timeout;		/* ms; 0: none */
extern int	wh_lock_deadline;	/* ms */
extern int	wh_lock_retry;		/* ms */
extern int	wh_delta_memory;	/* kB */
extern bool wh_expand_views;
extern int	wh_expand_max_slices;
extern int	wh_expand_chunk_size;

extern void wh_guc_define(void);

/* The key ring's path: the setting, else beside the data directory. */
extern char *wh_guc_key_file(void);

#endif							/* WH_GUC_H */
