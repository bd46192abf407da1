-- A warehouse of :days days of ten tenants, the last one today.  Template
-- "wide" (layout expand) and "flat" (layout union) show the same relations;
-- "flat" of as many tenants as :flat says.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_warehouse;
SELECT _wh.setup(preload => false);

-- Nobody ever connects to these tenants.
SELECT _wh.add_tenant('t' || i, '127.0.0.1', 'nowhere', 'nobody') FROM generate_series(0, 9) AS i;
SELECT _wh.add_template(name,
    'SELECT * FROM food WHERE at >= {DAY_START} AND at < {DAY_END}',
    'id bigint, at timestamptz, store text, item uuid, price numeric(10,2), amount integer, rating smallint,
     vegetarian boolean, expires date, weight double precision, note text, detail jsonb',
    'CREATE INDEX {view_name}_id ON {schema}.{view_name} (id);
     CREATE INDEX {view_name}_at ON {schema}.{view_name} (at);
     CREATE INDEX {view_name}_store ON {schema}.{view_name} (store)',
    time_column => 'at', options => jsonb_build_object('view_layout', layout), tenants => tenants)
FROM (VALUES ('wide', 'expand', ARRAY(SELECT 't' || i FROM generate_series(0, 9) AS i)),
             ('flat', 'union', ARRAY(SELECT 't' || i FROM generate_series(0, :flat - 1) AS i))) AS t (name, layout, tenants);

-- One slice with its three rows and its three indexes.
CREATE PROCEDURE make_slices(tenant text, first date, last date) LANGUAGE plpgsql AS $$
DECLARE
	day date := first;
	name text;
BEGIN
	SET LOCAL ROLE whadmin;
	WHILE day <= last LOOP
		name := to_char(day, '"wide_"YYYY_MM_DD');
		EXECUTE format($sql$
CREATE MATERIALIZED VIEW %1$I.%2$I AS
SELECT (%4$s * 3 + i)::bigint AS id, timestamptz '%3$s 00:00+00' + i * interval '7 hours' AS at, 'store ' || i AS store, NULL::uuid AS item,
    (i * 1.25)::numeric(10,2) AS price, i AS amount, i::smallint AS rating, true AS vegetarian, date '%3$s' AS expires, i::double precision AS weight,
    'note ' || i AS note, NULL::jsonb AS detail FROM generate_series(0, 2) AS i;
CREATE INDEX %5$I ON %1$I.%2$I (id);
CREATE INDEX %6$I ON %1$I.%2$I (at);
CREATE INDEX %7$I ON %1$I.%2$I (store)$sql$, tenant, name, day, day - date '2000-01-01', name || '_id', name || '_at', name || '_store');
		IF extract(day FROM day) = 1 THEN
			COMMIT;
			SET LOCAL ROLE whadmin;
		END IF;
		day := day + 1;
	END LOOP;
END $$;
SELECT format('CALL make_slices(%L, %L, %L)', 't' || i, current_date - :days + 1, current_date) FROM generate_series(0, 9) AS i \gexec

INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state,
    row_count, bounds_of, lower_bound, upper_bound)
SELECT template, tenant, 'day', day, day + 1, tenant, to_char(day, '"wide_"YYYY_MM_DD'), 'loaded', 3,
    'at timestamp with time zone', day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
FROM (SELECT current_date - i AS day FROM generate_series(0, :days - 1) AS i) AS days,
     (SELECT template_name AS template, unnest(tenants) AS tenant FROM _wh.mv_templates) AS t;
SELECT count(_wh.update_tenant_union_view_by_template(template_name, tenant))
FROM _wh.mv_templates, unnest(tenants) AS tenant;
SELECT count(_wh.update_public_view_by_template(template_name)) FROM _wh.mv_templates;
CREATE TABLE unrelated AS SELECT i AS id, i % 10 AS kind FROM generate_series(1, 1000) AS i;
CREATE INDEX ON unrelated (id);
ANALYZE;
