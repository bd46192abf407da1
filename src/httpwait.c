/*
 * httpwait.c
 *		Waiting for the sockets of libcurl.
 *
 * libcurl tells by callbacks which sockets it wants to know of, and when it
 * wants to be called at the latest.  These only take notes: the events that
 * are waited for are made when somebody waits, and kept until a note changes.
 */
#include "postgres.h"

#include "compat.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "httpwait.h"

struct WhHttpWait
{
	CURLM	   *multi;
	int			nsockets;
	curl_socket_t sockets[WH_HTTP_SOCKETS];
	uint32		flags[WH_HTTP_SOCKETS];
	TimestampTz timer_at;		/* DT_NOEND: nothing */
	WaitEventSet *events;		/* made for these sockets; NULL: not yet */
	bool		changed;		/* since then */
};

static int	note_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
						void *of_socket);
static int	note_timer(CURLM *multi, long ms, void *arg);
static void wait_for_sockets(WhHttpWait *wait, TimestampTz deadline);
static void make_events(WhHttpWait *wait);
static uint32 archive_wait_event(void);

/*
 * Have libcurl tell what it waits for; see httpwait.h.
 */
WhHttpWait *
wh_http_wait_open(CURLM *multi)
{
	WhHttpWait *wait = (WhHttpWait *) palloc0(sizeof(WhHttpWait));
	int			failed = 0;

	wait->multi = multi;
	wait->timer_at = DT_NOEND;
	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, note_socket);
	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, wait);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, note_timer);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERDATA, wait);
	if (failed != 0)
		elog(ERROR, "libcurl refuses a setting");

	return wait;
}

void
wh_http_wait_close(WhHttpWait *wait)
{
	if (wait->events != NULL)
		FreeWaitEventSet(wait->events);
	wait->events = NULL;
}

/*
 * Let libcurl go on; see httpwait.h.
 */
void
wh_http_wait(WhHttpWait *wait, TimestampTz deadline)
{
	int			running;

	if (GetCurrentTimestamp() < wait->timer_at)
		wait_for_sockets(wait, Min(deadline, wait->timer_at));
	else
	{
		wait->timer_at = DT_NOEND;
		(void) curl_multi_socket_action(wait->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	CHECK_FOR_INTERRUPTS();
}

void
wh_http_pause(long ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left, archive_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Note what libcurl wants of a socket, or that it wants nothing more.
 */
static int
note_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	WhHttpWait *wait = (WhHttpWait *) arg;
	uint32		flags = 0;
	int			i = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		flags |= WL_SOCKET_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		flags |= WL_SOCKET_WRITEABLE;

	wait->changed = true;
	while (i < wait->nsockets && wait->sockets[i] != fd)
		i++;
	if (flags == 0 && i < wait->nsockets)
	{
		wait->nsockets--;
		wait->sockets[i] = wait->sockets[wait->nsockets];
		wait->flags[i] = wait->flags[wait->nsockets];
	}
	if (flags == 0 || i == WH_HTTP_SOCKETS)
		return 0;

	wait->sockets[i] = fd;
	wait->flags[i] = flags;
	wait->nsockets = Max(wait->nsockets, i + 1);

	return 0;
}

static int
note_timer(CURLM *multi, long ms, void *arg)
{
	WhHttpWait *wait = (WhHttpWait *) arg;

	wait->timer_at = ms < 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	return 0;
}

/*
 * Wait until a socket of libcurl's is ready, or the deadline, and have it dealt
 * with.
 */
static void
wait_for_sockets(WhHttpWait *wait, TimestampTz deadline)
{
	WaitEvent	occurred[WH_HTTP_SOCKETS];
	long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	int			n;

	if (wait->events == NULL || wait->changed)
		make_events(wait);
	n = WaitEventSetWait(wait->events, left, occurred, lengthof(occurred),
						 archive_wait_event());

	for (int i = 0; i < n; i++)
	{
		int			ready = 0;
		int			running;

		if (occurred[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (occurred[i].events & WL_SOCKET_READABLE)
			ready |= CURL_CSELECT_IN;
		if (occurred[i].events & WL_SOCKET_WRITEABLE)
			ready |= CURL_CSELECT_OUT;
		if (ready != 0)
			(void) curl_multi_socket_action(wait->multi, occurred[i].fd, ready, &running);
	}
}

static void
make_events(WhHttpWait *wait)
{
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(wait));
	WaitEventSet *events;

	wh_http_wait_close(wait);
	wait->events = events = wh_create_wait_event_set(WH_HTTP_SOCKETS + 2);
	wait->changed = false;
	(void) AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	(void) AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < wait->nsockets; i++)
		(void) AddWaitEventToSet(events, wait->flags[i], wait->sockets[i], NULL, NULL);
	MemoryContextSwitchTo(caller);
}

static uint32
archive_wait_event(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = wh_wait_event("PgWarehouseArchive");

	return wait_event;
}
