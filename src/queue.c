/*
 * queue.c
 *		The units of one call in dynamic shared memory: who has which, and how
 *		each ended.
 *
 * A worker takes a pair of template and tenant with all its units, since the
 * pair's object lock lets two days of it run only one after the other; and it
 * takes the next pair of the same tenant first, whose connection it may still
 * have.  No tenant is at work in more workers than it has max_connections.
 *
 * Everything has a fixed place and nobody waits for anybody here: what a unit
 * has to say is in its row of the log, of which the queue has the number.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/spin.h"

#include "queue.h"
#include "refresh.h"
#include "settings.h"

/*
 * A worker of another version of the library, loaded after an upgrade of the
 * package, must not read this.  Raise LAYOUT with every change of a struct.
 */
#define MAGIC 0x57485155
#define LAYOUT 2

/* Enough for any error of connecting; nobody reads it before the end. */
#define WORDS_BYTES 8192

#define NOBODY (-1)

/* One tenant's share. */
typedef struct Tenant
{
	char		name[NAMEDATALEN];
	int			max_connections;
	int			busy;			/* workers that have a pair of it */
} Tenant;

/* One template and tenant: what a worker takes. */
typedef struct Pair
{
	char		template_name[NAMEDATALEN];
	int			tenant;
	int			first;			/* its next unit that waits, or NOBODY */
	bool		busy;
} Pair;

typedef struct Unit
{
	int			pair;
	int			next;			/* of the same pair, or NOBODY */
	WhPeriod	period;
	WhDays		days;
	bool		begun;
	WhMethod	method;
	WhOutcome	outcome;
} Unit;

/* One worker, used once. */
typedef struct Worker
{
	bool		entered;		/* it has a database */
	int			pair;			/* NOBODY: none */
	int			unit;			/* NOBODY: none */
	int			last_tenant;	/* NOBODY: none yet */
} Worker;

struct WhQueue
{
	uint32		magic;
	uint32		layout;
	Oid			database;
	Oid			owner;
	PGPROC	   *leader;
	bool		stop_on_failure;
	int			ntenants;
	int			npairs;
	int			nunits;
	int			nworkers;
	int			nsettings;
	Size		tenants;		/* offsets from here */
	Size		pairs;
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
	Tenant	   *tenants;
	int			ntenants;
	Pair	   *pairs;
	int			npairs;
	int		   *last_unit;		/* per pair */
	Unit	   *units;
	int			nunits;
} Draft;

static void gather(Draft *draft, const List *units);
static int	tenant_index(Draft *draft, const WhTenant *tenant);
static int	pair_index(Draft *draft, const WhUnit *unit, int guess);
static Size settings_size(const List *settings);
static Size reserve(Size *total, Size size);
static bool take_pair(WhQueue *queue, Worker *worker, int tenant);
static void leave_pair(WhQueue *queue, Worker *worker);
static void tell_leader(WhQueue *queue);

#define PLACE(queue, offset) ((void *) ((char *) (queue) + (queue)->offset))
#define TENANTS(queue) ((Tenant *) PLACE(queue, tenants))
#define PAIRS(queue) ((Pair *) PLACE(queue, pairs))
#define UNITS(queue) ((Unit *) PLACE(queue, units))
#define WORKERS(queue) ((Worker *) PLACE(queue, workers))

/*
 * Make a queue; see queue.h.
 */
dsm_segment *
wh_queue_create(const List *units, int nworkers, bool stop_on_failure,
				const List *settings)
{
	WhQueue		shape = {0};
	Draft		draft = {0};
	Size		total = MAXALIGN(sizeof(WhQueue));
	dsm_segment *segment;
	WhQueue    *queue;
	ListCell   *lc;
	char	   *text;

	gather(&draft, units);

	shape.magic = MAGIC;
	shape.layout = LAYOUT;
	shape.database = MyDatabaseId;
	shape.owner = wh_owner_oid();
	shape.leader = MyProc;
	shape.stop_on_failure = stop_on_failure;
	shape.ntenants = draft.ntenants;
	shape.npairs = draft.npairs;
	shape.nunits = draft.nunits;
	shape.nworkers = nworkers;
	shape.nsettings = list_length(settings);
	shape.tenants = reserve(&total, sizeof(Tenant) * shape.ntenants);
	shape.pairs = reserve(&total, sizeof(Pair) * shape.npairs);
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
	memcpy(PAIRS(queue), draft.pairs, sizeof(Pair) * shape.npairs);
	memcpy(UNITS(queue), draft.units, sizeof(Unit) * shape.nunits);
	for (int i = 0; i < nworkers; i++)
	{
		Worker		worker = {false, NOBODY, NOBODY, NOBODY};

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
		int			pairs = 0;

		for (int p = 0; p < queue->npairs; p++)
			pairs += PAIRS(queue)[p].tenant == t;
		width += Min(pairs, TENANTS(queue)[t].max_connections);
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
wh_queue_claim(WhQueue *queue, int me, WhClaim *claim)
{
	Worker	   *worker = &WORKERS(queue)[me];
	bool		found = false;

	SpinLockAcquire(&queue->mutex);
	if (worker->pair != NOBODY &&
		(queue->stopped || PAIRS(queue)[worker->pair].first == NOBODY))
		leave_pair(queue, worker);
	if (!queue->stopped)
		found = worker->pair != NOBODY ||
			(worker->last_tenant != NOBODY &&
			 take_pair(queue, worker, worker->last_tenant)) ||
			take_pair(queue, worker, NOBODY);
	if (found)
	{
		Pair	   *pair = &PAIRS(queue)[worker->pair];
		Unit	   *unit = &UNITS(queue)[pair->first];

		worker->unit = pair->first;
		pair->first = unit->next;
		unit->outcome.state = WH_UNIT_CLAIMED;

		claim->unit = worker->unit;
		claim->template_name = pair->template_name;
		claim->tenant_name = TENANTS(queue)[pair->tenant].name;
		claim->period = unit->period;
		claim->days = unit->days;
		claim->begun = unit->begun;
		claim->method = unit->method;
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
	if (failed && queue->stop_on_failure)
		queue->stopped = true;
	SpinLockRelease(&queue->mutex);

	tell_leader(queue);
}

/*
 * Give back what a dead worker had.  Its unit is lost, the others of its pair
 * wait for somebody else.
 */
bool
wh_queue_bury(WhQueue *queue, int dead)
{
	Worker	   *worker = &WORKERS(queue)[dead];
	bool		left_work = false;

	SpinLockAcquire(&queue->mutex);
	if (worker->unit != NOBODY)
	{
		UNITS(queue)[worker->unit].outcome.state = WH_UNIT_LOST;
		worker->unit = NOBODY;
		if (queue->stop_on_failure)
			queue->stopped = true;
	}
	if (worker->pair != NOBODY)
	{
		left_work = !queue->stopped;
		leave_pair(queue, worker);
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
 * Sort the units by pair, each pair's in the order of the list.
 */
static void
gather(Draft *draft, const List *units)
{
	int			n = list_length(units);
	int			pair = NOBODY;
	ListCell   *lc;

	draft->tenants = (Tenant *) palloc0(sizeof(Tenant) * n);
	draft->pairs = (Pair *) palloc0(sizeof(Pair) * n);
	draft->last_unit = (int *) palloc(sizeof(int) * n);
	draft->units = (Unit *) palloc0(sizeof(Unit) * n);

	foreach(lc, units)
	{
		const WhUnit *given = (const WhUnit *) lfirst(lc);
		Unit	   *unit = &draft->units[draft->nunits];

		pair = pair_index(draft, given, pair);
		unit->pair = pair;
		unit->next = NOBODY;
		unit->period = given->period;
		unit->days = given->days;
		unit->begun = given->begun;
		unit->method = given->rules.method;

		if (draft->pairs[pair].first == NOBODY)
			draft->pairs[pair].first = draft->nunits;
		else
			draft->units[draft->last_unit[pair]].next = draft->nunits;
		draft->last_unit[pair] = draft->nunits++;
	}
}

static int
tenant_index(Draft *draft, const WhTenant *tenant)
{
	int			i;

	for (i = 0; i < draft->ntenants; i++)
	{
		if (strcmp(draft->tenants[i].name, tenant->name) == 0)
			return i;
	}

	strlcpy(draft->tenants[i].name, tenant->name, NAMEDATALEN);
	draft->tenants[i].max_connections = Max(tenant->max_connections, 1);

	return draft->ntenants++;
}

/*
 * Find or make the pair of a unit, which mostly is that of the one before.
 */
static int
pair_index(Draft *draft, const WhUnit *unit, int guess)
{
	int			tenant;
	int			i;

	if (guess != NOBODY &&
		strcmp(draft->pairs[guess].template_name, unit->tmpl->name) == 0 &&
		strcmp(draft->tenants[draft->pairs[guess].tenant].name, unit->tenant->name) == 0)
		return guess;

	tenant = tenant_index(draft, unit->tenant);
	for (i = 0; i < draft->npairs; i++)
	{
		if (draft->pairs[i].tenant == tenant &&
			strcmp(draft->pairs[i].template_name, unit->tmpl->name) == 0)
			return i;
	}

	strlcpy(draft->pairs[i].template_name, unit->tmpl->name, NAMEDATALEN);
	draft->pairs[i].tenant = tenant;
	draft->pairs[i].first = NOBODY;

	return draft->npairs++;
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
 * Take the first pair that has units waiting and a tenant with room; of one
 * tenant, or of any.  The mutex is held.
 */
static bool
take_pair(WhQueue *queue, Worker *worker, int tenant)
{
	for (int p = 0; p < queue->npairs; p++)
	{
		Pair	   *pair = &PAIRS(queue)[p];
		Tenant	   *of = &TENANTS(queue)[pair->tenant];

		if (pair->first == NOBODY || pair->busy ||
			of->busy >= of->max_connections ||
			(tenant != NOBODY && pair->tenant != tenant))
			continue;

		pair->busy = true;
		of->busy++;
		worker->pair = p;
		worker->last_tenant = pair->tenant;

		return true;
	}

	return false;
}

/*
 * Let go of the worker's pair.  The mutex is held.
 */
static void
leave_pair(WhQueue *queue, Worker *worker)
{
	Pair	   *pair = &PAIRS(queue)[worker->pair];

	pair->busy = false;
	TENANTS(queue)[pair->tenant].busy--;
	worker->pair = NOBODY;
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
