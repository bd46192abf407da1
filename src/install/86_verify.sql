-- Where days are kept, a day is one that has closed, the last one first; else
-- it is 24 hours of loading, counted back from now.
CREATE VIEW _wh.v_row_rates AS
SELECT p.template_name,
       p.tenant_name,
       rates.latest,
       rates.median,
       rates.days
FROM _wh.v_pairs AS p
CROSS JOIN LATERAL (
    SELECT pg_catalog.max(r.row_count) FILTER (WHERE r.ago OPERATOR(pg_catalog.=) 0) AS latest,
           pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY r.row_count::double precision USING OPERATOR(pg_catalog.<))
               FILTER (WHERE r.ago OPERATOR(pg_catalog.>) 0) AS median,
           pg_catalog.count(*) FILTER (WHERE r.ago OPERATOR(pg_catalog.>) 0) AS days
    FROM (
        SELECT pg_catalog.row_number() OVER (ORDER BY s.period_start USING OPERATOR(pg_catalog.>))
                   OPERATOR(pg_catalog.-) 1 AS ago,
               s.row_count
        FROM _wh.slices AS s
        WHERE p.materialization OPERATOR(pg_catalog.=) 'daily'
          AND s.template_name OPERATOR(pg_catalog.=) p.template_name
          AND s.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
          AND s.period_kind OPERATOR(pg_catalog.=) 'day'
          AND s.as_of OPERATOR(pg_catalog.>=) pg_catalog.timezone(p.time_zone, s.period_end::timestamp)
        UNION ALL
        SELECT pg_catalog.floor(extract(epoch FROM pg_catalog.now() OPERATOR(pg_catalog.-) x.run_finished_at)
                                OPERATOR(pg_catalog./) 86400)::bigint,
               CASE WHEN p.materialization OPERATOR(pg_catalog.=) 'incremental'
                    THEN pg_catalog.sum(x.rows_inserted OPERATOR(pg_catalog.+) x.rows_updated)::bigint
                    ELSE (pg_catalog.array_agg(x.rows_extracted ORDER BY x.run_id USING OPERATOR(pg_catalog.>)))[1]
               END
        FROM _wh.extract_runs AS x
        WHERE p.materialization OPERATOR(pg_catalog.<>) 'daily'
          AND x.template_name OPERATOR(pg_catalog.=) p.template_name
          AND x.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
          AND x.status OPERATOR(pg_catalog.=) 'loaded'
          AND x.kind OPERATOR(pg_catalog.=) 'refresh'
          AND x.run_finished_at OPERATOR(pg_catalog.>)
              (pg_catalog.now() OPERATOR(pg_catalog.-) interval '8 days')
        GROUP BY 1) AS r
    WHERE r.ago OPERATOR(pg_catalog.<=) 7) AS rates;
COMMENT ON VIEW _wh.v_row_rates IS 'Per template and tenant: rows of the latest day, and the median of the days of the week before it: of data that has closed where days are kept, of loading else';

CREATE FUNCTION _wh.verify_gates(template text, tenant text DEFAULT NULL) RETURNS TABLE (
    tenant_name text,
    phase text,
    gate text,
    ok boolean,
    detail text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_verify_gates';
COMMENT ON FUNCTION _wh.verify_gates(text, text) IS
    'What must hold of a template before its first run (pre_deploy), after it (first_run) and from then on (steady_state); ok is NULL where that cannot be told yet';
