CREATE FUNCTION _wh.wh_health() RETURNS jsonb
    LANGUAGE sql STABLE
    SET jit TO off
    SET max_parallel_workers_per_gather TO 0
    BEGIN ATOMIC
        SELECT pg_catalog.jsonb_build_object(
            'status', CASE
                WHEN NOT i.adopted THEN 'failing'
                WHEN p.ok OPERATOR(pg_catalog.=) 0
                     AND (p.late OPERATOR(pg_catalog.>) 0 OR p.failed OPERATOR(pg_catalog.>) 0) THEN 'failing'
                WHEN p.ok OPERATOR(pg_catalog.<) p.pairs
                     OR f.unresolved OPERATOR(pg_catalog.>) 0
                     OR o.lost OPERATOR(pg_catalog.>) 0
                     OR b.open OPERATOR(pg_catalog.>) 0 THEN 'degraded'
                ELSE 'ok'
            END,
            'pairs', p.pairs,
            'ok', p.ok,
            'late', p.late,
            'failed', p.failed,
            'never', p.never,
            'running', o.running,
            'lost', o.lost,
            'unresolved_failures', f.unresolved,
            'open_breakers', b.open,
            'pauses', h.pauses,
            'last_success_at', p.last_success_at,
            'adopted', i.adopted,
            'in_recovery', i.in_recovery)
        FROM _wh.v_instance AS i
        CROSS JOIN (
            SELECT pg_catalog.count(*) AS pairs,
                   pg_catalog.count(*) FILTER (WHERE v.state OPERATOR(pg_catalog.=) 'ok') AS ok,
                   pg_catalog.count(*) FILTER (WHERE v.state OPERATOR(pg_catalog.=) 'late') AS late,
                   pg_catalog.count(*) FILTER (WHERE v.state OPERATOR(pg_catalog.=) 'failed') AS failed,
                   pg_catalog.count(*) FILTER (WHERE v.state OPERATOR(pg_catalog.=) 'never') AS never,
                   pg_catalog.max(v.last_loaded_at) AS last_success_at
            FROM _wh.v_table_freshness AS v) AS p
        CROSS JOIN (
            SELECT pg_catalog.count(*) FILTER (WHERE NOT r.lost) AS running,
                   pg_catalog.count(*) FILTER (WHERE r.lost) AS lost
            FROM _wh.v_open_runs AS r) AS o
        CROSS JOIN (
            SELECT pg_catalog.count(*) AS unresolved
            FROM _wh.v_recent_failures) AS f
        CROSS JOIN (
            SELECT pg_catalog.count(*) AS open
            FROM _wh.v_breakers AS v
            WHERE v.state OPERATOR(pg_catalog.<>) 'closed') AS b
        CROSS JOIN (
            SELECT pg_catalog.count(*) AS pauses
            FROM _wh.v_paused) AS h;
    END;
COMMENT ON FUNCTION _wh.wh_health() IS 'For load balancers and probes: status ok, degraded (something is late, failed or never loaded) or failing (nothing is ok, or not adopted), with counts';
