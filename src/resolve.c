/*
 * resolve.c
 *		Host names to numeric addresses, without ever blocking.
 *
 * getaddrinfo() cannot be abandoned: with a silent name server it holds a
 * backend for ten seconds and more, deaf to cancel.  c-ares asks the same
 * sources (hosts file, then the servers of resolv.conf) through sockets that
 * we wait on ourselves, so a question can be dropped at any moment.  Its
 * channel lives outside our memory contexts, hence the PG_FINALLY; its
 * callbacks only take notes.
 */
#include "postgres.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/time.h>

#include "compat.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "resolve.h"

/* What the callback has noted. */
typedef struct Answer
{
	bool		done;
	int			status;
	struct ares_addrinfo *info;
} Answer;

/* A question asks few servers at a time, over UDP and TCP. */
#define MAX_SOCKETS 16

/* The sockets that the channel wants to be told of. */
typedef struct Sockets
{
	int			n;
	ares_socket_t fds[MAX_SOCKETS];
	uint32		flags[MAX_SOCKETS];
} Sockets;

static bool is_ip_literal(const char *host);
static int	open_channel(ares_channel * channel, Sockets *sockets);
static void note_socket(void *arg, ares_socket_t fd, int readable,
						int writable);
static void take_answer(void *arg, int status, int timeouts,
						struct ares_addrinfo *info);
static void wait_for_answer(ares_channel channel, const Sockets *sockets,
							const Answer *answer, TimestampTz deadline);
static void wait_for_sockets(ares_channel channel, const Sockets *sockets,
							 long timeout_ms);
static List *addresses_of(const struct ares_addrinfo *info);

/*
 * Resolve a host name; see resolve.h.
 */
List *
wh_resolve(const char *host, TimestampTz deadline, const char **problem)
{
	struct ares_addrinfo_hints hints = {0};
	Sockets		sockets = {0};
	Answer		answer = {0};
	ares_channel channel;
	List	   *volatile addresses = NIL;
	int			status;

	*problem = NULL;
	if (is_ip_literal(host))
		return list_make1(pstrdup(host));

	status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS)
		status = open_channel(&channel, &sockets);
	if (status != ARES_SUCCESS)
	{
		*problem = ares_strerror(status);
		return NIL;
	}

	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;

	PG_TRY();
	{
		ares_getaddrinfo(channel, host, NULL, &hints, take_answer, &answer);
		wait_for_answer(channel, &sockets, &answer, deadline);
		if (!answer.done)
			*problem = "no name server answered in time";
		else if (answer.status != ARES_SUCCESS)
			*problem = ares_strerror(answer.status);
		else
			addresses = addresses_of(answer.info);
	}
	PG_FINALLY();
	{
		/* The callback runs once more for a question without an answer. */
		ares_destroy(channel);
		ares_freeaddrinfo(answer.info);
		ares_library_cleanup();
	}
	PG_END_TRY();

	if (addresses == NIL && *problem == NULL)
		*problem = "the name has no address";

	return addresses;
}

static bool
is_ip_literal(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
		inet_pton(AF_INET6, host, address) == 1;
}

/*
 * Open a channel that tells of its sockets as they come and go.
 */
static int
open_channel(ares_channel * channel, Sockets *sockets)
{
	struct ares_options options = {0};

	options.sock_state_cb = note_socket;
	options.sock_state_cb_data = sockets;

	return ares_init_options(channel, &options, ARES_OPT_SOCK_STATE_CB);
}

/*
 * Note what the channel wants of a socket; nothing means that it is closed.
 */
static void
note_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	Sockets    *sockets = (Sockets *) arg;
	uint32		flags = (readable ? WL_SOCKET_READABLE : 0) |
	(writable ? WL_SOCKET_WRITEABLE : 0);
	int			i = 0;

	while (i < sockets->n && sockets->fds[i] != fd)
		i++;
	if (flags == 0 && i < sockets->n)
	{
		sockets->n--;
		sockets->fds[i] = sockets->fds[sockets->n];
		sockets->flags[i] = sockets->flags[sockets->n];
	}
	if (flags == 0 || i == MAX_SOCKETS)
		return;

	sockets->fds[i] = fd;
	sockets->flags[i] = flags;
	sockets->n = Max(sockets->n, i + 1);
}

static void
take_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	Answer	   *answer = (Answer *) arg;

	answer->done = true;
	answer->status = status;
	answer->info = info;
}

/*
 * Let c-ares work until the answer is there or the deadline has passed.
 */
static void
wait_for_answer(ares_channel channel, const Sockets *sockets,
				const Answer *answer, TimestampTz deadline)
{
	while (!answer->done)
	{
		TimestampTz now = GetCurrentTimestamp();
		long		left = TimestampDifferenceMilliseconds(now, deadline);
		struct timeval most = {left / 1000, (left % 1000) * 1000};
		struct timeval buffer;
		struct timeval *next;

		if (left <= 0)
			return;

		/* c-ares has timeouts of its own, after which it asks again. */
		next = ares_timeout(channel, &most, &buffer);
		wait_for_sockets(channel, sockets,
						 next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
	}
}

/*
 * Wait until a socket of the channel is ready, or the timeout, and let
 * c-ares handle it.
 */
static void
wait_for_sockets(ares_channel channel, const Sockets *sockets,
				 long timeout_ms)
{
	static uint32 wait_event = 0;
	WaitEvent	events[MAX_SOCKETS + 2];
	WaitEventSet *set;
	volatile int nevents = 0;

	if (wait_event == 0)
		wait_event = wh_wait_event("PgWarehouseResolve");

	set = wh_create_wait_event_set(MAX_SOCKETS + 2);
	PG_TRY();
	{
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		for (int i = 0; i < sockets->n; i++)
			AddWaitEventToSet(set, sockets->flags[i], sockets->fds[i], NULL,
							  NULL);
		nevents = WaitEventSetWait(set, timeout_ms, events, lengthof(events),
								   wait_event);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(set);
	}
	PG_END_TRY();

	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();

	for (int i = 0; i < nevents; i++)
	{
		ares_socket_t readable = ARES_SOCKET_BAD;
		ares_socket_t writable = ARES_SOCKET_BAD;

		if (events[i].events & WL_SOCKET_READABLE)
			readable = events[i].fd;
		if (events[i].events & WL_SOCKET_WRITEABLE)
			writable = events[i].fd;
		if (readable != ARES_SOCKET_BAD || writable != ARES_SOCKET_BAD)
			ares_process_fd(channel, readable, writable);
	}

	/* Its own timeouts, even when no socket was ready. */
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/*
 * Copy the addresses out as text.
 */
static List *
addresses_of(const struct ares_addrinfo *info)
{
	List	   *addresses = NIL;

	for (const struct ares_addrinfo_node *node = info->nodes; node != NULL;
		 node = node->ai_next)
	{
		char		text[INET6_ADDRSTRLEN];
		const void *address;

		if (node->ai_family == AF_INET)
			address = &((const struct sockaddr_in *) node->ai_addr)->sin_addr;
		else if (node->ai_family == AF_INET6)
			address = &((const struct sockaddr_in6 *) node->ai_addr)->sin6_addr;
		else
			continue;
		if (inet_ntop(node->ai_family, address, text, sizeof(text)) != NULL)
			addresses = lappend(addresses, pstrdup(text));
	}

	return addresses;
}
