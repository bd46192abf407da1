/*
 * secret.c
 *		_wh.sealed_secrets: one sealed password per tenant, and the keys of the
 *		archive.
 *
 * Nobody has a grant on the table: rows are read by a scan and written
 * through the ledger.  The rule kept here: a password is sealed together with
 * where it may be sent, so that a row moved to another tenant, or a tenant
 * moved to another host, opens nothing.  Clear text passes through; endpoint.c
 * is the only one to ask for a tenant's, s3.c for the archive's.
 *
 * A bridge's password is where postgres_fdw needs it, in clear in the owner's
 * user mapping; it is read from there, so that both use the same.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "guc.h"
#include "names.h"
#include "row.h"
#include "seal.h"
#include "secret.h"
#include "settings.h"
#include "spi.h"

#define SUBJECT_PREFIX "tenant:"

/* What a password is bound to, besides the key. */
typedef struct Binding
{
	const char *fields[6];
} Binding;

static Binding binding_of(const WhTenant *tenant);
static Binding archive_binding(void);
static char *subject_of(const WhTenant *tenant);
static void store(const char *subject, const Binding *binding, const char *secret);
static Oid	secrets_relid(void);
static WhSealed *find_sealed(const char *subject);
static WhSealed *copy_sealed(HeapTuple tuple, TupleDesc desc);
static Datum column(HeapTuple tuple, TupleDesc desc, const char *name);
static List *list_subjects(void);
static char *mapping_password(const WhTenant *bridge);

/*
 * Seal the password for the tenant's present endpoint and keep it in place of
 * an older one.
 */
void
wh_secret_store(const WhTenant *tenant, const char *password)
{
	Binding		binding = binding_of(tenant);

	store(subject_of(tenant), &binding, password);
}

bool
wh_secret_exists(const WhTenant *tenant)
{
	return find_sealed(subject_of(tenant)) != NULL;
}

void
wh_secret_drop(const WhTenant *tenant)
{
	WhArg		args[] = {wh_text(subject_of(tenant))};

	(void) wh_ledger("DELETE FROM _wh.sealed_secrets WHERE subject = $1",
					 args, lengthof(args));
}

char *
wh_secret_open(const WhTenant *tenant)
{
	Binding		binding;
	WhSealed   *sealed;
	char	   *password;

	if (tenant->server != NULL)
		return mapping_password(tenant);

	binding = binding_of(tenant);
	sealed = find_sealed(subject_of(tenant));
	if (sealed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant \"%s\" has no password", tenant->name),
				 errhint("SELECT _wh.set_tenant_password(%s, '...');",
						 quote_literal_cstr(tenant->name))));

	password = wh_unseal(sealed, binding.fields, lengthof(binding.fields));
	if (password == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("endpoint of tenant \"%s\" changed since its password was sealed",
						tenant->name),
				 errdetail("The password is bound to host, port, dbname, username and sslmode."),
				 errhint("SELECT _wh.set_tenant_password(%s, '...');",
						 quote_literal_cstr(tenant->name))));

	return password;
}

char *
wh_secret_mark(const WhTenant *tenant)
{
	WhSealed   *sealed = find_sealed(subject_of(tenant));
	char	   *mark;

	if (sealed == NULL)
		return NULL;

	mark = (char *) palloc(2 * WH_NONCE_BYTES + 1);
	mark[hex_encode((const char *) sealed->nonce, WH_NONCE_BYTES, mark)] = '\0';

	return mark;
}

char *
wh_secret_key_id(const WhTenant *tenant)
{
	const WhSealed *sealed = find_sealed(subject_of(tenant));

	return sealed != NULL ? sealed->key_id : NULL;
}

/*
 * Seal the archive's keys; see secret.h.  The bucket's own names are bound, not
 * the prefix: it moves nothing out of the bucket.
 */
void
wh_archive_secret_store(const char *keys)
{
	Binding		binding = archive_binding();

	store(WH_ARCHIVE_NAME, &binding, keys);
}

char *
wh_archive_secret_open(void)
{
	Binding		binding = archive_binding();
	WhSealed   *sealed = find_sealed(WH_ARCHIVE_NAME);
	char	   *keys;

	if (sealed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the archive's bucket has no keys"),
				 errhint("SELECT _wh.set_tenant_password('archive:s3', 'KEYID:SECRET');")));

	keys = wh_unseal(sealed, binding.fields, lengthof(binding.fields));
	if (keys == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the archive's bucket changed since its keys were sealed"),
				 errdetail("They are bound to pg_warehouse.s3_endpoint, s3_bucket and s3_region."),
				 errhint("SELECT _wh.set_tenant_password('archive:s3', 'KEYID:SECRET');")));

	return keys;
}

char *
wh_archive_secret_key_id(void)
{
	const WhSealed *sealed = find_sealed(WH_ARCHIVE_NAME);

	return sealed != NULL ? sealed->key_id : NULL;
}

bool
wh_secret_fits(const WhTenant *a, const WhTenant *b)
{
	Binding		left = binding_of(a);
	Binding		right = binding_of(b);

	for (Size i = 0; i < lengthof(left.fields); i++)
	{
		if (strcmp(left.fields[i], right.fields[i]) != 0)
			return false;
	}

	return true;
}

int
wh_secrets_reseal(void)
{
	Relation	rel;
	List	   *subjects;
	ListCell   *lc;

	/* A password that is set meanwhile must not be replaced by the old one. */
	rel = table_open(secrets_relid(), ShareRowExclusiveLock);
	subjects = list_subjects();
	foreach(lc, subjects)
	{
		const char *subject = (const char *) lfirst(lc);
		bool		archive = strcmp(subject, WH_ARCHIVE_NAME) == 0;
		WhTenant   *tenant = archive ? NULL : wh_tenant_by_key(subject + strlen(SUBJECT_PREFIX));
		char	   *password = archive ? wh_archive_secret_open() : wh_secret_open(tenant);

		if (archive)
			wh_archive_secret_store(password);
		else
			wh_secret_store(tenant, password);
		wh_wipe_secret(password);
	}
	table_close(rel, NoLock);

	return list_length(subjects);
}

static Binding
binding_of(const WhTenant *tenant)
{
	Binding		binding = {{
			tenant->key,
			tenant->host,
			psprintf("%d", tenant->port),
			tenant->dbname,
			tenant->username,
			tenant->sslmode
	}};

	return binding;
}

static Binding
archive_binding(void)
{
	Binding		binding = {{
			WH_ARCHIVE_NAME,
			wh_s3_endpoint,
			wh_s3_bucket,
			wh_s3_region,
			"",
			""
	}};

	if (wh_s3_endpoint[0] == '\0' || wh_s3_bucket[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the archive has no bucket"),
				 errdetail("Its keys are bound to pg_warehouse.s3_endpoint, s3_bucket and s3_region."),
				 errhint("As a superuser: ALTER SYSTEM SET pg_warehouse.s3_endpoint = 'https://...';"
						 " ALTER SYSTEM SET pg_warehouse.s3_bucket = '...'; SELECT pg_reload_conf();")));

	return binding;
}

static char *
subject_of(const WhTenant *tenant)
{
	return psprintf(SUBJECT_PREFIX "%s", tenant->key);
}

static void
store(const char *subject, const Binding *binding, const char *secret)
{
	WhSealed   *sealed = wh_seal(secret, binding->fields, lengthof(binding->fields));
	WhArg		args[4];

	args[0] = wh_text(subject);
	args[1] = wh_text(sealed->key_id);
	args[2] = wh_bytea(sealed->nonce, WH_NONCE_BYTES);
	args[3] = wh_bytea(sealed->bytes, sealed->len);
	(void) wh_ledger("INSERT INTO _wh.sealed_secrets (subject, key_id, nonce, sealed)"
					 " VALUES ($1, $2, $3, $4)"
					 " ON CONFLICT (subject) DO UPDATE SET"
					 " key_id = EXCLUDED.key_id, nonce = EXCLUDED.nonce,"
					 " sealed = EXCLUDED.sealed, sealed_at = EXCLUDED.sealed_at",
					 args, lengthof(args));
}

static Oid
secrets_relid(void)
{
	return get_relname_relid("sealed_secrets", get_namespace_oid("_wh", false));
}

/*
 * Find the row of a subject; NULL when there is none.  One that another
 * session has just committed counts, whatever the isolation level: what was
 * replaced must not be sent any more.
 */
static WhSealed *
find_sealed(const char *subject)
{
	Relation	rel = table_open(secrets_relid(), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	WhSealed   *sealed = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key,
				get_attnum(RelationGetRelid(rel), "subject"),
				BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(subject));

	/* A handful of rows, and the index is not in the C collation of the key. */
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		sealed = copy_sealed(tuple, RelationGetDescr(rel));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	return sealed;
}

static WhSealed *
copy_sealed(HeapTuple tuple, TupleDesc desc)
{
	WhSealed   *sealed = (WhSealed *) palloc(sizeof(WhSealed));
	bytea	   *nonce = DatumGetByteaPP(column(tuple, desc, "nonce"));
	bytea	   *bytes = DatumGetByteaPCopy(column(tuple, desc, "sealed"));

	if (VARSIZE_ANY_EXHDR(nonce) != WH_NONCE_BYTES)
		elog(ERROR, "nonce of a sealed password has the wrong length");

	sealed->key_id = TextDatumGetCString(column(tuple, desc, "key_id"));
	sealed->nonce = (uint8 *) palloc(WH_NONCE_BYTES);
	memcpy(sealed->nonce, VARDATA_ANY(nonce), WH_NONCE_BYTES);
	sealed->bytes = (uint8 *) VARDATA(bytes);
	sealed->len = VARSIZE(bytes) - VARHDRSZ;

	return sealed;
}

/*
 * Get a column that the table declares NOT NULL.
 */
static Datum
column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool		isnull;
	Datum		value = wh_row_datum(tuple, desc, name, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %s of sealed_secrets", name);

	return value;
}

static List *
list_subjects(void)
{
	Relation	rel = table_open(secrets_relid(), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	List	   *subjects = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		subject = column(tuple, RelationGetDescr(rel), "subject");

		subjects = lappend(subjects, TextDatumGetCString(subject));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	return subjects;
}

/*
 * Copy the password that the owner's user mapping has for a bridge.
 */
static char *
mapping_password(const WhTenant *bridge)
{
	ForeignServer *server = GetForeignServerByName(bridge->server, false);
	UserMapping *mapping = GetUserMapping(wh_owner_oid(), server->serverid);
	ListCell   *lc;

	foreach(lc, mapping->options)
	{
		DefElem    *option = (DefElem *) lfirst(lc);
		const char *value;
		char	   *password;

		if (strcmp(option->defname, "password") != 0)
			continue;
		value = defGetString(option);
		password = wh_alloc_secret(strlen(value) + 1);
		strcpy(password, value);

		return password;
	}

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("bridge \"%s\" has no password", bridge->name),
			 errhint("SELECT _wh.rotate_password(%s, '...');",
					 quote_literal_cstr(bridge->name))));
}
