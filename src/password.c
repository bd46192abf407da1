/*
 * password.c
 *		How passwords come in: _wh.set_tenant_password(), its file form, COPY
 *		into _wh.tenant_password_entry, _wh.rotate_password(); and keeping the
 *		keys they are sealed with.
 *
 * The rule kept here: a password on its way reaches no log, no error text and
 * no statistics view, also when something fails.  PostgreSQL writes a
 * statement or a line of COPY to its log together with an error, so each way
 * hides them while it works; and the plain function refuses to take what the
 * server's settings would log anyhow.  Nothing guards a statement that fails
 * before it gets here, such as one that misspells the function.  Sealing and
 * keeping are secret.c's and seal.c's.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/copy.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/fd.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "audit.h"
#include "breaker.h"
#include "bridge.h"
#include "conn.h"
#include "names.h"
#include "s3.h"
#include "seal.h"
#include "secret.h"
#include "settings.h"
#include "tenant.h"

#define PASSWORD_FILE_MAX 4096

PG_FUNCTION_INFO_V1(wh_set_tenant_password);
PG_FUNCTION_INFO_V1(wh_set_tenant_password_from_file);
PG_FUNCTION_INFO_V1(wh_rotate_password);
PG_FUNCTION_INFO_V1(wh_tenant_password_entry_guard);
PG_FUNCTION_INFO_V1(wh_tenant_password_entry_insert);
PG_FUNCTION_INFO_V1(wh_tenant_connections_forget);
PG_FUNCTION_INFO_V1(wh_create_key);
PG_FUNCTION_INFO_V1(wh_reseal);

static void begin_hidden(ErrorContextCallback *hidden);
static void end_hidden(const ErrorContextCallback *hidden);
static void hide_statement(void *arg);
static void refuse_if_logged(void);
static const char *logging_setting(void);
static bool is_one_select(const char *sql);
static char *secret_copy(const text *value);
static char *read_password_file(const char *path);
static int	open_password_file(const char *path);
static void set_password(const char *tenant_name, char *password);
static void set_archive_keys(char *keys);
static void rotate_password(const char *target, char *password);
static void refuse_empty(const char *kind, const char *name, const char *password);

/*
 * _wh.set_tenant_password(tenant text, password text)
 */
Datum
wh_set_tenant_password(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hidden;
	char	   *tenant_name;
	char	   *password;

	begin_hidden(&hidden);

	/* The statement would stay in pg_stat_activity until the next one. */
	pgstat_report_activity(STATE_RUNNING, "SELECT _wh.set_tenant_password(...)");
	refuse_if_logged();

	tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	password = secret_copy(PG_GETARG_TEXT_PP(1));
	set_password(tenant_name, password);
	end_hidden(&hidden);

	PG_RETURN_VOID();
}

/*
 * _wh.set_tenant_password_from_file(tenant text, path text)
 */
Datum
wh_set_tenant_password_from_file(PG_FUNCTION_ARGS)
{
	char	   *tenant_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(1));

	wh_need_superuser("read a password from a file of the server");
	set_password(tenant_name, read_password_file(path));

	PG_RETURN_VOID();
}

/*
 * _wh.rotate_password(target text, password text)
 */
Datum
wh_rotate_password(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hidden;
	char	   *target;
	char	   *password;

	begin_hidden(&hidden);
	pgstat_report_activity(STATE_RUNNING, "SELECT _wh.rotate_password(...)");
	refuse_if_logged();

	target = text_to_cstring(PG_GETARG_TEXT_PP(0));
	password = secret_copy(PG_GETARG_TEXT_PP(1));
	rotate_password(target, password);
	end_hidden(&hidden);

	PG_RETURN_VOID();
}

/*
 * Keep the lines of COPY INTO tenant_password_entry out of the server's log:
 * fired before the statement and after it.
 *
 * COPY shows a line that it cannot split in the context of its error, before
 * any row trigger sees it, and a tab that an editor made blanks is all it
 * takes.  The person who sent the line may see it again; for the log, errors
 * are switched off until the statement ends.  An error ends that too, with
 * the (sub)transaction, but only after it was reported.
 */
Datum
wh_tenant_password_entry_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("tenant_password_entry_guard must be fired for a statement")));

	(void) set_config_option("log_min_messages",
							 TRIGGER_FIRED_BEFORE(trigger->tg_event) ? "fatal" : NULL,
							 PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);

	PG_RETURN_POINTER(NULL);
}

/*
 * Take one line of COPY INTO tenant_password_entry.
 */
Datum
wh_tenant_password_entry_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		from_copy = error_context_stack != NULL &&
	error_context_stack->callback == CopyFromErrorCallback;
	ErrorContextCallback hidden;
	TupleDesc	desc;
	Datum		tenant_name;
	Datum		password;
	bool		no_tenant;
	bool		no_password;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_INSTEAD(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("tenant_password_entry_insert must be fired instead of insert")));

	begin_hidden(&hidden);
	if (!from_copy)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into tenant_password_entry"),
				 errdetail("The password would be part of a statement, which the server may log."),
				 errhint("COPY _wh.tenant_password_entry FROM STDIN;")));

	desc = RelationGetDescr(trigger->tg_relation);
	tenant_name = SPI_getbinval(trigger->tg_trigtuple, desc, 1, &no_tenant);
	password = SPI_getbinval(trigger->tg_trigtuple, desc, 2, &no_password);
	if (no_tenant || no_password)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tenant and password must not be null"),
				 errhint("Give lines of a tenant, a tab and its password.")));
	set_password(TextDatumGetCString(tenant_name),
				 secret_copy(DatumGetTextPP(password)));
	end_hidden(&hidden);

	return PointerGetDatum(trigger->tg_trigtuple);
}

/*
 * Drop the password of a row of tenant_connections that was deleted.
 */
Datum
wh_tenant_connections_forget(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	WhTenant	tenant = {0};

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("tenant_connections_forget must be fired after delete for each row")));

	tenant.key = SPI_getvalue(trigger->tg_trigtuple,
							  RelationGetDescr(trigger->tg_relation),
							  SPI_fnumber(RelationGetDescr(trigger->tg_relation),
										  "tenant_key"));
	wh_secret_drop(&tenant);

	PG_RETURN_POINTER(NULL);
}

/*
 * _wh.create_key() returns text
 */
Datum
wh_create_key(PG_FUNCTION_ARGS)
{
	char	   *id;

	wh_need_superuser("create a key ring file");
	PreventCommandIfReadOnly("_wh.create_key()");

	id = wh_key_create();
	wh_audit("create_key", id, NULL);

	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/*
 * _wh.reseal() returns integer
 */
Datum
wh_reseal(PG_FUNCTION_ARGS)
{
	WhRole		caller;
	int			n;

	wh_become_owner(&caller);
	n = wh_secrets_reseal();
	wh_role_leave(&caller);
	wh_audit("reseal", NULL, psprintf("{\"passwords\": %d}", n));

	PG_RETURN_INT32(n);
}

/*
 * Hide statement, parameters and COPY's line from error reports until
 * end_hidden().  Replacing the stack, not adding to it, silences the callbacks
 * that would print them; an error restores the stack by itself.
 */
static void
begin_hidden(ErrorContextCallback *hidden)
{
	hidden->callback = hide_statement;
	hidden->arg = error_context_stack;
	hidden->previous = NULL;
	error_context_stack = hidden;
}

static void
end_hidden(const ErrorContextCallback *hidden)
{
	error_context_stack = (ErrorContextCallback *) hidden->arg;
}

static void
hide_statement(void *arg)
{
	errhidestmt(true);
}

/*
 * Throw when the statement that calls us is, or may be, written somewhere with
 * the password in it.
 */
static void
refuse_if_logged(void)
{
	const char *setting = logging_setting();

	if (setting != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the server would log the password"),
				 errdetail("Setting \"%s\" writes statements down, perhaps this one already.",
						   setting),
				 errhint("Use COPY _wh.tenant_password_entry FROM STDIN or "
						 "_wh.set_tenant_password_from_file(), with a fresh password.")));

	/*
	 * An error in the rest of it would be logged with all of it, and
	 * pg_stat_statements keeps the constants of a DO block.
	 */
	if (debug_query_string != NULL && !is_one_select(debug_query_string))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot take a password from this statement"),
				 errdetail("It is not one SELECT by itself, so it may be written down elsewhere."),
				 errhint("SELECT _wh.set_tenant_password('...', '...');")));
}

/*
 * Name a setting by which the text of the present statement is written down;
 * NULL when there is none.
 */
static const char *
logging_setting(void)
{
	const char *auto_explain = GetConfigOption("auto_explain.log_min_duration", true, false);
	const char *pgaudit = GetConfigOption("pgaudit.log", true, false);

	if (log_statement == LOGSTMT_ALL)
		return "log_statement";
	if (log_min_duration_statement >= 0)
		return "log_min_duration_statement";
	if (log_min_duration_sample >= 0 && log_statement_sample_rate > 0)
		return "log_min_duration_sample";
	if (log_xact_sample_rate > 0)
		return "log_transaction_sample_rate";
	if (auto_explain != NULL && auto_explain[0] != '-')
		return "auto_explain.log_min_duration";
	if (pgaudit != NULL && pgaudit[0] != '\0' && pg_strcasecmp(pgaudit, "none") != 0)
		return "pgaudit.log";

	/* These come at level LOG or below, with the statement attached. */
	if (log_statement_stats)
		return "log_statement_stats";
	if (log_parser_stats)
		return "log_parser_stats";
	if (log_planner_stats)
		return "log_planner_stats";
	if (log_executor_stats)
		return "log_executor_stats";
	if (log_min_messages < WARNING && log_min_error_statement < WARNING)
		return "log_min_error_statement";

	/* Trees are printed with their constants. */
	if (Debug_print_parse)
		return "debug_print_parse";
	if (Debug_print_rewritten)
		return "debug_print_rewritten";
	if (Debug_print_plan)
		return "debug_print_plan";

	return NULL;
}

/*
 * Is the text exactly one SELECT?
 */
static bool
is_one_select(const char *sql)
{
	List	   *stmts = raw_parser(sql, RAW_PARSE_DEFAULT);

	return list_length(stmts) == 1 &&
		IsA(linitial_node(RawStmt, stmts)->stmt, SelectStmt);
}

/*
 * Copy a password to memory that is wiped.
 */
static char *
secret_copy(const text *value)
{
	char	   *secret = wh_alloc_secret(VARSIZE_ANY_EXHDR(value) + 1);

	memcpy(secret, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));

	return secret;
}

/*
 * Read the first line of a file.
 */
static char *
read_password_file(const char *path)
{
	int			fd = open_password_file(path);
	char	   *password = wh_alloc_secret(PASSWORD_FILE_MAX + 1);

	if (read(fd, password, PASSWORD_FILE_MAX) < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	CloseTransientFile(fd);
	password[strcspn(password, "\r\n")] = '\0';

	/* Not pg_verifymbstr(): its error shows bytes. */
	if (!pg_verify_mbstr(GetDatabaseEncoding(), password, strlen(password), true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("file \"%s\" is not in the encoding of the database", path),
				 errhint("Write it in %s.", GetDatabaseEncodingName())));

	return password;
}

static int
open_password_file(const char *path)
{
	struct stat st;
	int			fd;

	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path \"%s\" of a password file is not absolute", path),
				 errhint("Give the path from the root of the server.")));

	/* O_NONBLOCK so that a fifo in its place cannot hang us. */
	fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if ((fd < 0 && errno != ELOOP) || (fd >= 0 && fstat(fd, &st) != 0))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errhint("The server's user must be able to read it.")));
	if (fd < 0 || !S_ISREG(st.st_mode) || st.st_size > PASSWORD_FILE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a password file", path),
				 errdetail("It is a link, no regular file, or longer than %d bytes.",
						   PASSWORD_FILE_MAX),
				 errhint("Give a file whose first line is the password.")));

	return fd;
}

/*
 * Seal a tenant's password, whichever way it came, and wipe it.
 */
static void
set_password(const char *tenant_name, char *password)
{
	WhRole		caller;

	wh_become_owner(&caller);
	if (strcmp(tenant_name, WH_ARCHIVE_NAME) == 0)
	{
		set_archive_keys(password);
		wh_role_leave(&caller);
		wh_audit("set_tenant_password", tenant_name, NULL);
		return;
	}
	refuse_empty("tenant", tenant_name, password);

	/* A bridge keeps no sealed password, so there is but one way. */
	if (wh_tenant_find(tenant_name) == NULL && wh_bridge_find(tenant_name) != NULL)
	{
		wh_role_leave(&caller);
		rotate_password(tenant_name, password);
		return;
	}
	wh_secret_store(wh_tenant(tenant_name), password);
	wh_wipe_secret(password);
	(void) wh_breaker_close(tenant_name);
	wh_role_leave(&caller);

	wh_audit("set_tenant_password", tenant_name, NULL);
}

/*
 * Seal the keys of the archive's bucket, and wipe them.  The last colon divides
 * them: some servers' key ids hold one.
 */
static void
set_archive_keys(char *keys)
{
	const char *colon = strrchr(keys, ':');

	if (colon == NULL || colon == keys || colon[1] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keys of the archive must be a key id, a colon and a secret key"),
				 errhint("SELECT _wh.set_tenant_password('archive:s3', 'KEYID:SECRET');")));
	wh_archive_secret_store(keys);
	wh_wipe_secret(keys);
}

/*
 * Change the password of a tenant, a bridge or both, and log in with it.  An
 * error takes everything back, so the old password stays until the new one is
 * known to work.
 */
static void
rotate_password(const char *target, char *password)
{
	const WhTenant *tenant;
	const WhBridge *bridge;
	WhRole		caller;

	wh_become_owner(&caller);
	if (strcmp(target, WH_ARCHIVE_NAME) == 0)
	{
		set_archive_keys(password);
		wh_s3_probe();
		wh_role_leave(&caller);
		wh_audit("rotate_password", target, NULL);
		return;
	}
	tenant = wh_tenant_find(target);
	bridge = wh_bridge_find(target);
	if (tenant == NULL && bridge == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("neither a tenant nor a bridge is named \"%s\"", target),
				 errhint("SELECT tenant_name FROM _wh.tenant_connections; SELECT server_name FROM _wh.bridges;")));
	refuse_empty(tenant != NULL ? "tenant" : "bridge", target, password);

	if (tenant != NULL)
	{
		wh_secret_store(tenant, password);
		wh_disconnect(wh_connect(tenant, psprintf("Tenant \"%s\".", tenant->name)));
		(void) wh_breaker_close(target);
	}
	if (bridge != NULL)
		wh_bridge_set_password(wh_bridge_to_change(target), password);
	wh_wipe_secret(password);
	wh_role_leave(&caller);

	wh_audit("rotate_password", target, NULL);
}

static void
refuse_empty(const char *kind, const char *name, const char *password)
{
	if (password[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("password of %s \"%s\" is empty", kind, name),
				 errhint("Give the password of the %s's user.", kind)));
}
