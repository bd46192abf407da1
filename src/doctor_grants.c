/*
 * doctor_grants.c
 *		Checks of what the three roles may: what _wh.setup() and each tenant's
 *		schema granted them, no less and no more.
 *
 * Attributes of the owner role are doctor_setup's.
 */
#include "postgres.h"

#include "utils/acl.h"
#include "utils/builtins.h"

#include "doctor.h"
#include "published.h"
#include "tenant.h"

static bool roles_exist(WhDoctor *doctor);
static List *schemas_of_tenants(void);

/*
 * Find what setup() granted and somebody has revoked since.
 */
void
wh_check_grants(WhDoctor *doctor)
{
	const WhSettings *settings = doctor->settings;
	WhArg		args[4];
	WhRole		caller;

	if (!roles_exist(doctor))
		return;

	args[0] = wh_name(settings->owner_role);
	args[1] = wh_name(settings->reader_role);
	args[2] = wh_name(settings->monitor_role);
	args[3] = wh_text(wh_setup_sql(settings));

	wh_become_owner(&caller);
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('role \"%s\" lacks %s', who, string_agg(what, ', ' ORDER BY what)), $4"
				" FROM (SELECT r.who, p || ' on the database' AS what"
				"  FROM (VALUES ($1, 'CONNECT'), ($1, 'CREATE'), ($2, 'CONNECT'), ($3, 'CONNECT')) AS r (who, p)"
				"  WHERE NOT has_database_privilege(r.who, current_database(), r.p)"
				" UNION ALL SELECT r.who, r.p || ' on schema ' || n.nspname"
				"  FROM (VALUES ($1, 'public', 'USAGE'), ($1, 'public', 'CREATE'), ($1, '_wh', 'USAGE'),"
				"  ($2, 'public', 'USAGE'), ($3, '_wh', 'USAGE'), ($1, 'cron', 'USAGE')) AS r (who, s, p)"
				"  JOIN pg_namespace AS n ON n.nspname = r.s"
				"  WHERE NOT has_schema_privilege(r.who, n.oid, r.p)"
				" UNION ALL SELECT $1, format('EXECUTE on %s routines', count(*))"
				"  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
				"  WHERE n.nspname = '_wh' AND NOT has_function_privilege($1, p.oid, 'EXECUTE')"
				"  HAVING count(*) > 0"
				" UNION ALL SELECT $1, r.p || ' on table ' || c.relname"
				"  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,"
				"  unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r (p)"
				"  WHERE n.nspname = '_wh' AND c.relkind IN ('r', 'v') AND c.relname <> 'sealed_secrets'"
				"  AND (r.p = 'SELECT' OR c.relname IN ('tenant_connections', 'mv_templates'))"
				"  AND NOT has_table_privilege($1, c.oid, r.p)"
				" UNION ALL SELECT $3, 'SELECT on ' || c.relname"
				"  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
				"  WHERE n.nspname = '_wh' AND c.relname IN ('extract_runs', 'slices', 'v_table_freshness',"
				"  'v_recent_failures', 'v_coverage', 'v_storage', 'v_progress', 'sync_status', 'sync_history',"
				"  'v_breakers', 'v_paused')"
				"  AND NOT has_table_privilege($3, c.oid, 'SELECT')"
				" UNION ALL SELECT $3, 'membership in pg_read_all_stats'"
				"  WHERE NOT pg_has_role($3, 'pg_read_all_stats', 'MEMBER')) AS missing"
				" GROUP BY who ORDER BY who",
				args, lengthof(args));
	wh_role_leave(&caller);
}

/*
 * Find rights in our schema that only the installer, or nobody, should have.
 */
void
wh_check_excess_grants(WhDoctor *doctor)
{
	const WhSettings *settings = doctor->settings;
	WhArg		args[2];
	WhRole		caller;

	args[0] = wh_name(settings->owner_role);
	args[1] = wh_name(settings->reader_role);

	wh_become_owner(&caller);
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('%s may %s on table _wh.%s',"
				"  CASE WHEN a.grantee = 0 THEN 'everybody' ELSE format('role \"%s\"', pg_get_userbyid(a.grantee)) END,"
				"  string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), c.relname),"
				" format('REVOKE %s ON _wh.%I FROM %s;',"
				"  string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), c.relname,"
				"  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)"
				" FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,"
				" aclexplode(c.relacl) AS a"
				" WHERE n.nspname = '_wh' AND c.relkind IN ('r', 'v') AND a.grantee <> c.relowner"
				" AND (a.grantee = 0 OR c.relname = 'sealed_secrets'"
				"  OR a.privilege_type IN ('TRIGGER', 'TRUNCATE')"
				"  OR a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE') AND NOT"
				"   (pg_get_userbyid(a.grantee) = $1 AND (c.relname IN ('tenant_connections', 'mv_templates')"
				"    OR c.relname = 'tenant_password_entry' AND a.privilege_type = 'INSERT')))"
				" GROUP BY a.grantee, c.relname ORDER BY c.relname, 1",
				args, 1);
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('everybody may execute %s routines of schema _wh, such as %s', count(*), min(p.proname::text)),"
				" 'REVOKE ALL ON ALL ROUTINES IN SCHEMA _wh FROM PUBLIC;'"
				" FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
				" WHERE n.nspname = '_wh' AND EXISTS (SELECT FROM"
				"  aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)"
				" HAVING count(*) > 0",
				NULL, 0);
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('the reader role \"%s\" is a member of the owner role \"%s\"', r.rolname, $1),"
				" format('REVOKE %I FROM %I;', $1, r.rolname)"
				" FROM pg_roles AS r JOIN pg_auth_members AS m ON m.member = r.oid"
				" WHERE r.rolname = $2 AND pg_get_userbyid(m.roleid) = $1",
				args, lengthof(args));
	wh_findings(doctor, WH_FINDING_WARN,
				"SELECT format('the reader role \"%s\" may use schema \"_wh\"', r.rolname),"
				" format('REVOKE USAGE ON SCHEMA _wh FROM %I;', r.rolname)"
				" FROM pg_roles AS r, pg_namespace AS n, aclexplode(n.nspacl) AS a"
				" WHERE r.rolname = $2 AND r.rolname <> $1 AND n.nspname = '_wh' AND a.grantee = r.oid",
				args, lengthof(args));
	wh_role_leave(&caller);
}

/*
 * Find what the reader role cannot read, today or once more slices come.
 */
void
wh_check_readers(WhDoctor *doctor)
{
	const WhSettings *settings = doctor->settings;
	WhArg		args[3];
	WhRole		caller;
	ListCell   *lc;

	if (!roles_exist(doctor))
		return;

	args[0] = wh_name(settings->owner_role);
	args[1] = wh_name(settings->reader_role);

	wh_become_owner(&caller);
	args[2] = wh_text_array(schemas_of_tenants());
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('the reader role \"%s\" may not use schema \"%s\"', $2, n.nspname),"
				" format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, $2)"
				" FROM pg_namespace AS n"
				" WHERE n.nspname = ANY ($3) AND NOT has_schema_privilege($2, n.oid, 'USAGE')"
				" ORDER BY n.nspname",
				args, lengthof(args));
	wh_findings(doctor, WH_FINDING_ERROR,
				"SELECT format('the reader role \"%s\" may not read what will be made in schema \"%s\"', $2, n.nspname),"
				" format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I;', $1, n.nspname, $2)"
				" FROM pg_namespace AS n"
				" WHERE n.nspname = ANY ($3) AND NOT EXISTS"
				"  (SELECT FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a"
				"   WHERE pg_get_userbyid(d.defaclrole) = $1 AND d.defaclnamespace IN (0, n.oid)"
				"   AND d.defaclobjtype = 'r' AND a.privilege_type = 'SELECT'"
				"   AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) = $2))"
				" ORDER BY n.nspname",
				args, lengthof(args));
	foreach(lc, wh_published(NULL, NULL))
	{
		const WhPublished *view = (const WhPublished *) lfirst(lc);
		Oid			relid = wh_published_relid(view);
		Oid			reader = get_role_oid(settings->reader_role, false);
		const char *name = quote_qualified_identifier(view->view_schema, view->view_name);

		if (OidIsValid(relid) &&
			pg_class_aclcheck(relid, reader, ACL_SELECT) != ACLCHECK_OK)
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("the reader role \"%s\" may not read view %s",
								settings->reader_role, name),
					   psprintf("GRANT SELECT ON %s TO %s;", name,
								quote_identifier(settings->reader_role)));
	}
	wh_role_leave(&caller);
}

/*
 * Tell of a reader or monitor role that is gone.
 */
static bool
roles_exist(WhDoctor *doctor)
{
	const char *const roles[] = {doctor->settings->reader_role,
	doctor->settings->monitor_role};

	for (int i = 0; i < (int) lengthof(roles); i++)
	{
		if (!OidIsValid(get_role_oid(roles[i], true)))
		{
			wh_finding(doctor, WH_FINDING_ERROR,
					   psprintf("role \"%s\" does not exist", roles[i]),
					   wh_setup_sql(doctor->settings));
			return false;
		}
	}

	return true;
}

static List *
schemas_of_tenants(void)
{
	List	   *schemas = NIL;
	ListCell   *lc;

	foreach(lc, wh_tenants_enabled())
		schemas = lappend(schemas, ((const WhTenant *) lfirst(lc))->schema);

	return schemas;
}
