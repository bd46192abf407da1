/*
 * crew.c
 *		The background workers of one call, as their leader sees them.
 *
 * Whatever ends the leader's statement (its end, an error, a cancel, the end
 * of the process) detaches the segment, and that cancels the workers: nobody
 * goes on working for a session that has given up.  A worker that died is
 * replaced as long as its share has units left, a bounded number of times.
 */
#include "postgres.h"

#include <signal.h>

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "crew.h"
#include "guc.h"

/* One worker, live or dead. */
typedef struct Member
{
	BackgroundWorkerHandle *handle;
	shm_mq_handle *words;
	bool		live;
} Member;

struct WhCrew
{
	MemoryContext context;		/* outlives every error until the detach */
	dsm_segment *segment;
	WhQueue    *queue;
	ErrorData  *refusal;
	int			capacity;
	int			nmembers;
	Member		members[FLEXIBLE_ARRAY_MEMBER];
};

static bool launch(WhCrew *crew);
static void look_after(WhCrew *crew);
static bool any_live(const WhCrew *crew);
static ErrorData *last_words(Member *member);
static void cancel_all(dsm_segment *segment, Datum arg);

/*
 * Launch workers; see crew.h.
 */
WhCrew *
wh_crew_launch(const List *units, int nworkers, int flags,
			   const List *settings)
{
	int			capacity;
	dsm_segment *segment;
	MemoryContext context;
	WhCrew	   *crew;

	nworkers = Min(nworkers, list_length(units));
	capacity = 2 * nworkers;	/* as many may die */
	segment = wh_queue_create(units, capacity, flags, settings);
	if (segment == NULL)
		return NULL;

	context = AllocSetContextCreate(TopMemoryContext, "pg_warehouse crew",
									ALLOCSET_SMALL_SIZES);
	crew = (WhCrew *) MemoryContextAllocZero(context, offsetof(WhCrew, members) +
											 sizeof(Member) * capacity);
	crew->context = context;
	crew->segment = segment;
	crew->queue = wh_queue_of(segment);
	crew->capacity = capacity;
	on_dsm_detach(segment, cancel_all, PointerGetDatum(crew));

	nworkers = Min(nworkers, wh_queue_width(crew->queue));
	while (nworkers-- > 0 && launch(crew))
		;
	if (crew->nmembers > 0)
		return crew;

	wh_crew_dismiss(crew);

	return NULL;
}

/*
 * Wait for news; see crew.h.
 */
bool
wh_crew_wait(WhCrew *crew)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = wh_wait_event("WarehouseWorkers");

	look_after(crew);
	if (!any_live(crew))
		return false;

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1L, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();

	return true;
}

WhQueue *
wh_crew_queue(WhCrew *crew)
{
	return crew->queue;
}

const ErrorData *
wh_crew_refusal(const WhCrew *crew)
{
	return crew->refusal;
}

/*
 * Let go of the queue, which calls cancel_all().
 */
void
wh_crew_dismiss(WhCrew *crew)
{
	dsm_detach(crew->segment);
}

/*
 * Launch one more worker; false when the server has no slot for it.
 */
static bool
launch(WhCrew *crew)
{
	int			me = crew->nmembers;
	Member	   *member = &crew->members[me];
	shm_mq	   *words = wh_queue_words(crew->queue, me);
	BackgroundWorker worker = {0};
	MemoryContext caller;
	bool		launched;

	if (me >= crew->capacity)
		return false;

	strlcpy(worker.bgw_name, "pg_warehouse worker", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pg_warehouse worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pg_warehouse", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "wh_worker_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(crew->segment));
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &me, sizeof(me));

	caller = MemoryContextSwitchTo(crew->context);
	if (shm_mq_get_receiver(words) == NULL)
	{
		shm_mq_set_receiver(words, MyProc);
		member->words = shm_mq_attach(words, crew->segment, NULL);
	}
	launched = RegisterDynamicBackgroundWorker(&worker, &member->handle);
	MemoryContextSwitchTo(caller);
	if (!launched)
		return false;

	member->live = true;
	crew->nmembers++;

	return true;
}

/*
 * Find out who has ended, and see that what they left behind is taken up.
 */
static void
look_after(WhCrew *crew)
{
	for (int i = 0; i < crew->nmembers; i++)
	{
		Member	   *member = &crew->members[i];
		bool		left_work;
		pid_t		pid;

		if (!member->live ||
			GetBackgroundWorkerPid(member->handle, &pid) != BGWH_STOPPED)
			continue;

		member->live = false;
		left_work = wh_queue_bury(crew->queue, i);
		if (left_work)
			(void) launch(crew);
		else if (crew->refusal == NULL && !wh_queue_entered(crew->queue, i))
		{
			MemoryContext caller = MemoryContextSwitchTo(crew->context);

			crew->refusal = last_words(member);
			MemoryContextSwitchTo(caller);
		}
	}
}

static bool
any_live(const WhCrew *crew)
{
	for (int i = 0; i < crew->nmembers; i++)
	{
		if (crew->members[i].live)
			return true;
	}

	return false;
}

/*
 * Read the error with which a worker ended before it had a database; NULL when
 * it left none.
 */
static ErrorData *
last_words(Member *member)
{
	Size		len;
	void	   *data;

	while (shm_mq_receive(member->words, &len, &data, true) == SHM_MQ_SUCCESS)
	{
		ErrorData  *error = (ErrorData *) palloc0(sizeof(ErrorData));
		StringInfoData message;

		initStringInfo(&message);
		appendBinaryStringInfo(&message, (const char *) data, (int) len);
		if (pq_getmsgbyte(&message) != 'E')
			continue;
		pq_parse_errornotice(&message, error);

		return error;
	}

	return NULL;
}

/*
 * Called when the segment is detached, on whatever path.  A worker that is at
 * work is cancelled, so that the log tells of it, and finds no further unit;
 * one that has not begun never does.
 */
static void
cancel_all(dsm_segment *segment, Datum arg)
{
	WhCrew	   *crew = (WhCrew *) DatumGetPointer(arg);

	wh_queue_stop(crew->queue);
	for (int i = 0; i < crew->nmembers; i++)
	{
		pid_t		pid;

		if (!crew->members[i].live)
			continue;
		switch (GetBackgroundWorkerPid(crew->members[i].handle, &pid))
		{
			case BGWH_STARTED:
				(void) kill(pid, SIGINT);
				break;
			case BGWH_NOT_YET_STARTED:
				TerminateBackgroundWorker(crew->members[i].handle);
				break;
			default:
				break;
		}
	}
	MemoryContextDelete(crew->context);
}
