/*
 * doctor_tenants.c
 *		Checks of the ways to tenants: keys, TLS, and each hop tried.
 *
 * The only checks that send something out; each tenant is given
 * pg_warehouse.connect_timeout.  The rule of the frame holds: what no
 * statement mends has no fix_sql, so that all of them can be run as they are.
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "bridges.h"
#include "doctor.h"
#include "pause.h"
#include "probe.h"
#include "seal.h"
#include "secret.h"
#include "template.h"

/* Days after which a key should be changed. */
#define KEY_DAYS 366

/* Days after which a pause may be forgotten. */
#define PAUSE_DAYS 7

static void check_live_templates(WhDoctor *doctor);
static bool is_sealed(const WhTenant *tenant);
static bool has(const List *names, const char *name);

/*
 * Find passwords that cannot be opened, or not under the key that seals, and
 * keys that nothing needs.
 */
void
wh_check_keys(WhDoctor *doctor)
{
	List	   *used = NIL;
	List	   *ring;
	int			older = 0;
	TimestampTz changed;
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_tenants_all())
	{
		const WhTenant *tenant = (const WhTenant *) lfirst(lc);
		char	   *id = tenant->server == NULL ? wh_secret_key_id(tenant) : NULL;

		if (id != NULL)
			used = lappend(used, id);
		else if (tenant->enabled && is_sealed(tenant))
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("tenant \"%s\" has no password: SELECT _wh.set_tenant_password(%s, '...')",
								tenant->name, quote_literal_cstr(tenant->name)),
					   NULL);
	}
	if (wh_archive_secret_key_id() != NULL)
		used = lappend(used, wh_archive_secret_key_id());
	if (used == NIL)
	{
		wh_role_leave(&caller);
		return;
	}

	ring = wh_key_ids(&changed);
	foreach(lc, used)
	{
		const char *id = (const char *) lfirst(lc);

		if (!has(ring, id))
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("a password is sealed with key \"%s\", which is not in the key ring file; put its line back, or set the password again", id),
					   NULL);
		else if (strcmp(id, (const char *) llast(ring)) != 0)
			older++;
	}
	if (older > 0)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("%d passwords are sealed with an older key than the last of the ring", older),
				   "SELECT _wh.reseal();");
	foreach(lc, ring)
	{
		const char *id = (const char *) lfirst(lc);

		if (!has(used, id) && lc != list_tail(ring))
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("key \"%s\" seals no password; remove its line from the key ring file", id),
					   NULL);
	}
	if (TimestampDifferenceExceeds(changed, GetCurrentTimestamp(), 0) &&
		(GetCurrentTimestamp() - changed) / USECS_PER_DAY >= KEY_DAYS)
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("the key ring file has not changed for %d days; add a key as its last line and SELECT _wh.reseal()",
							(int) ((GetCurrentTimestamp() - changed) / USECS_PER_DAY)),
				   NULL);
	wh_role_leave(&caller);
}

/*
 * Find tenants whose server does not have to prove who it is.  A password is
 * bound to the mode, so it must be given anew and no statement is enough.
 */
void
wh_check_tls(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_tenants_enabled())
	{
		const WhTenant *tenant = (const WhTenant *) lfirst(lc);
		const char *name = quote_literal_cstr(tenant->name);

		if (tenant->host[0] == '/' || strcmp(tenant->sslmode, "verify-full") == 0)
			continue;
		if (is_sealed(tenant))
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("tenant \"%s\" has sslmode \"%s\": SELECT _wh.alter_tenant(%s, sslmode => 'verify-full'), then set its password again",
								tenant->name, tenant->sslmode, name),
					   NULL);
		else
			wh_finding(doctor, WH_FINDING_WARN,
					   psprintf("tenant \"%s\" has sslmode \"%s\"", tenant->name, tenant->sslmode),
					   psprintf("SELECT _wh.alter_tenant(%s, sslmode => 'verify-full');", name));
	}
	wh_role_leave(&caller);
}

/*
 * Find tenants that do not let us in, or let us in to more than we should
 * have.
 */
void
wh_check_tenants(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_check_outbound();
	wh_become_owner(&caller);
	foreach(lc, wh_tenants_enabled())
	{
		const WhTenant *tenant = (const WhTenant *) lfirst(lc);
		ListCell   *lf;

		CHECK_FOR_INTERRUPTS();
		foreach(lf, wh_probe_faults(tenant))
		{
			const WhProbeFault *fault = (const WhProbeFault *) lfirst(lf);

			/* The mode is judged by wh_check_tls(). */
			if (strcmp(fault->step, "tls") == 0 && !fault->failed)
				continue;
			wh_finding(doctor, fault->failed ? WH_FINDING_ERROR : WH_FINDING_WARN,
					   psprintf("tenant \"%s\", %s: %s%s%s", tenant->name, fault->step,
								fault->detail, fault->fix ? "; " : "",
								fault->fix ? fault->fix : ""),
					   NULL);
		}
	}
	wh_role_leave(&caller);
}

/*
 * Find tenants that are left alone.  Resetting the breaker mends it where the
 * server is; where it is not, wh_check_tenants() says what is the matter.
 */
void
wh_check_breakers(WhDoctor *doctor)
{
	WhRole		caller;

	wh_become_owner(&caller);
	wh_findings(doctor, WH_FINDING_WARN,
				"SELECT format('tenant \"%s\" failed %s times in a row and is left alone until %s: %s',"
				" tenant_name, failures, probe_at, error_message),"
				" format('SELECT _wh.reset_breaker(%L);', tenant_name)"
				" FROM _wh.v_breakers WHERE state = 'open' ORDER BY tenant_name",
				NULL, 0);
	wh_role_leave(&caller);
}

/*
 * Find pauses that somebody may have forgotten.
 */
void
wh_check_pauses(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_pauses())
	{
		const WhPause *pause = (const WhPause *) lfirst(lc);
		int64		days = (GetCurrentTimestamp() - pause->paused_at) / USECS_PER_DAY;

		if (days < PAUSE_DAYS)
			continue;
		wh_finding(doctor, WH_FINDING_WARN,
				   psprintf("%s was paused by \"%s\" " INT64_FORMAT " days ago",
							wh_pause_text(pause->template_name, pause->tenant_name),
							pause->paused_by, days),
				   psprintf("SELECT _wh.resume(%s, %s);",
							pause->template_name ? quote_literal_cstr(pause->template_name) : "NULL",
							pause->tenant_name ? quote_literal_cstr(pause->tenant_name) : "NULL"));
	}
	wh_role_leave(&caller);
}

/*
 * Name the bridges, whose passwords PostgreSQL keeps in clear, and find those
 * that have lost a part.
 */
void
wh_check_bridges(WhDoctor *doctor)
{
	ListCell   *lc;
	WhRole		caller;

	wh_become_owner(&caller);
	foreach(lc, wh_bridge_servers())
	{
		const char *server = (const char *) lfirst(lc);
		const WhBridge *bridge = wh_bridge(server);
		const ForeignServer *found = GetForeignServerByName(server, true);
		WhArg		args[] = {wh_name(server)};
		int			in_clear = 0;
		ListCell   *lr;

		if (found == NULL)
		{
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("server of bridge \"%s\" does not exist; create the bridge again afterwards", server),
					   psprintf("SELECT _wh.drop_bridge(%s);", quote_literal_cstr(server)));
			continue;
		}
		wh_findings(doctor, WH_FINDING_ERROR,
					"SELECT format('everybody has a user mapping for bridge \"%s\"', srvname),"
					" format('DROP USER MAPPING FOR PUBLIC SERVER %I;', srvname)"
					" FROM pg_user_mappings WHERE srvname = $1 AND umuser = 0",
					args, lengthof(args));
		foreach(lr, wh_bridge_roles(bridge))
		{
			const char *role = (const char *) lfirst(lr);

			if (wh_bridge_mapping_option(server, role, "user") == NULL)
				wh_finding(doctor, WH_FINDING_ERROR,
						   psprintf("role \"%s\" has no user mapping for bridge \"%s\"; SELECT _wh.rotate_password(%s, '...') then gives it the password",
									role, server, quote_literal_cstr(server)),
						   psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (user %s);",
									quote_identifier(role), quote_identifier(server),
									quote_literal_cstr(bridge->username)));
			else if (wh_bridge_mapping_option(server, role, "password") != NULL)
				in_clear++;
		}
		wh_finding(doctor, WH_FINDING_OK,
				   psprintf("bridge \"%s\": passwords in clear in user mappings, as postgres_fdw needs them: %d",
							server, in_clear),
				   NULL);
	}
	check_live_templates(doctor);
	wh_role_leave(&caller);
}

/*
 * Find live templates that have no way to a tenant's database.
 */
static void
check_live_templates(WhDoctor *doctor)
{
	ListCell   *lc;
	ListCell   *lt;

	foreach(lc, wh_templates_enabled())
	{
		const WhTemplate *tmpl = (const WhTemplate *) lfirst(lc);

		foreach(lt, wh_template_is_live(tmpl) ? wh_tenants_enabled() : NIL)
		{
			const WhTenant *tenant = (const WhTenant *) lfirst(lt);

			if (wh_template_applies(tmpl, tenant) && wh_bridge_to(tenant) == NULL)
				wh_finding(doctor, WH_FINDING_ERROR,
						   psprintf("live template \"%s\" needs a bridge to the database of tenant \"%s\": SELECT _wh.create_bridge(..., %s, %s, ..., %d)",
									tmpl->name, tenant->name, quote_literal_cstr(tenant->host),
									quote_literal_cstr(tenant->dbname), tenant->port),
						   NULL);
		}
	}
}

/*
 * Does the tenant log in with a password that we keep sealed?
 */
static bool
is_sealed(const WhTenant *tenant)
{
	return tenant->server == NULL && strcmp(tenant->auth_method, "password") == 0;
}

static bool
has(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}

	return false;
}
