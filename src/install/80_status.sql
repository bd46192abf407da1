-- Every enabled template with every enabled tenant that it applies to.
CREATE VIEW _wh.v_pairs AS
SELECT t.template_name,
       c.tenant_name,
       c.schema_name,
       c.time_zone,
       (c.schema_name::text OPERATOR(pg_catalog.||) '.') OPERATOR(pg_catalog.||) t.template_name AS table_name,
       COALESCE((t.options OPERATOR(pg_catalog.->>) 'freshness_target')::interval, interval '26 hours') AS freshness_target,
       (t.options OPERATOR(pg_catalog.->>) 'start_date')::date AS start_date,
       t.materialization,
       t.version,
       COALESCE((t.options OPERATOR(pg_catalog.->>) 'frozen')::boolean, false) AS frozen,
       t.source OPERATOR(pg_catalog.=) 'local' AS derived
FROM _wh.mv_templates AS t
JOIN _wh.tenant_connections AS c
  ON t.tenants IS NULL OR c.tenant_name OPERATOR(pg_catalog.=) ANY (t.tenants)
WHERE t.enabled AND c.enabled;
COMMENT ON VIEW _wh.v_pairs IS 'Every enabled template with every enabled tenant that it applies to';

CREATE VIEW _wh.v_inputs AS
SELECT t.template_name, i.input_name
FROM _wh.mv_templates AS t
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(
    t.options OPERATOR(pg_catalog.->) 'depends_on') AS i (input_name);
COMMENT ON VIEW _wh.v_inputs IS 'What each derived or live template is made of: the templates that it depends on';

-- Called for derived units only, which its cost says for the planner: it cannot
-- know how few these are.
CREATE FUNCTION _wh.stale_because(template text, tenant text, period date, made_by bigint) RETURNS text
    LANGUAGE sql STABLE COST 10
    BEGIN ATOMIC
        SELECT b.reason
        FROM (
            SELECT r.error_message AS reason, r.run_id
            FROM _wh.extract_runs AS r
            WHERE r.template_name OPERATOR(pg_catalog.=) stale_because.template
              AND r.tenant_name OPERATOR(pg_catalog.=) stale_because.tenant
              AND (stale_because.period IS NULL OR r.period_start OPERATOR(pg_catalog.=) stale_because.period)
              AND r.run_id OPERATOR(pg_catalog.>) stale_because.made_by
              AND r.status OPERATOR(pg_catalog.=) 'skipped'
              AND (r.context OPERATOR(pg_catalog.->>) 'input') IS NOT NULL
            UNION ALL
            SELECT pg_catalog.format('input "%s" has changed since', i.input_name), r.run_id
            FROM _wh.v_inputs AS i
            JOIN _wh.extract_runs AS r ON r.template_name OPERATOR(pg_catalog.=) i.input_name
            WHERE i.template_name OPERATOR(pg_catalog.=) stale_because.template
              AND r.tenant_name OPERATOR(pg_catalog.=) stale_because.tenant
              AND (stale_because.period IS NULL
                   OR stale_because.period OPERATOR(pg_catalog.=) '-infinity'::date
                   OR r.period_start IN (stale_because.period, '-infinity'))
              AND r.status OPERATOR(pg_catalog.=) 'loaded'
              AND r.kind OPERATOR(pg_catalog.<>) 'rollup'
              AND (r.rows_inserted OPERATOR(pg_catalog.>) 0 OR r.rows_updated OPERATOR(pg_catalog.>) 0
                   OR r.rows_deleted OPERATOR(pg_catalog.>) 0)
              AND r.run_finished_at OPERATOR(pg_catalog.>)
                  (SELECT COALESCE(((made.context OPERATOR(pg_catalog.->) 'inputs')
                                    OPERATOR(pg_catalog.->>) i.input_name)::timestamptz, made.run_started_at)
                   FROM _wh.extract_runs AS made
                   WHERE made.run_id OPERATOR(pg_catalog.=) stale_because.made_by)) AS b
        ORDER BY b.run_id USING OPERATOR(pg_catalog.>)
        LIMIT 1;
    END;
COMMENT ON FUNCTION _wh.stale_because(text, text, date, bigint) IS
    'Why what that run made of a derived template is stale: an input has changed since, or kept it from being made again; NULL: it is not';

-- A column that is not asked for costs nothing.
CREATE VIEW _wh.v_table_freshness AS
SELECT p.table_name,
       p.template_name,
       p.tenant_name,
       loaded.run_finished_at AS last_loaded_at,
       -- What is live is read when somebody asks for it.
       CASE WHEN p.materialization OPERATOR(pg_catalog.=) 'live' AND loaded.run_finished_at IS NOT NULL
            THEN interval '0'
            ELSE pg_catalog.now() OPERATOR(pg_catalog.-) loaded.run_finished_at
       END AS lag,
       (SELECT pg_catalog.count(*)
        FROM _wh.extract_runs AS r
        WHERE r.template_name OPERATOR(pg_catalog.=) p.template_name
          AND r.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
          AND r.run_finished_at OPERATOR(pg_catalog.>)
              (pg_catalog.now() OPERATOR(pg_catalog.-) interval '24 hours')
          AND r.status OPERATOR(pg_catalog.=) 'loaded'
          AND r.kind OPERATOR(pg_catalog.<>) 'rollup') AS loads_last_24h,
       p.freshness_target,
       CASE
           WHEN last_run.status IN ('failed', 'lost') THEN 'failed'
           WHEN loaded.run_finished_at IS NULL THEN 'never'
           WHEN p.materialization OPERATOR(pg_catalog.=) 'live' THEN 'ok'
           WHEN loaded.run_finished_at OPERATOR(pg_catalog.<)
                (pg_catalog.now() OPERATOR(pg_catalog.-) p.freshness_target) THEN 'late'
           ELSE 'ok'
       END AS state,
       extract(epoch FROM loaded.run_finished_at OPERATOR(pg_catalog.-) loaded.run_started_at)::double precision
           OPERATOR(pg_catalog.*) 1000::double precision AS last_duration_ms,
       CASE WHEN p.derived
            THEN _wh.stale_because(p.template_name, p.tenant_name, NULL, loaded.run_id)
       END AS stale_because
FROM _wh.v_pairs AS p
LEFT JOIN LATERAL (
    SELECT r.run_id, r.run_started_at, r.run_finished_at
    FROM _wh.extract_runs AS r
    WHERE r.template_name OPERATOR(pg_catalog.=) p.template_name
      AND r.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
      AND r.status OPERATOR(pg_catalog.=) 'loaded'
      AND r.kind OPERATOR(pg_catalog.<>) 'rollup'
    ORDER BY r.run_finished_at USING OPERATOR(pg_catalog.>)
    LIMIT 1) AS loaded ON true
LEFT JOIN LATERAL (
    SELECT r.status
    FROM _wh.extract_runs AS r
    WHERE r.template_name OPERATOR(pg_catalog.=) p.template_name
      AND r.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
      AND r.status IN ('loaded', 'failed', 'lost')
      AND r.kind OPERATOR(pg_catalog.<>) 'rollup'
      AND (r.kind OPERATOR(pg_catalog.<>) 'reconcile' OR r.status OPERATOR(pg_catalog.=) 'loaded')
    ORDER BY r.run_id USING OPERATOR(pg_catalog.>)
    LIMIT 1) AS last_run ON true;
COMMENT ON VIEW _wh.v_table_freshness IS 'Per template and tenant: last load, lag and state (ok, late, failed, never)';

-- Each arm finds a later success by an index: of a unit, which most failures
-- are of; of what has fewer names; and of an outside service or a bridge.  A
-- month's roll-up is mended by that of its year, too; not the other way.
CREATE VIEW _wh.v_recent_failures AS
SELECT r.run_id,
       r.table_name,
       r.run_started_at,
       r.run_finished_at,
       r.csv_path,
       r.error_message,
       r.sqlstate,
       r.error_category,
       r.template_name,
       r.tenant_name,
       r.period_start,
       r.status,
       r.error_detail,
       r.error_hint,
       r.kind,
       r.period_kind
FROM (
    SELECT f.*
    FROM _wh.extract_runs AS f
    WHERE f.status IN ('failed', 'lost')
      AND f.template_name IS NOT NULL AND f.tenant_name IS NOT NULL AND f.period_start IS NOT NULL
      AND NOT EXISTS (
        SELECT FROM _wh.extract_runs AS later
        WHERE later.template_name OPERATOR(pg_catalog.=) f.template_name
          AND later.tenant_name OPERATOR(pg_catalog.=) f.tenant_name
          AND later.period_start OPERATOR(pg_catalog.=) f.period_start
          AND later.run_id OPERATOR(pg_catalog.>) f.run_id
          AND (later.kind OPERATOR(pg_catalog.=) 'rollup') OPERATOR(pg_catalog.=) (f.kind OPERATOR(pg_catalog.=) 'rollup')
          AND (f.kind OPERATOR(pg_catalog.<>) 'rollup' OR later.period_kind IS NOT DISTINCT FROM f.period_kind)
          AND later.status OPERATOR(pg_catalog.=) 'loaded')
      AND NOT EXISTS (
        SELECT FROM _wh.extract_runs AS later
        WHERE f.kind OPERATOR(pg_catalog.=) 'rollup' AND f.period_kind OPERATOR(pg_catalog.=) 'month'
          AND later.template_name OPERATOR(pg_catalog.=) f.template_name
          AND later.tenant_name OPERATOR(pg_catalog.=) f.tenant_name
          AND later.period_start OPERATOR(pg_catalog.=) pg_catalog.date_trunc('year', f.period_start::timestamp)::date
          AND later.run_id OPERATOR(pg_catalog.>) f.run_id
          AND later.kind OPERATOR(pg_catalog.=) 'rollup' AND later.period_kind OPERATOR(pg_catalog.=) 'year'
          AND later.status OPERATOR(pg_catalog.=) 'loaded')
    UNION ALL
    SELECT f.*
    FROM _wh.extract_runs AS f
    WHERE f.status IN ('failed', 'lost')
      AND f.template_name IS NOT NULL AND (f.tenant_name IS NULL OR f.period_start IS NULL)
      AND NOT EXISTS (
        SELECT FROM _wh.extract_runs AS later
        WHERE later.template_name OPERATOR(pg_catalog.=) f.template_name
          AND (f.tenant_name IS NULL OR later.tenant_name OPERATOR(pg_catalog.=) f.tenant_name)
          AND (f.period_start IS NULL OR later.period_start OPERATOR(pg_catalog.=) f.period_start)
          AND later.run_id OPERATOR(pg_catalog.>) f.run_id
          AND (later.kind OPERATOR(pg_catalog.=) 'rollup') OPERATOR(pg_catalog.=) (f.kind OPERATOR(pg_catalog.=) 'rollup')
          AND later.status OPERATOR(pg_catalog.=) 'loaded')
    UNION ALL
    SELECT f.*
    FROM _wh.extract_runs AS f
    WHERE f.status IN ('failed', 'lost')
      AND f.template_name IS NULL
      AND NOT EXISTS (
        SELECT FROM _wh.extract_runs AS later
        WHERE later.template_name IS NULL
          AND later.table_name OPERATOR(pg_catalog.=) f.table_name
          AND (f.tenant_name IS NULL OR later.tenant_name OPERATOR(pg_catalog.=) f.tenant_name)
          AND (f.period_start IS NULL OR later.period_start OPERATOR(pg_catalog.=) f.period_start)
          AND later.run_id OPERATOR(pg_catalog.>) f.run_id
          AND (later.kind OPERATOR(pg_catalog.=) 'rollup') OPERATOR(pg_catalog.=) (f.kind OPERATOR(pg_catalog.=) 'rollup')
          AND later.status OPERATOR(pg_catalog.=) 'loaded')) AS r;
COMMENT ON VIEW _wh.v_recent_failures IS 'Runs that failed or were lost and no later run of the same unit mended';

-- Days are counted from the pair's first one.  A condition on the day leaves
-- days out before anything is looked up, and each day's slices are found by an
-- index, once: for that the day's pairs and slices are a subquery of their own,
-- which the volatile column keeps apart; OFFSET 0 would keep conditions on names
-- out of it.  A day has a slice of its own or lies in that of a month or year,
-- never both: slices do not overlap.
CREATE VIEW _wh.v_coverage AS
WITH pair AS MATERIALIZED (
    SELECT q.template_name, q.tenant_name, q.freshness_target, q.time_zone, q.version, q.frozen, q.derived,
           pg_catalog.timezone(q.time_zone, pg_catalog.now())::date AS today,
           COALESCE(q.start_date, first.period_start,
                    pg_catalog.timezone(q.time_zone, pg_catalog.now())::date) AS first_day
    FROM _wh.v_pairs AS q
    LEFT JOIN LATERAL (
        SELECT s.period_start
        FROM _wh.slices AS s
        WHERE s.template_name OPERATOR(pg_catalog.=) q.template_name
          AND s.tenant_name OPERATOR(pg_catalog.=) q.tenant_name
          AND s.period_kind OPERATOR(pg_catalog.<>) 'whole'
        ORDER BY s.period_start USING OPERATOR(pg_catalog.<)
        LIMIT 1) AS first ON true
    WHERE q.materialization OPERATOR(pg_catalog.=) 'daily')
SELECT days.template_name,
       days.tenant_name,
       days.day,
       CASE
           WHEN last_failure.run_id IS NOT NULL THEN 'failed'
           WHEN s.last_refresh IS NULL OR relation.oid IS NULL
                OR days.day OPERATOR(pg_catalog.=) ANY (s.missing_days) THEN 'missing'
           WHEN s.template_version OPERATOR(pg_catalog.<>) days.version
                AND s.period_kind OPERATOR(pg_catalog.=) 'day' AND NOT days.frozen THEN 'stale'
           WHEN days.frozen AND days.derived
                AND days.day_end OPERATOR(pg_catalog.<=) pg_catalog.now() THEN 'final'
           WHEN behind.reason IS NOT NULL THEN 'stale'
           WHEN s.as_of OPERATOR(pg_catalog.>=) days.day_end
                OR s.period_kind OPERATOR(pg_catalog.<>) 'day' THEN 'final'
           WHEN s.last_refresh OPERATOR(pg_catalog.<)
                (pg_catalog.now() OPERATOR(pg_catalog.-) days.freshness_target) THEN 'stale'
           ELSE 'fresh'
       END AS state,
       s.as_of,
       s.row_count,
       CASE
           WHEN last_failure.run_id IS NOT NULL THEN last_failure.error_message
           WHEN s.last_refresh IS NULL THEN 'never loaded'
           WHEN relation.oid IS NULL THEN 'its relation is gone or not populated'
           WHEN days.day OPERATOR(pg_catalog.=) ANY (s.missing_days) THEN 'not in its roll-up, or not as it closed'
           WHEN s.template_version OPERATOR(pg_catalog.<>) days.version
                AND s.period_kind OPERATOR(pg_catalog.=) 'day' AND NOT days.frozen THEN 'loaded by an older version of the template'
           WHEN days.frozen AND days.derived
                AND days.day_end OPERATOR(pg_catalog.<=) pg_catalog.now() THEN 'frozen as the day closed'
           WHEN behind.reason IS NOT NULL THEN behind.reason
           WHEN s.period_kind OPERATOR(pg_catalog.<>) 'day' THEN 'rolled up'
           WHEN s.as_of OPERATOR(pg_catalog.>=) days.day_end THEN 'loaded after the day had closed'
           WHEN days.day_end OPERATOR(pg_catalog.<=) pg_catalog.now()
               THEN 'loaded while the day was open, which has closed since'
           ELSE 'loaded while the day was open'
       END AS reason
FROM (
    SELECT span.first_day OPERATOR(pg_catalog.+) n.n AS day
    FROM (
        SELECT LEAST(
                   (SELECT pg_catalog.min((t.options OPERATOR(pg_catalog.->>) 'start_date')::date) FROM _wh.mv_templates AS t),
                   (SELECT pg_catalog.min(s.period_start) FROM _wh.slices AS s
                    WHERE s.period_kind OPERATOR(pg_catalog.<>) 'whole'),
                   pg_catalog.timezone('UTC', pg_catalog.now())::date OPERATOR(pg_catalog.-) 1) AS first_day,
               -- No zone is further than a day from UTC.
               pg_catalog.timezone('UTC', pg_catalog.now())::date OPERATOR(pg_catalog.+) 1 AS last_day
        OFFSET 0) AS span
    CROSS JOIN LATERAL pg_catalog.generate_series(
        0, span.last_day OPERATOR(pg_catalog.-) span.first_day) AS n) AS d
CROSS JOIN LATERAL (
    SELECT p.template_name, p.tenant_name, p.freshness_target, p.version, p.frozen, p.derived, d.day,
           pg_catalog.timezone(p.time_zone, (d.day OPERATOR(pg_catalog.+) 1)::timestamp) AS day_end,
           o.period_kind, o.relation_schema, o.relation_name, o.row_count, o.as_of, o.last_refresh,
           o.template_version, o.missing_days, o.run_id,
           pg_catalog.random() AS apart
    FROM pair AS p
    LEFT JOIN _wh.slices AS o
      ON o.template_name OPERATOR(pg_catalog.=) p.template_name
     AND o.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
     AND o.period_start OPERATOR(pg_catalog.=) d.day
     AND o.period_kind OPERATOR(pg_catalog.=) 'day'
    WHERE d.day OPERATOR(pg_catalog.>=) p.first_day
      AND d.day OPERATOR(pg_catalog.<=) p.today) AS days
LEFT JOIN _wh.slices AS rolled
  ON rolled.template_name OPERATOR(pg_catalog.=) days.template_name
 AND rolled.tenant_name OPERATOR(pg_catalog.=) days.tenant_name
 AND rolled.period_start OPERATOR(pg_catalog.<=) days.day
 AND rolled.period_end OPERATOR(pg_catalog.>) days.day
 AND rolled.period_kind OPERATOR(pg_catalog.<>) 'day'
CROSS JOIN LATERAL (
    SELECT COALESCE(days.period_kind, rolled.period_kind) AS period_kind,
           COALESCE(days.relation_schema, rolled.relation_schema) AS relation_schema,
           COALESCE(days.relation_name, rolled.relation_name) AS relation_name,
           COALESCE(days.row_count, rolled.row_count) AS row_count,
           COALESCE(days.as_of, rolled.as_of) AS as_of,
           COALESCE(days.last_refresh, rolled.last_refresh) AS last_refresh,
           COALESCE(days.template_version, rolled.template_version) AS template_version,
           COALESCE(days.missing_days, rolled.missing_days) AS missing_days,
           days.run_id AS run_id) AS s
CROSS JOIN LATERAL (
    SELECT CASE WHEN days.derived
                THEN _wh.stale_because(days.template_name, days.tenant_name, days.day, s.run_id)
           END AS reason
    OFFSET 0) AS behind
LEFT JOIN (
    SELECT n.nspname, k.relname, k.oid
    FROM pg_catalog.pg_class AS k
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
    WHERE k.relispopulated) AS relation
  ON relation.nspname OPERATOR(pg_catalog.=) s.relation_schema
 AND relation.relname OPERATOR(pg_catalog.=) s.relation_name
LEFT JOIN (
    SELECT DISTINCT ON (f.template_name, f.tenant_name, f.period_start)
           f.template_name, f.tenant_name, f.period_start, f.run_id, f.error_message
    FROM _wh.v_recent_failures AS f
    WHERE f.kind OPERATOR(pg_catalog.<>) 'rollup'
    ORDER BY f.template_name USING OPERATOR(pg_catalog.<), f.tenant_name USING OPERATOR(pg_catalog.<),
             f.period_start USING OPERATOR(pg_catalog.<), f.run_id USING OPERATOR(pg_catalog.>)) AS last_failure
  ON last_failure.template_name OPERATOR(pg_catalog.=) days.template_name
 AND last_failure.tenant_name OPERATOR(pg_catalog.=) days.tenant_name
 AND last_failure.period_start OPERATOR(pg_catalog.=) days.day
UNION ALL
SELECT p.template_name,
       p.tenant_name,
       NULL::date,
       CASE
           WHEN last_failure.run_id IS NOT NULL THEN 'failed'
           WHEN s.last_refresh IS NULL OR relation.oid IS NULL THEN 'missing'
           WHEN s.template_version OPERATOR(pg_catalog.<>) p.version THEN 'stale'
           WHEN behind.reason IS NOT NULL THEN 'stale'
           WHEN COALESCE(s.method OPERATOR(pg_catalog.=) 'live', false)
                OPERATOR(pg_catalog.<>) (p.materialization OPERATOR(pg_catalog.=) 'live') THEN 'stale'
           WHEN p.materialization OPERATOR(pg_catalog.=) 'live' THEN 'fresh'
           WHEN COALESCE(w.last_loaded_at, s.last_refresh) OPERATOR(pg_catalog.<)
                (pg_catalog.now() OPERATOR(pg_catalog.-) p.freshness_target) THEN 'stale'
           ELSE 'fresh'
       END,
       CASE WHEN p.materialization OPERATOR(pg_catalog.=) 'live' THEN s.as_of
            ELSE COALESCE(w.source_clock, s.as_of)
       END,
       s.row_count,
       CASE
           WHEN last_failure.run_id IS NOT NULL THEN last_failure.error_message
           WHEN s.last_refresh IS NULL THEN 'never loaded'
           WHEN relation.oid IS NULL THEN 'its relation is gone or not populated'
           WHEN s.template_version OPERATOR(pg_catalog.<>) p.version THEN 'loaded by an older version of the template'
           WHEN behind.reason IS NOT NULL THEN behind.reason
           WHEN COALESCE(s.method OPERATOR(pg_catalog.=) 'live', false)
                OPERATOR(pg_catalog.<>) (p.materialization OPERATOR(pg_catalog.=) 'live')
               THEN 'kept as before the template changed'
           WHEN p.materialization OPERATOR(pg_catalog.=) 'live' THEN 'read from the source by every query'
           ELSE 'kept as one relation'
       END
FROM _wh.v_pairs AS p
LEFT JOIN _wh.slices AS s
  ON s.template_name OPERATOR(pg_catalog.=) p.template_name
 AND s.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
 AND s.period_start OPERATOR(pg_catalog.=) '-infinity'
LEFT JOIN LATERAL (
    SELECT k.oid
    FROM pg_catalog.pg_class AS k
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
    WHERE n.nspname OPERATOR(pg_catalog.=) s.relation_schema
      AND k.relname OPERATOR(pg_catalog.=) s.relation_name
      AND k.relispopulated
    LIMIT 1) AS relation ON true
LEFT JOIN _wh.extract_watermarks AS w
  ON w.template_name OPERATOR(pg_catalog.=) p.template_name
 AND w.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
LEFT JOIN LATERAL (
    SELECT f.run_id, f.error_message
    FROM _wh.v_recent_failures AS f
    WHERE f.template_name OPERATOR(pg_catalog.=) p.template_name
      AND f.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
      AND f.kind OPERATOR(pg_catalog.<>) 'reconcile'
    ORDER BY f.run_id USING OPERATOR(pg_catalog.>)
    LIMIT 1) AS last_failure ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.derived
                THEN _wh.stale_because(p.template_name, p.tenant_name, '-infinity', s.run_id)
           END AS reason
    OFFSET 0) AS behind
WHERE p.materialization OPERATOR(pg_catalog.<>) 'daily';
COMMENT ON VIEW _wh.v_coverage IS 'Per template, tenant and day from the first one on: fresh, final, stale, failed or missing, and why; day is NULL where a template is not kept by days';

CREATE VIEW _wh.v_watermark_lag AS
SELECT w.table_name,
       w.last_extracted_at,
       w.last_loaded_at,
       w.rows_loaded_last_run,
       pg_catalog.now() OPERATOR(pg_catalog.-) w.last_loaded_at AS load_lag,
       CASE WHEN pg_catalog.isfinite(w.last_extracted_at)
            THEN pg_catalog.now() OPERATOR(pg_catalog.-) w.last_extracted_at
       END AS extract_lag,
       w.template_name,
       w.tenant_name,
       w.source_clock,
       w.lag_reason
FROM _wh.extract_watermarks AS w;
COMMENT ON VIEW _wh.v_watermark_lag IS 'Per incremental table: how far it has been read, when it was loaded last, and what holds it back';

CREATE VIEW _wh.v_storage AS
SELECT s.template_name,
       s.tenant_name,
       s.period_kind,
       pg_catalog.count(k.oid) AS relations,
       pg_catalog.sum(s.row_count)::bigint AS rows,
       pg_catalog.sum(pg_catalog.pg_total_relation_size(k.oid))::bigint AS total_bytes,
       pg_catalog.sum(pg_catalog.pg_indexes_size(k.oid))::bigint AS index_bytes
FROM _wh.slices AS s
LEFT JOIN (pg_catalog.pg_class AS k
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace)
  ON n.nspname OPERATOR(pg_catalog.=) s.relation_schema
 AND k.relname OPERATOR(pg_catalog.=) s.relation_name
GROUP BY s.template_name, s.tenant_name, s.period_kind;
COMMENT ON VIEW _wh.v_storage IS 'Per template, tenant and kind of slice: relations, rows (as the ledger has them), bytes on disk now, bytes of these in indexes';

-- A run of a worker or of run_refresh has told the log that it begins; one
-- inside somebody's transaction has not yet, and is known by its relation.
CREATE VIEW _wh.v_progress AS
SELECT a.pid,
       COALESCE(r.template_name, s.template_name) AS template_name,
       COALESCE(r.tenant_name, s.tenant_name) AS tenant_name,
       COALESCE(r.period_start, s.period_start) AS period_start,
       CASE
           WHEN c.pid IS NOT NULL THEN 'loading'
           WHEN i.pid IS NOT NULL THEN 'indexing'
           WHEN n.pid IS NOT NULL THEN 'analyzing'
           ELSE 'working'
       END AS phase,
       c.tuples_processed AS rows,
       c.bytes_processed AS bytes,
       extract(epoch FROM pg_catalog.clock_timestamp()
               OPERATOR(pg_catalog.-) COALESCE(r.run_started_at, a.query_start))::double precision
           OPERATOR(pg_catalog.*) 1000::double precision AS elapsed_ms
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN pg_catalog.pg_stat_progress_copy AS c ON c.pid OPERATOR(pg_catalog.=) a.pid
LEFT JOIN pg_catalog.pg_stat_progress_create_index AS i ON i.pid OPERATOR(pg_catalog.=) a.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze AS n ON n.pid OPERATOR(pg_catalog.=) a.pid
LEFT JOIN _wh.extract_runs AS r
  ON r.backend_pid OPERATOR(pg_catalog.=) a.pid
 AND r.status OPERATOR(pg_catalog.=) 'extracting'
 AND r.run_started_at OPERATOR(pg_catalog.>=) a.query_start
LEFT JOIN (_wh.slices AS s
           JOIN pg_catalog.pg_namespace AS ns ON ns.nspname OPERATOR(pg_catalog.=) s.relation_schema
           JOIN pg_catalog.pg_class AS k ON k.relnamespace OPERATOR(pg_catalog.=) ns.oid
                                        AND k.relname OPERATOR(pg_catalog.=) s.relation_name)
  ON k.oid OPERATOR(pg_catalog.=) c.relid AND r.run_id IS NULL
WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND a.state OPERATOR(pg_catalog.=) 'active'
  AND (r.run_id IS NOT NULL OR s.relation_name IS NOT NULL);
COMMENT ON VIEW _wh.v_progress IS 'Units at work: who loads which slice, in which phase, how many rows and bytes so far';

CREATE FUNCTION _wh.wh_status() RETURNS TABLE (
    template_name text,
    tenant_name text,
    state text,
    last_loaded_at timestamptz,
    lag interval,
    slices bigint,
    row_count bigint,
    total_bytes bigint,
    last_error text,
    hint text,
    freshness_target interval,
    last_duration_ms double precision,
    unresolved_failures bigint,
    breaker text,
    paused_since timestamptz
)
    LANGUAGE sql STABLE
    SET jit TO off
    SET max_parallel_workers_per_gather TO 0
    BEGIN ATOMIC
        SELECT f.template_name, f.tenant_name,
               CASE WHEN f.state IN ('ok', 'late') AND f.stale_because IS NOT NULL THEN 'stale' ELSE f.state END,
               f.last_loaded_at, f.lag,
               COALESCE(held.slices, 0), held.row_count, held.total_bytes,
               COALESCE(failure.error_message, f.stale_because), failure.error_hint,
               f.freshness_target, f.last_duration_ms, COALESCE(failure.failures, 0),
               COALESCE(breaker.state, 'closed'),
               (SELECT pg_catalog.min(p.paused_at)
                FROM _wh.v_paused AS p
                WHERE (p.template_name IS NULL OR p.template_name OPERATOR(pg_catalog.=) f.template_name)
                  AND (p.tenant_name IS NULL OR p.tenant_name OPERATOR(pg_catalog.=) f.tenant_name))
        FROM _wh.v_table_freshness AS f
        LEFT JOIN _wh.v_breakers AS breaker ON breaker.tenant_name OPERATOR(pg_catalog.=) f.tenant_name
        LEFT JOIN (
            SELECT s.template_name, s.tenant_name,
                   pg_catalog.count(*) AS slices,
                   pg_catalog.sum(s.row_count)::bigint AS row_count,
                   pg_catalog.sum(s.size_bytes)::bigint AS total_bytes
            FROM _wh.slices AS s
            GROUP BY s.template_name, s.tenant_name) AS held
          ON held.template_name OPERATOR(pg_catalog.=) f.template_name
         AND held.tenant_name OPERATOR(pg_catalog.=) f.tenant_name
        LEFT JOIN (
            SELECT r.template_name, r.tenant_name,
                   pg_catalog.count(*) AS failures,
                   (pg_catalog.array_agg(r.error_message ORDER BY r.run_id USING OPERATOR(pg_catalog.>)))[1] AS error_message,
                   (pg_catalog.array_agg(r.error_hint ORDER BY r.run_id USING OPERATOR(pg_catalog.>)))[1] AS error_hint
            FROM _wh.v_recent_failures AS r
            GROUP BY r.template_name, r.tenant_name) AS failure
          ON failure.template_name OPERATOR(pg_catalog.=) f.template_name
         AND failure.tenant_name OPERATOR(pg_catalog.=) f.tenant_name
        ORDER BY f.template_name, f.tenant_name;
    END;
COMMENT ON FUNCTION _wh.wh_status() IS 'One glance: per template and tenant what is there, how fresh it is and what failed last';

-- Backends of the primary are not to be seen in recovery.
CREATE VIEW _wh.v_open_runs AS
SELECT r.run_id,
       r.kind,
       r.template_name,
       r.tenant_name,
       r.table_name,
       r.status,
       r.run_started_at,
       CASE
           WHEN r.kind OPERATOR(pg_catalog.=) 'sync'
           THEN r.expected_by OPERATOR(pg_catalog.<) pg_catalog.now()
           ELSE NOT pg_catalog.pg_is_in_recovery()
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_stat_activity AS a
                    WHERE a.pid OPERATOR(pg_catalog.=) r.backend_pid
                      AND a.state OPERATOR(pg_catalog.=) 'active'
                      AND a.query_start OPERATOR(pg_catalog.<=) r.run_started_at)
       END AS lost
FROM _wh.extract_runs AS r
WHERE r.status IN ('extracting', 'uploaded');
COMMENT ON VIEW _wh.v_open_runs IS 'Runs that the log says are under way; lost: nobody works at them any more';

CREATE VIEW _wh.v_instance AS
SELECT s.adopted_at,
       s.system_identifier IS NOT DISTINCT FROM c.system_identifier AS adopted,
       pg_catalog.pg_is_in_recovery() AS in_recovery
FROM pg_catalog.pg_control_system() AS c
LEFT JOIN _wh.settings AS s ON true;
COMMENT ON VIEW _wh.v_instance IS 'Is this the instance that was set up or adopted, and does it take part in recovery';
