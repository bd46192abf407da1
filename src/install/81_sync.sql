CREATE FUNCTION _wh.start_sync(
    sync_type text,
    metadata jsonb DEFAULT NULL,
    expect_within interval DEFAULT '1 hour'
) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_start_sync';
COMMENT ON FUNCTION _wh.start_sync(text, jsonb, interval) IS
    'Begin a sync of an outside service; its number. One of a type runs at a time, until it says nothing for expect_within';

CREATE FUNCTION _wh.update_sync_progress(
    sync_id bigint,
    records bigint,
    latest_timestamp timestamptz DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_update_sync_progress';
COMMENT ON FUNCTION _wh.update_sync_progress(bigint, bigint, timestamptz) IS
    'Report how many records a sync has processed, and up to where it has read';

CREATE FUNCTION _wh.complete_sync(
    sync_id bigint,
    records bigint,
    latest_timestamp timestamptz DEFAULT NULL,
    metadata jsonb DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_complete_sync';
COMMENT ON FUNCTION _wh.complete_sync(bigint, bigint, timestamptz, jsonb) IS
    'End a sync well; counts also when it was given up as lost';

CREATE FUNCTION _wh.fail_sync(sync_id bigint, message text, category text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_fail_sync';
COMMENT ON FUNCTION _wh.fail_sync(bigint, text, text) IS
    'End a sync with an error: network, authentication, source, data, storage, local or cancelled';

CREATE FUNCTION _wh.last_sync_time(sync_type text) RETURNS timestamptz
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_last_sync_time';
COMMENT ON FUNCTION _wh.last_sync_time(text) IS
    'Up to where the last successful sync of a type has read; NULL before the first';

-- A sync of an outside service that is overdue is lost, whether or not anybody
-- has come by to write that down.
CREATE VIEW _wh.sync_history AS
SELECT r.run_id AS id,
       r.table_name AS sync_type,
       r.run_started_at AS sync_timestamp,
       CASE
           WHEN r.status OPERATOR(pg_catalog.=) 'loaded' THEN 'success'
           WHEN r.status IN ('failed', 'lost') OR late.is_lost THEN 'error'
           ELSE 'in_progress'
       END AS status,
       COALESCE(r.rows_loaded, r.rows_extracted) AS records_processed,
       extract(epoch FROM r.run_finished_at OPERATOR(pg_catalog.-) r.run_started_at)::integer AS duration_seconds,
       CASE
           WHEN late.is_lost THEN 'no progress within the time that it expected'
           ELSE r.error_message
       END AS error_message,
       r.context AS sync_metadata,
       r.service_instance,
       r.kind,
       r.run_finished_at AS finished_at,
       extract(epoch FROM r.run_finished_at OPERATOR(pg_catalog.-) r.run_started_at)::double precision
           OPERATOR(pg_catalog.*) 1000::double precision AS duration_ms,
       r.latest_timestamp,
       COALESCE(r.run_finished_at, r.expected_by OPERATOR(pg_catalog.-) r.expect_within,
                r.run_started_at) AS updated_at
FROM _wh.extract_runs AS r
CROSS JOIN LATERAL (
    SELECT r.status OPERATOR(pg_catalog.=) 'extracting'
           AND r.kind OPERATOR(pg_catalog.=) 'sync'
           AND r.expected_by OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp() AS is_lost) AS late
WHERE r.status OPERATOR(pg_catalog.<>) 'skipped'
  AND r.kind OPERATOR(pg_catalog.<>) 'maintenance';
COMMENT ON VIEW _wh.sync_history IS 'Every attempt, of outside services and of our own: success, error, in_progress';

CREATE VIEW _wh.sync_status AS
SELECT t.sync_type,
       CASE
           WHEN t.template_name IS NULL
           THEN COALESCE(told.latest_timestamp, success.sync_timestamp)
           ELSE GREATEST(source.as_of, w.source_clock)
       END AS last_sync_timestamp,
       success.finished_at AS last_success_at,
       last.sync_timestamp AS last_attempt_timestamp,
       COALESCE(last.status, 'pending') AS last_sync_status,
       CASE WHEN last.status OPERATOR(pg_catalog.=) 'error' THEN last.error_message END AS last_error_message,
       COALESCE(a.successes, 0) AS successful_sync_count,
       COALESCE(a.errors, 0) AS failed_sync_count,
       success.records_processed AS last_records_processed,
       w.last_extracted_at AS watermark,
       CASE WHEN t.tenant_name IS NOT NULL THEN COALESCE(b.state, 'closed') END AS breaker,
       COALESCE(t.created_at, a.first_attempt) AS created_at,
       COALESCE(a.updated_at, t.created_at) AS updated_at
FROM (
    SELECT p.table_name AS sync_type, p.template_name, p.tenant_name,
           GREATEST(m.created_at, c.created_at) AS created_at
    FROM _wh.v_pairs AS p
    JOIN _wh.mv_templates AS m ON m.template_name OPERATOR(pg_catalog.=) p.template_name
    JOIN _wh.tenant_connections AS c ON c.tenant_name OPERATOR(pg_catalog.=) p.tenant_name
    UNION ALL
    SELECT DISTINCT r.table_name, NULL::text, NULL::text, NULL::timestamptz
    FROM _wh.extract_runs AS r
    WHERE r.kind IN ('sync', 'bridge')) AS t
LEFT JOIN (
    SELECT h.sync_type,
           pg_catalog.min(h.sync_timestamp) AS first_attempt,
           pg_catalog.max(h.updated_at) AS updated_at,
           pg_catalog.max(h.id) AS last_id,
           pg_catalog.max(h.id) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'success') AS success_id,
           pg_catalog.max(h.id) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'success'
                                        AND h.latest_timestamp IS NOT NULL) AS told_id,
           pg_catalog.count(*) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'success') AS successes,
           pg_catalog.count(*) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'error') AS errors
    FROM _wh.sync_history AS h
    WHERE h.kind OPERATOR(pg_catalog.<>) 'rollup'
    GROUP BY h.sync_type) AS a ON a.sync_type OPERATOR(pg_catalog.=) t.sync_type
LEFT JOIN _wh.sync_history AS last ON last.id OPERATOR(pg_catalog.=) a.last_id
LEFT JOIN _wh.sync_history AS success ON success.id OPERATOR(pg_catalog.=) a.success_id
LEFT JOIN _wh.sync_history AS told ON told.id OPERATOR(pg_catalog.=) a.told_id
LEFT JOIN LATERAL (
    SELECT pg_catalog.max(s.as_of) AS as_of
    FROM _wh.slices AS s
    WHERE s.template_name OPERATOR(pg_catalog.=) t.template_name
      AND s.tenant_name OPERATOR(pg_catalog.=) t.tenant_name) AS source ON true
LEFT JOIN _wh.extract_watermarks AS w
  ON w.template_name OPERATOR(pg_catalog.=) t.template_name
 AND w.tenant_name OPERATOR(pg_catalog.=) t.tenant_name
LEFT JOIN _wh.v_breakers AS b ON b.tenant_name OPERATOR(pg_catalog.=) t.tenant_name;
COMMENT ON VIEW _wh.sync_status IS 'Per sync type, outside services and our own tables: up to where, last success, last attempt, status, counters';
COMMENT ON COLUMN _wh.sync_status.last_sync_timestamp IS 'Up to where was read: as the service last said; where it never does, when its last good sync began; of ours the source''s clock';
COMMENT ON COLUMN _wh.sync_status.breaker IS 'Of the tenant: closed, open (left alone for a while) or half_open (the next unit tries); NULL for an outside service';
COMMENT ON COLUMN _wh.sync_status.last_sync_status IS 'success, error, in_progress, or pending: never tried';

CREATE FUNCTION _wh.wh_statistics(since interval DEFAULT '24 hours') RETURNS jsonb
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT pg_catalog.jsonb_build_object(
            'since', pg_catalog.now() OPERATOR(pg_catalog.-) since,
            'totals', pg_catalog.jsonb_build_object(
                'successful', COALESCE(pg_catalog.sum(p.successful), 0),
                'failed', COALESCE(pg_catalog.sum(p.failed), 0),
                'success_rate', pg_catalog.round(
                    (100 OPERATOR(pg_catalog.*) pg_catalog.sum(p.successful))
                    OPERATOR(pg_catalog./)
                    NULLIF(pg_catalog.sum(p.successful) OPERATOR(pg_catalog.+) pg_catalog.sum(p.failed), 0), 1),
                'avg_duration_ms', pg_catalog.round(
                    (pg_catalog.sum(p.duration_ms)
                     OPERATOR(pg_catalog./) NULLIF(pg_catalog.sum(p.ended), 0)::double precision)::numeric, 1)),
            'sync_types', COALESCE(pg_catalog.jsonb_object_agg(p.sync_type,
                pg_catalog.jsonb_build_object(
                    'successful', p.successful,
                    'failed', p.failed,
                    'success_rate', pg_catalog.round(
                        (100 OPERATOR(pg_catalog.*) p.successful)::numeric
                        OPERATOR(pg_catalog./)
                        NULLIF(p.successful OPERATOR(pg_catalog.+) p.failed, 0)::numeric, 1),
                    'avg_duration_ms', pg_catalog.round(
                        (p.duration_ms
                         OPERATOR(pg_catalog./) NULLIF(p.ended, 0)::double precision)::numeric, 1),
                    'records', p.records,
                    'last_sync_status', s.last_sync_status,
                    'last_error_message', s.last_error_message))
                FILTER (WHERE p.sync_type IS NOT NULL), '{}'))
        FROM (SELECT h.sync_type,
                   pg_catalog.count(*) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'success') AS successful,
                   pg_catalog.count(*) FILTER (WHERE h.status OPERATOR(pg_catalog.=) 'error') AS failed,
                   pg_catalog.sum(h.duration_ms) AS duration_ms,
                   pg_catalog.count(h.duration_ms) AS ended,
                   pg_catalog.sum(h.records_processed) AS records
            FROM _wh.sync_history AS h
            WHERE h.sync_timestamp OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) since)
            GROUP BY h.sync_type) AS p
        LEFT JOIN _wh.sync_status AS s ON s.sync_type OPERATOR(pg_catalog.=) p.sync_type;
    END;
COMMENT ON FUNCTION _wh.wh_statistics(interval) IS
    'Runs and syncs begun since then, in total and by type: successful, failed, success_rate in percent, avg_duration_ms';
