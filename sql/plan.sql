-- wh_plan: what would run is what does run, method by method.
\set VERBOSITY default
SET datestyle = 'ISO';
SELECT _wh.add_template('plan', $$SELECT id, logged_time, store FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text', 'CREATE INDEX {view_name}_id ON {schema}.{view_name} (id)',
    time_column => 'logged_time', tenants => '{tenant_a}');

-- Nothing stored: a statement that runs as it is shown, and nothing ran.
SELECT relation, method, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT local_sql FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT relation, method, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'refill');
SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'plan';
SELECT method FROM _wh.wh_refresh('plan', 'tenant_a', '2024-01-01', '2024-01-01');

-- Rows stored: the difference; whether it may become a refill depends on who
-- runs it: here one unit, several in workers, several here.
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT period, method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-02'), right(relation, 10) AS period;
SELECT period, method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-02', parallel => 0), right(relation, 10) AS period;
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'delta');
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'refill');
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'first_fill');

-- Emptied by hand.
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.plan_2024_01_01 WITH NO DATA;
RESET ROLE;
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT method, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'delta');
SELECT method FROM _wh.wh_refresh('plan', 'tenant_a', '2024-01-01', '2024-01-01');

-- Other columns: another relation takes its place.
SELECT _wh.alter_template('plan', query_template => $$SELECT id, logged_time, store, amount FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    column_definitions => 'id bigint, logged_time timestamptz, store text, amount numeric(10,2)');
SELECT method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT substr(local_sql, 1, 60) AS local_sql FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT method, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-01', '2024-01-01', method => 'delta');
SELECT method FROM _wh.wh_refresh('plan', 'tenant_a', '2024-01-01', '2024-01-01');

-- Somebody else's relation in the way, a slice under another name, a day that
-- has not begun where the tenant is.
CREATE TABLE tenant_a.plan_2024_01_02 ();
SELECT relation, method, local_sql IS NULL AS in_place, locks, note FROM _wh.wh_plan('plan', 'tenant_a', '2024-01-02', '2024-01-02');
SELECT status, sqlstate FROM _wh.wh_refresh('plan', 'tenant_a', '2024-01-02', '2024-01-02');
DROP TABLE tenant_a.plan_2024_01_02;
SELECT _wh.rename_tenant('tenant_a', 'tenant_q');
SELECT relation, method FROM _wh.wh_plan('plan', 'tenant_q', '2024-01-01', '2024-01-01');
SELECT _wh.rename_tenant('tenant_q', 'tenant_a');
SELECT _wh.alter_template('plan', tenants => '{tenant_a,tenant_b}');
SELECT _wh.alter_tenant('tenant_a', time_zone => 'Etc/GMT+12');
SELECT _wh.alter_tenant('tenant_b', time_zone => 'Etc/GMT-12');
SELECT tenant_name, method, local_sql IS NULL AS in_place, locks, note
FROM _wh.wh_plan('plan', from_date => (now() AT TIME ZONE 'Etc/GMT-12')::date, to_date => (now() AT TIME ZONE 'Etc/GMT-12')::date) ORDER BY seq;
SET client_min_messages = warning;
SELECT _wh.alter_tenant('tenant_a', time_zone => 'UTC');
SELECT _wh.alter_tenant('tenant_b', time_zone => 'UTC');
RESET client_min_messages;

SELECT _wh.drop_template('plan', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'plan';
