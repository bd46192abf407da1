CREATE FUNCTION _wh.metric_labels(template_name text, tenant_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.format('{template="%s",tenant="%s"}',
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
            template_name, '\', '\\'), '"', '\"'), E'\n', '\n'),
        pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
            tenant_name, '\', '\\'), '"', '\"'), E'\n', '\n'));
COMMENT ON FUNCTION _wh.metric_labels(text, text) IS 'Labels of a metric of one template and tenant, escaped';

-- A family is a row here: its samples and what is said of them.
CREATE FUNCTION _wh.wh_metrics() RETURNS text
    LANGUAGE sql STABLE
    SET jit TO off
    SET max_parallel_workers_per_gather TO 0
    BEGIN ATOMIC
        WITH pair AS (
            SELECT s.*, _wh.metric_labels(s.template_name, s.tenant_name) AS labels
            FROM _wh.wh_status() AS s),
        per_pair AS (
            SELECT v.family, v.unit, v.help,
                   pg_catalog.string_agg(
                       pg_catalog.concat('pg_warehouse_', v.family, p.labels, ' ', v.value, E'\n'), ''
                       ORDER BY p.labels COLLATE "C" USING OPERATOR(pg_catalog.<)) AS samples
            FROM pair AS p
            CROSS JOIN LATERAL (VALUES
                ('state', '', '0 ok, 1 late, 2 never loaded, 3 the last run failed.',
                 CASE p.state WHEN 'ok' THEN 0 WHEN 'late' THEN 1 WHEN 'never' THEN 2 ELSE 3 END::double precision),
                ('lag_seconds', 'seconds', 'Age of the last successful load.',
                 extract(epoch FROM p.lag)::double precision),
                ('freshness_target_seconds', 'seconds', 'Age from which a load counts as late.',
                 extract(epoch FROM p.freshness_target)::double precision),
                ('last_success_timestamp_seconds', 'seconds', 'When the last successful load ended.',
                 extract(epoch FROM p.last_loaded_at)::double precision),
                ('last_duration_seconds', 'seconds', 'How long the last successful load took.',
                 p.last_duration_ms OPERATOR(pg_catalog./) 1000::double precision),
                ('slices', '', 'Slices in the ledger.', p.slices::double precision),
                ('rows', '', 'Rows in these slices, as the ledger has them.', p.row_count::double precision),
                ('size_bytes', 'bytes', 'Bytes of these slices, as the ledger has them.', p.total_bytes::double precision),
                ('unresolved_failures', '', 'Failed or lost runs that no later run mended.', p.unresolved_failures::double precision),
                ('breaker', '', 'Of the tenant: 0 closed, 1 half open, 2 open: its server is left alone.',
                 CASE p.breaker WHEN 'closed' THEN 0 WHEN 'half_open' THEN 1 ELSE 2 END::double precision),
                ('paused', '', '1 where scheduled work is paused.',
                 CASE WHEN p.paused_since IS NULL THEN 0 ELSE 1 END::double precision)
            ) AS v (family, unit, help, value)
            WHERE v.value IS NOT NULL
            GROUP BY v.family, v.unit, v.help),
        family AS (
            SELECT f.family, f.unit, f.help, f.samples FROM per_pair AS f
            UNION ALL
            SELECT 'info', '', 'Version of the extension, as a label.',
                   pg_catalog.format(E'pg_warehouse_info{version="%s"} 1\n', e.extversion)
            FROM pg_catalog.pg_extension AS e
            WHERE e.extname OPERATOR(pg_catalog.=) 'pg_warehouse'
            UNION ALL
            SELECT v.family, '', v.help, pg_catalog.format(E'pg_warehouse_%s %s\n', v.family, v.value)
            FROM _wh.v_instance AS i
            CROSS JOIN LATERAL (VALUES
                ('adopted', '1 where outbound work is allowed, 0 in a copy that was not adopted.', i.adopted::integer),
                ('in_recovery', '1 on a standby.', i.in_recovery::integer)) AS v (family, help, value)
            UNION ALL
            SELECT v.family, '', v.help, pg_catalog.format(E'pg_warehouse_%s %s\n', v.family, v.value)
            FROM (SELECT pg_catalog.count(*) FILTER (WHERE NOT r.lost) AS running,
                         pg_catalog.count(*) FILTER (WHERE r.lost) AS lost
                  FROM _wh.v_open_runs AS r) AS o
            CROSS JOIN LATERAL (VALUES
                ('running_units', 'Runs under way.', o.running),
                ('lost_units', 'Runs that the log says are under way and nobody works at.', o.lost)) AS v (family, help, value)
            UNION ALL
            SELECT 'runs_last_day', '', 'Runs that began within the last 24 hours, by what became of them.',
                   pg_catalog.string_agg(
                       pg_catalog.format(E'pg_warehouse_runs_last_day{status="%s"} %s\n', w.status,
                           (SELECT pg_catalog.count(*)
                            FROM _wh.extract_runs AS r
                            WHERE r.status OPERATOR(pg_catalog.=) w.status
                              AND r.run_started_at OPERATOR(pg_catalog.>)
                                  (pg_catalog.now() OPERATOR(pg_catalog.-) interval '24 hours'))), ''
                       ORDER BY w.status USING OPERATOR(pg_catalog.<))
            FROM (VALUES ('extracting'), ('uploaded'), ('loaded'), ('failed'), ('skipped'), ('lost')) AS w (status))
        SELECT COALESCE(pg_catalog.string_agg(
            pg_catalog.concat('# TYPE pg_warehouse_', f.family, E' gauge\n',
                              CASE WHEN f.unit OPERATOR(pg_catalog.<>) ''
                                   THEN pg_catalog.concat('# UNIT pg_warehouse_', f.family, ' ', f.unit, E'\n') END,
                              '# HELP pg_warehouse_', f.family, ' ', f.help, E'\n',
                              f.samples), ''
            ORDER BY f.family USING OPERATOR(pg_catalog.<)), '') OPERATOR(pg_catalog.||) '# EOF'
        FROM family AS f;
    END;
COMMENT ON FUNCTION _wh.wh_metrics() IS 'OpenMetrics text: gauges per template and tenant, runs of the last 24 hours, running units; ends in # EOF';
