/*
 * queue.c
 *		The units of one call in dynamic shared memory: who has which, and how
 *		each ended.
 *
 * A worker takes a share: a pair of template and tenant with all its units,
 * since the pair's object lock lets two days of it run only one after the
 * other; or, where units of a tenant and day read under one snapshot, which one
 * connection keeps, all that is the tenant's.  It takes the next share of the
 * same tenant first, whose connection it may still have.  No tenant is at work
 * in more workers than it has max_connections.
 *
 * A derived template's share is taken only after those of the same tenant that
 * it is made of; another tenant's never hold it up.
 *
 * A unit that is to be tried again goes back to the head of its share, which
 * nobody takes before its time; nor, where it is the tenant that keeps us
 * waiting, another share of that tenant.  Meanwhile the worker takes what else
 * there is.
 *
 * Everything has a fixed place and nobody waits for anybody here: what a unit
 * has to say is in its row of the log, of which the queue has the number.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "queue.h"
#include "settings.h"

/*
 * A worker of another version of the library, loaded after an upgrade of the
 * package, must not read this.  Raise LAYOUT with every change of a struct.
 */
#define MAGIC 0x57485155
#define LAYOUT 3

/* Enough for any error of connecting; nobody reads it before the end. */
#define WORDS_BYTES 8192

#define NOBODY (-1)

/* One tenant's share. */
typedef struct Tenant
{
	char		name[NAMEDATALEN];
	int			max_connections;
	int			busy;			/* workers that have a share of it */
	TimestampTz not_before;
} Tenant;

typedef struct Template
{
	char		name[NAMEDATALEN];
} Template;

/* What a worker takes. */
typedef struct Share
{
	int			tenant;
	int			template;		/* NOBODY: all of the tenant's */
	int			first;			/* its next unit that waits, or NOBODY */
	bool		busy;
	bool		lost;			/* a unit of it is, or of an input of it */
	int			inputs;			/* shares that it waits for */
	TimestampTz not_before;
} Share;

/* One share has to wait until another is done. */
typedef struct Wait
{
	int			share;
	int			input;
} Wait;

typedef struct Unit
{
	int			share;
	int			template;
	int			next;			/* of the same share, or NOBODY */
	WhPeriod	period;
	WhDays		days;
	bool		rollup;
	bool		allow_gaps;
	bool		begun;
	bool		named;
	WhPurpose	purpose;
	int64		replays;
	WhLoadRules rules;
	WhRetry		retry;
	WhOutcome	outcome;
} Unit;

/* One worker, used once. */
typedef struct Worker
{
	bool		entered;		/* it has a database */
	int			share;			/* NOBODY: none */
	int			unit;			/* NOBODY: none */
	int			last_tenant;	/* NOBODY: none yet */
	bool		waits;			/* until a share may be taken */
} Worker;

struct WhQueue
{
	uint32		magic;
	uint32		layout;
	Oid			database;
	Oid			owner;
	PGPROC	   *leader;
	int			flags;
	int			ntenants;
	int			ntemplates;
	int			nshares;
	int			nwaits;
	int			nunits;
	int			nworkers;
	int			nsettings;
	Size		tenants;		/* offsets from here */
	Size		templates;
	Size		shares;
	Size		waits;
	Size		units;
	Size		workers;
	Size		settings;
	Size		words;

	slock_t		mutex;			/* protects all below, and the arrays */
	bool		stopped;
};

/* The queue as it is gathered, before there is a segment to put it in. */
typedef struct Draft
{
	bool		by_tenant;		/* a share is all of the tenant's */
	Tenant	   *tenants;
	int			ntenants;
	Template   *templates;
	int			ntemplates;
	Share	   *shares;
	int			nshares;
	int		   *last_unit;		/* per share */
	Wait	   *waits;
	int			nwaits;
	Unit	   *units;
	int			nunits;
} Draft;

static void gather(Draft *draft, const List *units);
static void gather_waits(Draft *draft, const List *units);
static int	tenant_index(Draft *draft, const WhTenant *tenant);
static int	template_index(Draft *draft, const WhTemplate *tmpl);
static int	share_index(Draft *draft, int tenant, int template);
static Size settings_size(const List *settings);
static Size reserve(Size *total, Size size);
static const char *lost_input(WhQueue *queue, int share);
static bool take_share(WhQueue *queue, Worker *worker, int tenant,
					   TimestampTz now);
static TimestampTz share_time(WhQueue *queue, const Share *share);
static TimestampTz time_to_wait(WhQueue *queue);
static void leave_share(WhQueue *queue, Worker *worker);
static void lose_day(WhQueue *queue, const Unit *lost);
static void tell_leader(WhQueue *queue);

#define PLACE(queue, offset) ((void *) ((char *) (queue) + (queue)->offset))
#define TENANTS(queue) ((Tenant *) PLACE(queue, tenants))
#define TEMPLATES(queue) ((Template *) PLACE(queue, templates))
#define SHARES(queue) ((Share *) PLACE(queue, shares))
#define WAITS(queue) ((Wait *) PLACE(queue, waits))
#define UNITS(queue) ((Unit *) PLACE(queue, units))
#define WORKERS(queue) ((Worker *) PLACE(queue, workers))

/*
 * Make a queue; see queue.h.
 */
dsm_segment *
wh_queue_create(const List *units, int nworkers, int flags,
				const List *settings)
{
	WhQueue		shape = {0};
	Draft		draft = {0};
	Size		total = MAXALIGN(sizeof(WhQueue));
	dsm_segment *segment;
	WhQueue    *queue;
	ListCell   *lc;
	char	   *text;

	draft.by_tenant = (flags & WH_QUEUE_CONSISTENT) != 0;
	gather(&draft, units);

	shape.magic = MAGIC;
	shape.layout = LAYOUT;
	shape.database = MyDatabaseId;
	shape.owner = wh_owner_oid();
	shape.leader = MyProc;
	shape.flags = flags;
	shape.ntenants = draft.ntenants;
	shape.ntemplates = draft.ntemplates;
	shape.nshares = draft.nshares;
	shape.nwaits = draft.nwaits;
	shape.nunits = draft.nunits;
	shape.nworkers = nworkers;
	shape.nsettings = list_length(settings);
	shape.tenants = reserve(&total, sizeof(Tenant) * shape.ntenants);
	shape.templates = reserve(&total, sizeof(Template) * shape.ntemplates);
	shape.shares = reserve(&total, sizeof(Share) * shape.nshares);
	shape.waits = reserve(&total, sizeof(Wait) * shape.nwaits);
	shape.units = reserve(&total, sizeof(Unit) * shape.nunits);
	shape.workers = reserve(&total, sizeof(Worker) * nworkers);
	shape.settings = reserve(&total, settings_size(settings));
	shape.words = reserve(&total, (Size) WORDS_BYTES * nworkers);

	segment = dsm_create(total, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (segment == NULL)
		return NULL;

	queue = (WhQueue *) dsm_segment_address(segment);
	*queue = shape;
	SpinLockInit(&queue->mutex);
	memcpy(TENANTS(queue), draft.tenants, sizeof(Tenant) * shape.ntenants);
	memcpy(TEMPLATES(queue), draft.templates, sizeof(Template) * shape.ntemplates);
	memcpy(SHARES(queue), draft.shares, sizeof(Share) * shape.nshares);
	if (shape.nwaits > 0)
		memcpy(WAITS(queue), draft.waits, sizeof(Wait) * shape.nwaits);
	memcpy(UNITS(queue), draft.units, sizeof(Unit) * shape.nunits);
	for (int i = 0; i < nworkers; i++)
	{
		Worker		worker = {false, NOBODY, NOBODY, NOBODY, false};

		WORKERS(queue)[i] = worker;
		(void) shm_mq_create(wh_queue_words(queue, i), WORDS_BYTES);
	}

	text = (char *) PLACE(queue, settings);
	foreach(lc, settings)
	{
		strcpy(text, (const char *) lfirst(lc));
		text += strlen(text) + 1;
	}

	return segment;
}

/*
 * Find the queue in a segment; see queue.h.
 */
WhQueue *
wh_queue_of(dsm_segment *segment)
{
	WhQueue    *queue = (WhQueue *) dsm_segment_address(segment);

	if (queue->magic != MAGIC || queue->layout != LAYOUT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the queue of a refresh is of another version of pg_warehouse"),
				 errdetail("Its session has loaded a library that was replaced since."),
				 errhint("Connect anew and run it again.")));

	return queue;
}

/*
 * Count the workers that could be at work at once.
 */
int
wh_queue_width(const WhQueue *queue)
{
	int			width = 0;

	for (int t = 0; t < queue->ntenants; t++)
	{
		int			shares = 0;

		for (int s = 0; s < queue->nshares; s++)
			shares += SHARES(queue)[s].tenant == t;
		width += Min(shares, TENANTS(queue)[t].max_connections);
	}

	return Min(width, queue->nworkers);
}

Oid
wh_queue_database(const WhQueue *queue)
{
	return queue->database;
}

Oid
wh_queue_owner(const WhQueue *queue)
{
	return queue->owner;
}

/*
 * Return the names and values that the leader gave, in turn.
 */
List *
wh_queue_settings(const WhQueue *queue)
{
	char	   *text = (char *) PLACE(queue, settings);
	List	   *settings = NIL;

	for (int i = 0; i < queue->nsettings; i++)
	{
		settings = lappend(settings, text);
		text += strlen(text) + 1;
	}

	return settings;
}

shm_mq *
wh_queue_words(WhQueue *queue, int worker)
{
	return (shm_mq *) ((char *) PLACE(queue, words) + (Size) WORDS_BYTES * worker);
}

void
wh_queue_enter(WhQueue *queue, int worker)
{
	SpinLockAcquire(&queue->mutex);
	WORKERS(queue)[worker].entered = true;
	SpinLockRelease(&queue->mutex);
}

bool
wh_queue_entered(WhQueue *queue, int worker)
{
	bool		entered;

	SpinLockAcquire(&queue->mutex);
	entered = WORKERS(queue)[worker].entered;
	SpinLockRelease(&queue->mutex);

	return entered;
}

/*
 * Take the next unit; see queue.h.
 *
 * A worker that finds every tenant that has work left at its limit may end:
 * those who keep them busy will come for the rest.
 */
bool
wh_queue_claim(WhQueue *queue, int me, WhClaim *claim, TimestampTz *again)
{
	Worker	   *worker = &WORKERS(queue)[me];
	TimestampTz now = GetCurrentTimestamp();
	bool		found = false;

	*again = DT_NOEND;
	SpinLockAcquire(&queue->mutex);
	worker->waits = false;
	if (worker->share != NOBODY &&
		(queue->stopped || SHARES(queue)[worker->share].first == NOBODY))
		leave_share(queue, worker);
	if (!queue->stopped)
		found = worker->share != NOBODY ||
			(worker->last_tenant != NOBODY &&
			 take_share(queue, worker, worker->last_tenant, now)) ||
			take_share(queue, worker, NOBODY, now);
	if (!found && !queue->stopped)
	{
		*again = time_to_wait(queue);
		worker->waits = *again != DT_NOEND;
	}
	if (found)
	{
		Share	   *share = &SHARES(queue)[worker->share];
		Unit	   *unit = &UNITS(queue)[share->first];

		worker->unit = share->first;
		share->first = unit->next;
		unit->outcome.state = WH_UNIT_CLAIMED;

		claim->unit = worker->unit;
		claim->template_name = TEMPLATES(queue)[unit->template].name;
		claim->tenant_name = TENANTS(queue)[share->tenant].name;
		claim->period = unit->period;
		claim->days = unit->days;
		claim->rollup = unit->rollup;
		claim->allow_gaps = unit->allow_gaps;
		claim->begun = unit->begun;
		claim->named = unit->named;
		claim->lost_input = lost_input(queue, worker->share);
		share->lost |= claim->lost_input != NULL;
		claim->consistent = (queue->flags & WH_QUEUE_CONSISTENT) != 0;
		claim->purpose = unit->purpose;
		claim->replays = unit->replays;
		claim->rules = unit->rules;
		claim->retry = unit->retry;
	}
	SpinLockRelease(&queue->mutex);

	return found;
}

void
wh_queue_logged(WhQueue *queue, int worker, int64 run_id)
{
	SpinLockAcquire(&queue->mutex);
	UNITS(queue)[WORKERS(queue)[worker].unit].outcome.run_id = run_id;
	SpinLockRelease(&queue->mutex);
}

void
wh_queue_done(WhQueue *queue, int worker, bool failed)
{
	SpinLockAcquire(&queue->mutex);
	UNITS(queue)[WORKERS(queue)[worker].unit].outcome.state = WH_UNIT_DONE;
	WORKERS(queue)[worker].unit = NOBODY;
	if (failed && (queue->flags & WH_QUEUE_STOP_ON_FAILURE))
		queue->stopped = true;
	SpinLockRelease(&queue->mutex);

	tell_leader(queue);
}

/*
 * Put a unit back; see queue.h.  Nobody else has changed its share since.
 */
void
wh_queue_put_back(WhQueue *queue, int me, const WhRetry *retry,
				  TimestampTz at, bool whole_tenant)
{
	Worker	   *worker = &WORKERS(queue)[me];
	Share	   *share;
	Tenant	   *tenant;

	SpinLockAcquire(&queue->mutex);
	share = &SHARES(queue)[worker->share];
	tenant = &TENANTS(queue)[share->tenant];
	UNITS(queue)[worker->unit].retry = *retry;
	UNITS(queue)[worker->unit].outcome.state = WH_UNIT_WAITING;
	share->first = worker->unit;
	share->not_before = at;
	if (whole_tenant)
		tenant->not_before = Max(tenant->not_before, at);
	worker->unit = NOBODY;
	leave_share(queue, worker);
	SpinLockRelease(&queue->mutex);
}

/*
 * Give back what a dead worker had.  Its unit is lost, and with it those that
 * were to be read under the same snapshot; the others of its share wait for
 * somebody else.
 */
bool
wh_queue_bury(WhQueue *queue, int dead)
{
	Worker	   *worker = &WORKERS(queue)[dead];
	bool		left_work = false;

	SpinLockAcquire(&queue->mutex);
	if (worker->waits)
	{
		worker->waits = false;
		left_work = !queue->stopped;
	}
	if (worker->unit != NOBODY)
	{
		Unit	   *unit = &UNITS(queue)[worker->unit];

		unit->outcome.state = WH_UNIT_LOST;
		SHARES(queue)[unit->share].lost = true;
		worker->unit = NOBODY;
		if (queue->flags & WH_QUEUE_CONSISTENT)
			lose_day(queue, unit);
		if (queue->flags & WH_QUEUE_STOP_ON_FAILURE)
			queue->stopped = true;
	}
	if (worker->share != NOBODY)
	{
		left_work = !queue->stopped;
		leave_share(queue, worker);
	}
	SpinLockRelease(&queue->mutex);

	return left_work;
}

void
wh_queue_stop(WhQueue *queue)
{
	SpinLockAcquire(&queue->mutex);
	queue->stopped = true;
	SpinLockRelease(&queue->mutex);
}

bool
wh_queue_stopped(WhQueue *queue)
{
	bool		stopped;

	SpinLockAcquire(&queue->mutex);
	stopped = queue->stopped;
	SpinLockRelease(&queue->mutex);

	return stopped;
}

WhOutcome
wh_queue_outcome(WhQueue *queue, int unit)
{
	WhOutcome	outcome;

	SpinLockAcquire(&queue->mutex);
	outcome = UNITS(queue)[unit].outcome;
	SpinLockRelease(&queue->mutex);

	return outcome;
}

/*
 * Sort the units by share, each share's in the order of the list.
 */
static void
gather(Draft *draft, const List *units)
{
	int			n = list_length(units);
	ListCell   *lc;

	draft->tenants = (Tenant *) palloc0(sizeof(Tenant) * n);
	draft->templates = (Template *) palloc0(sizeof(Template) * n);
	draft->shares = (Share *) palloc0(sizeof(Share) * n);
	draft->last_unit = (int *) palloc(sizeof(int) * n);
	draft->units = (Unit *) palloc0(sizeof(Unit) * n);

	foreach(lc, units)
	{
		const WhUnit *given = (const WhUnit *) lfirst(lc);
		Unit	   *unit = &draft->units[draft->nunits];
		Share	   *share;

		unit->template = template_index(draft, given->tmpl);
		unit->share = share_index(draft, tenant_index(draft, given->tenant),
								  draft->by_tenant ? NOBODY : unit->template);
		unit->next = NOBODY;
		unit->period = given->period;
		unit->days = given->days;
		unit->rollup = given->rollup;
		unit->allow_gaps = given->allow_gaps;
		unit->begun = given->begun;
		unit->named = given->named;
		unit->purpose = given->purpose;
		unit->replays = given->replays;
		unit->rules = given->rules;

		share = &draft->shares[unit->share];
		if (share->first == NOBODY)
			share->first = draft->nunits;
		else
			draft->units[draft->last_unit[unit->share]].next = draft->nunits;
		draft->last_unit[unit->share] = draft->nunits++;
	}
	if (!draft->by_tenant)
		gather_waits(draft, units);
}

/*
 * Note which shares a derived template's has to wait for.  Where a share is all
 * of the tenant's, the order of the list does.
 */
static void
gather_waits(Draft *draft, const List *units)
{
	int			room = 0;
	int			n = 0;
	ListCell   *lc;
	ListCell   *li;

	foreach(lc, units)
		room += list_length(((const WhUnit *) lfirst(lc))->tmpl->depends_on);
	draft->waits = (Wait *) palloc(sizeof(Wait) * Max(room, 1));

	foreach(lc, units)
	{
		const WhTemplate *tmpl = ((const WhUnit *) lfirst(lc))->tmpl;
		int			share = draft->units[n].share;

		/* Once for each share. */
		if (draft->shares[share].first != n++)
			continue;
		foreach(li, tmpl->depends_on)
		{
			for (int i = 0; i < draft->nshares; i++)
			{
				const Share *input = &draft->shares[i];

				if (input->tenant == draft->shares[share].tenant &&
					strcmp(draft->templates[input->template].name,
						   (const char *) lfirst(li)) == 0)
				{
					draft->waits[draft->nwaits].share = share;
					draft->waits[draft->nwaits++].input = i;
					draft->shares[share].inputs++;
				}
			}
		}
	}
}

/*
 * Find or make the place of a tenant; the latest ones first, since units of one
 * mostly stand together.
 */
static int
tenant_index(Draft *draft, const WhTenant *tenant)
{
	Tenant	   *fresh;

	for (int i = draft->ntenants - 1; i >= 0; i--)
	{
		if (strcmp(draft->tenants[i].name, tenant->name) == 0)
			return i;
	}

	fresh = &draft->tenants[draft->ntenants];
	strlcpy(fresh->name, tenant->name, NAMEDATALEN);
	fresh->max_connections = Max(tenant->max_connections, 1);

	return draft->ntenants++;
}

static int
template_index(Draft *draft, const WhTemplate *tmpl)
{
	for (int i = draft->ntemplates - 1; i >= 0; i--)
	{
		if (strcmp(draft->templates[i].name, tmpl->name) == 0)
			return i;
	}

	strlcpy(draft->templates[draft->ntemplates].name, tmpl->name, NAMEDATALEN);

	return draft->ntemplates++;
}

static int
share_index(Draft *draft, int tenant, int template)
{
	Share	   *fresh;

	for (int i = draft->nshares - 1; i >= 0; i--)
	{
		if (draft->shares[i].tenant == tenant &&
			draft->shares[i].template == template)
			return i;
	}

	fresh = &draft->shares[draft->nshares];
	fresh->tenant = tenant;
	fresh->template = template;
	fresh->first = NOBODY;

	return draft->nshares++;
}

static Size
settings_size(const List *settings)
{
	Size		size = 0;
	ListCell   *lc;

	foreach(lc, settings)
		size += strlen((const char *) lfirst(lc)) + 1;

	return size;
}

/*
 * Set memory aside at the end of what the segment holds so far.
 */
static Size
reserve(Size *total, Size size)
{
	Size		offset = *total;

	*total = add_size(*total, MAXALIGN(size));

	return offset;
}

/*
 * Name the template of an input that lost a unit, or NULL; its row of the log
 * does not say so yet.  The mutex is held.
 */
static const char *
lost_input(WhQueue *queue, int share)
{
	for (int i = 0; i < queue->nwaits; i++)
	{
		const Wait *wait = &WAITS(queue)[i];

		if (wait->share == share && SHARES(queue)[wait->input].lost)
			return TEMPLATES(queue)[SHARES(queue)[wait->input].template].name;
	}

	return NULL;
}

/*
 * Take the first share that has units waiting, no input to wait for, a tenant
 * with room and its time come; of one tenant, or of any.  The mutex is held.
 */
static bool
take_share(WhQueue *queue, Worker *worker, int tenant, TimestampTz now)
{
	for (int s = 0; s < queue->nshares; s++)
	{
		Share	   *share = &SHARES(queue)[s];
		Tenant	   *of = &TENANTS(queue)[share->tenant];

		if (share->first == NOBODY || share->busy ||
			of->busy >= of->max_connections ||
			(tenant != NOBODY && share->tenant != tenant) ||
			share->inputs > 0 ||
			share_time(queue, share) > now)
			continue;

		share->busy = true;
		of->busy++;
		worker->share = s;
		worker->last_tenant = share->tenant;

		return true;
	}

	return false;
}

static TimestampTz
share_time(WhQueue *queue, const Share *share)
{
	return Max(share->not_before, TENANTS(queue)[share->tenant].not_before);
}

/*
 * Say when the first share may be taken that nothing but its time keeps; never,
 * when there are enough who wait for such ones.  The mutex is held.
 */
static TimestampTz
time_to_wait(WhQueue *queue)
{
	TimestampTz first = DT_NOEND;
	int			shares = 0;
	int			waiting = 0;

	for (int s = 0; s < queue->nshares; s++)
	{
		const Share *share = &SHARES(queue)[s];
		const Tenant *of = &TENANTS(queue)[share->tenant];

		if (share->first == NOBODY || share->busy || share->inputs > 0 ||
			of->busy >= of->max_connections)
			continue;
		shares++;
		first = Min(first, share_time(queue, share));
	}
	for (int w = 0; w < queue->nworkers; w++)
		waiting += WORKERS(queue)[w].waits;

	return waiting < shares ? first : DT_NOEND;
}

/*
 * Let go of the worker's share; when it is done, those that wait for it come
 * nearer.  The mutex is held.
 */
static void
leave_share(WhQueue *queue, Worker *worker)
{
	Share	   *share = &SHARES(queue)[worker->share];

	for (int i = 0; share->first == NOBODY && i < queue->nwaits; i++)
	{
		const Wait *wait = &WAITS(queue)[i];

		if (wait->input == worker->share)
			SHARES(queue)[wait->share].inputs--;
	}
	share->busy = false;
	TENANTS(queue)[share->tenant].busy--;
	worker->share = NOBODY;
}

/*
 * Lose what is left of a unit's tenant and day: the snapshot that they share
 * went with the worker.  The mutex is held.
 */
static void
lose_day(WhQueue *queue, const Unit *lost)
{
	Share	   *share = &SHARES(queue)[lost->share];

	while (share->first != NOBODY &&
		   UNITS(queue)[share->first].period.start == lost->period.start)
	{
		Unit	   *unit = &UNITS(queue)[share->first];

		unit->outcome.state = WH_UNIT_LOST;
		share->first = unit->next;
	}
}

/*
 * Wake the leader.  Should it be gone, whoever has its place now is woken once
 * for nothing.
 */
static void
tell_leader(WhQueue *queue)
{
	SetLatch(&queue->leader->procLatch);
}
