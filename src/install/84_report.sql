CREATE VIEW _wh.v_growth AS
SELECT s.template_name,
       pg_catalog.date_trunc('month', s.period_start::timestamp)::date AS month,
       pg_catalog.count(*) AS slices,
       pg_catalog.sum(s.row_count)::bigint AS row_count,
       pg_catalog.sum(s.size_bytes)::bigint AS total_bytes
FROM _wh.slices AS s
WHERE s.period_kind OPERATOR(pg_catalog.<>) 'whole'
GROUP BY s.template_name, pg_catalog.date_trunc('month', s.period_start::timestamp)::date;
COMMENT ON VIEW _wh.v_growth IS 'Per template and month of data: slices, rows and bytes as the ledger has them; a rolled-up year counts in its January';

CREATE VIEW _wh.v_durations AS
SELECT r.template_name,
       pg_catalog.count(*) AS runs,
       pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY r.duration_ms USING OPERATOR(pg_catalog.<)) AS median_ms,
       pg_catalog.percentile_cont(0.95) WITHIN GROUP (ORDER BY r.duration_ms USING OPERATOR(pg_catalog.<)) AS p95_ms,
       pg_catalog.max(r.duration_ms) AS max_ms,
       pg_catalog.sum(r.rows_extracted)::bigint AS rows_extracted,
       pg_catalog.sum(r.bytes)::bigint AS bytes
FROM (SELECT x.template_name, x.rows_extracted, x.bytes,
             extract(epoch FROM x.run_finished_at OPERATOR(pg_catalog.-) x.run_started_at)::double precision
                 OPERATOR(pg_catalog.*) 1000::double precision AS duration_ms
      FROM _wh.extract_runs AS x
      WHERE x.status OPERATOR(pg_catalog.=) 'loaded'
        AND x.template_name IS NOT NULL
        AND x.run_started_at OPERATOR(pg_catalog.>)
            (pg_catalog.now() OPERATOR(pg_catalog.-) interval '7 days')) AS r
GROUP BY r.template_name;
COMMENT ON VIEW _wh.v_durations IS 'Per template, successful runs of the last 7 days: how many, how long, rows and bytes that came over the wire';

CREATE FUNCTION _wh.wh_report_html(from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS text
    LANGUAGE c STABLE
    SET jit TO off
    SET max_parallel_workers_per_gather TO 0
    SET search_path TO pg_catalog, pg_temp
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    AS 'MODULE_PATHNAME', 'wh_report_html';
COMMENT ON FUNCTION _wh.wh_report_html(date, date) IS
    'One self-contained page: coverage calendar, freshness, failures, durations, sizes (to_date: today; from_date: a year before it)';
