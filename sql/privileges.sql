-- Who may what: the reader nothing but data, the owner the work, and a
-- superuser who calls lends his rights to nobody.
\set VERBOSITY default

-- No SECURITY DEFINER function, and none that PUBLIC may execute.
SELECT count(*) FILTER (WHERE prosecdef) AS definer,
       count(*) FILTER (WHERE has_function_privilege('public', oid, 'EXECUTE')) AS public_execute
FROM pg_proc WHERE pronamespace = '_wh'::regnamespace;

SELECT tenant_name, status FROM _wh.wh_refresh('foodlogstats', from_date => '2024-01-01', to_date => '2024-01-01');

-- The reader: every function refused, no table readable, data is.
SELECT count(*) AS executable
FROM pg_proc WHERE pronamespace = '_wh'::regnamespace AND has_function_privilege('phood_ro', oid, 'EXECUTE');
SELECT count(*) AS readable
FROM pg_class WHERE relnamespace = '_wh'::regnamespace AND relkind IN ('r', 'v') AND has_table_privilege('phood_ro', oid, 'SELECT');
SET ROLE phood_ro;
SELECT count(*) > 0 FROM public.foodlogstats;
SELECT count(*) > 0 FROM tenant_a.foodlogstats_2024_01_01;
SELECT * FROM _wh.wh_refresh('foodlogstats');
\echo :SQLSTATE
CREATE TABLE tenant_a.mine ();
\echo :SQLSTATE
RESET ROLE;

-- The monitor: status, log and ledger, nothing that names a host or a query.
SET ROLE wh_monitor;
SELECT count(*) > 0 FROM _wh.wh_status();
SELECT count(*) > 0 FROM _wh.extract_runs;
SELECT count(*) > 0 FROM _wh.slices;
SELECT count(*) >= 0 FROM _wh.v_recent_failures;
SELECT * FROM _wh.tenant_connections;
\echo :SQLSTATE
SELECT * FROM _wh.mv_templates;
\echo :SQLSTATE
RESET ROLE;

-- The owner: reads control tables but sealed secrets, writes two of them.
SET ROLE whadmin;
SELECT * FROM _wh.sealed_secrets;
\echo :SQLSTATE
UPDATE _wh.settings SET owner_role = 'postgres';
\echo :SQLSTATE
INSERT INTO _wh.slices (template_name) VALUES ('x');
\echo :SQLSTATE
DELETE FROM _wh.extract_runs;
\echo :SQLSTATE
CREATE TRIGGER mine BEFORE INSERT ON _wh.tenant_connections FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
\echo :SQLSTATE
SELECT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01');
RESET ROLE;

-- Another role may be granted single functions: the work is the owner's.
CREATE ROLE wh_caller;
GRANT USAGE ON SCHEMA _wh TO wh_caller;
GRANT EXECUTE ON FUNCTION _wh.update_mv_by_template(text, text, date) TO wh_caller;
SET ROLE wh_caller;
SELECT _wh.update_mv_by_template('foodlogstats', 'tenant_a', '2024-01-06');
SELECT count(*) FROM _wh.slices;
\echo :SQLSTATE
RESET ROLE;
SELECT matviewowner FROM pg_matviews WHERE matviewname = 'foodlogstats_2024_01_06' AND schemaname = 'tenant_a';

-- A superuser calls on things that the owner has prepared: an index
-- expression and an operator.  Neither may run with his rights.
SET ROLE whadmin;
CREATE FUNCTION public.spring() RETURNS void LANGUAGE plpgsql AS
$$ BEGIN
    ALTER ROLE whadmin SUPERUSER;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
CREATE FUNCTION public.trap(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM public.spring(); RETURN $1; END $$;
CREATE FUNCTION public.trap_less(bigint, bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM public.trap($1); RETURN $1 < $2; END $$;
CREATE OPERATOR public.<= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.trap_less);
RESET ROLE;
SET search_path = public, pg_catalog;
SELECT _wh.add_template('trapped',
    $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz',
    'CREATE INDEX i_{view_name} ON {schema}.{view_name} (public.trap(id))', tenants => '{tenant_a}');
SELECT status, rows FROM _wh.wh_refresh('trapped', from_date => '2024-01-01', to_date => '2024-01-01');
SELECT _wh.update_public_view_by_template('trapped');
SELECT _wh.rebuild_entire_warehouse('2024-01-01', '2024-01-01', templates => '{trapped}') ->> 'failed' AS failed;
CALL _wh.run_refresh('trapped', 'tenant_a', '2024-01-01', '2024-01-01');
RESET search_path;
SELECT rolsuper FROM pg_roles WHERE rolname = 'whadmin';

-- The trap does work where rights are lent.
SELECT public.trap(1);
SELECT rolsuper FROM pg_roles WHERE rolname = 'whadmin';
ALTER ROLE whadmin NOSUPERUSER;
SELECT (_wh.drop_template('trapped', drop_data => true)) ->> 'template' AS dropped;
DROP OPERATOR public.<= (bigint, bigint);
DROP FUNCTION public.trap_less(bigint, bigint);
DROP FUNCTION public.trap(bigint);
DROP FUNCTION public.spring();
REVOKE ALL ON FUNCTION _wh.update_mv_by_template(text, text, date) FROM wh_caller;
REVOKE ALL ON SCHEMA _wh FROM wh_caller;
DROP ROLE wh_caller;

-- An owner who became a superuser is refused before anything is done.
ALTER ROLE whadmin SUPERUSER;
SELECT * FROM _wh.wh_refresh('foodlogstats');
\echo :SQLSTATE
ALTER ROLE whadmin NOSUPERUSER;

-- Leave nothing behind.
SELECT count(*) FROM _wh.slices WHERE template_name = 'foodlogstats';
SELECT _wh.drop_template('foodlogstats', drop_data => true) ->> 'template' AS dropped;
