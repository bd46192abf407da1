-- Slices of one template and tenant are ranges of one sorted key space, so
-- that an exclusion constraint of the core's own range type keeps them apart.
-- Keys begin with digits of a hash: the index must see how far apart two keys
-- are, or each new slice is compared with most of the others.
CREATE FUNCTION _wh.slice_distance(text, text) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wh_slice_distance';
COMMENT ON FUNCTION _wh.slice_distance(text, text) IS 'How far apart two keys of slices are (see slice_key)';

CREATE TYPE _wh.slice_range AS RANGE (
    subtype = text,
    collation = "C",
    subtype_diff = _wh.slice_distance
);
COMMENT ON TYPE _wh.slice_range IS 'Days of one template and tenant as a range of keys; keeps slices from overlapping';

CREATE FUNCTION _wh.slice_key(template_name text, tenant_name text, day date) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.substr(pg_catalog.md5(template_name OPERATOR(pg_catalog.||) E'\x01'
                                            OPERATOR(pg_catalog.||) tenant_name), 1, 6)
        OPERATOR(pg_catalog.||) E'\x01' OPERATOR(pg_catalog.||)
        template_name OPERATOR(pg_catalog.||) E'\x01' OPERATOR(pg_catalog.||)
        tenant_name OPERATOR(pg_catalog.||) E'\x01' OPERATOR(pg_catalog.||)
        CASE
            WHEN day OPERATOR(pg_catalog.=) '-infinity'::pg_catalog.date THEN '000000000'
            WHEN day OPERATOR(pg_catalog.=) 'infinity'::pg_catalog.date THEN '999999999'
            ELSE pg_catalog.lpad(((day OPERATOR(pg_catalog.-) '0001-01-01'::pg_catalog.date)
                                  OPERATOR(pg_catalog.+) 100000000)::pg_catalog.text, 9, '0')
        END;
COMMENT ON FUNCTION _wh.slice_key(text, text, date) IS 'Sort key of a day of one template and tenant (see slice_range)';

CREATE TABLE _wh.slices (
    template_name text NOT NULL,
    tenant_name text NOT NULL,
    period_kind text NOT NULL CHECK (period_kind IN ('day', 'month', 'year', 'whole')),
    period_start date NOT NULL,
    period_end date NOT NULL,
    relation_schema pg_catalog.name NOT NULL,
    relation_name pg_catalog.name NOT NULL,
    state text NOT NULL DEFAULT 'empty' CHECK (state IN ('empty', 'loaded', 'rolled_up')),
    row_count bigint,
    size_bytes bigint,
    content_hash text,
    as_of timestamptz,
    last_refresh timestamptz,
    method text,
    run_id bigint,
    template_version integer,
    missing_days date[],
    lower_bound timestamptz,
    upper_bound timestamptz,
    bounds_of text,
    query_hash text,
    PRIMARY KEY (template_name, tenant_name, period_start, period_kind),
    CHECK (period_start < period_end),
    EXCLUDE USING gist (_wh.slice_range(
        _wh.slice_key(template_name, tenant_name, period_start),
        _wh.slice_key(template_name, tenant_name, period_end)) WITH OPERATOR(pg_catalog.&&))
);
COMMENT ON TABLE _wh.slices IS 'The coverage ledger: one row per template, tenant and period that is kept, with its relation';
COMMENT ON COLUMN _wh.slices.period_end IS 'Exclusive';
COMMENT ON COLUMN _wh.slices.as_of IS 'The source''s clock in the snapshot that was read';
COMMENT ON COLUMN _wh.slices.missing_days IS 'Days of a rolled-up month or year that the table does not hold, or not as they were when they closed';
COMMENT ON COLUMN _wh.slices.content_hash IS 'Order-free hash of the rows, where one was computed';
COMMENT ON COLUMN _wh.slices.lower_bound IS 'Where the period began in the time zone that it was loaded in; NULL: rows can lie anywhere';
COMMENT ON COLUMN _wh.slices.upper_bound IS 'Where it ended, exclusive';
COMMENT ON COLUMN _wh.slices.query_hash IS 'Of a derived relation: hash of the query that it was made with';
COMMENT ON COLUMN _wh.slices.bounds_of IS 'The time column and its type that the bounds hold for, as in: at timestamp with time zone';
CREATE INDEX slices_tenant_name_idx ON _wh.slices (tenant_name);
CREATE INDEX slices_span_idx ON _wh.slices (template_name, tenant_name, period_start)
    WHERE period_kind OPERATOR(pg_catalog.<>) 'day';
-- What of all pairs there is on a day, and which day was the first.
CREATE INDEX slices_start_idx ON _wh.slices (period_start)
    WHERE period_kind OPERATOR(pg_catalog.<>) 'whole';
SELECT pg_catalog.pg_extension_config_dump('_wh.slices', '');

CREATE TABLE _wh.retired_relations (
    relation_schema pg_catalog.name NOT NULL,
    relation_name pg_catalog.name NOT NULL,
    template_name text NOT NULL,
    tenant_name text NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (relation_schema, relation_name)
);
COMMENT ON TABLE _wh.retired_relations IS 'Relations whose rows a roll-up has proved elsewhere: shown nowhere any more, and dropped as soon as nobody reads them';
SELECT pg_catalog.pg_extension_config_dump('_wh.retired_relations', '');

CREATE TABLE _wh.published_views (
    template_name text NOT NULL,
    tenant_name text NOT NULL DEFAULT '',
    view_schema pg_catalog.name NOT NULL,
    view_name pg_catalog.name NOT NULL,
    definition text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (template_name, tenant_name)
);
COMMENT ON TABLE _wh.published_views IS 'The views that this extension made and what each shows; no other relation is ever replaced';
COMMENT ON COLUMN _wh.published_views.tenant_name IS 'Empty for the public view';
SELECT pg_catalog.pg_extension_config_dump('_wh.published_views', '');

CREATE TABLE _wh.extract_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL DEFAULT 'refresh'
        CHECK (kind IN ('refresh', 'rollup', 'reconcile', 'replay', 'bridge', 'sync', 'maintenance')),
    template_name text,
    tenant_name text,
    table_name text,
    period_start date,
    status text NOT NULL DEFAULT 'extracting'
        CHECK (status IN ('extracting', 'uploaded', 'loaded', 'failed', 'skipped', 'lost')),
    run_started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    run_finished_at timestamptz,
    rows_extracted bigint,
    rows_loaded bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_deleted bigint,
    rows_unchanged bigint,
    bytes bigint,
    fetch_ms double precision,
    load_ms double precision,
    lock_ms double precision,
    method text,
    csv_path text,
    csv_bytes bigint,
    csv_sha256 text,
    attempt integer NOT NULL DEFAULT 1,
    sqlstate text,
    error_category text CHECK (error_category IN
        ('network', 'authentication', 'source', 'data', 'storage', 'local', 'cancelled')),
    error_message text,
    error_detail text,
    error_hint text,
    context jsonb,
    service_instance text,
    backend_pid integer,
    expect_within interval,
    expected_by timestamptz,
    latest_timestamp timestamptz,
    period_kind text CHECK (period_kind IN ('day', 'month', 'year', 'whole'))
);
COMMENT ON TABLE _wh.extract_runs IS 'The log: one row per attempt at one piece of work, success and failure alike';
COMMENT ON COLUMN _wh.extract_runs.csv_path IS 'Where the archive has the extract: in exports/ until it is loaded and moved, then in processed/';
COMMENT ON COLUMN _wh.extract_runs.csv_bytes IS 'Size of that file, which is packed by zstd';
COMMENT ON COLUMN _wh.extract_runs.csv_sha256 IS 'SHA-256 of that file, as sha256sum prints it';
COMMENT ON COLUMN _wh.extract_runs.service_instance IS 'System identifier / host:port / pid of the backend that ran it; an outside service as it names itself';
COMMENT ON COLUMN _wh.extract_runs.period_kind IS 'How long the period is that begins at period_start; a month and a year can begin on one day';
COMMENT ON COLUMN _wh.extract_runs.expected_by IS 'An outside service''s sync is lost when it says nothing until then; NULL: a run of ours';
COMMENT ON COLUMN _wh.extract_runs.latest_timestamp IS 'Up to where an outside service has read, as it says';
CREATE INDEX extract_runs_unit_idx ON _wh.extract_runs (template_name, tenant_name, period_start, run_id);
CREATE INDEX extract_runs_started_idx ON _wh.extract_runs (run_started_at);
-- What a tenant was asked for today (bytes_per_day, seconds_per_day).
CREATE INDEX extract_runs_tenant_idx ON _wh.extract_runs (tenant_name, run_started_at)
    WHERE kind IN ('refresh', 'reconcile');
CREATE INDEX extract_runs_open_idx ON _wh.extract_runs (template_name, tenant_name)
    WHERE status IN ('extracting', 'uploaded');
-- What is asked of every pair each time somebody looks: its last load, how its
-- last run ended, and its failures, which are few.
CREATE INDEX extract_runs_loaded_idx ON _wh.extract_runs (template_name, tenant_name, run_finished_at)
    WHERE status OPERATOR(pg_catalog.=) 'loaded' AND kind OPERATOR(pg_catalog.<>) 'rollup';
CREATE INDEX extract_runs_ended_idx ON _wh.extract_runs (template_name, tenant_name, run_id)
    WHERE status IN ('loaded', 'failed', 'lost') AND kind OPERATOR(pg_catalog.<>) 'rollup';
CREATE INDEX extract_runs_failed_idx ON _wh.extract_runs (template_name, tenant_name, period_start, run_id)
    WHERE status IN ('failed', 'lost');
CREATE INDEX extract_runs_csv_path_idx ON _wh.extract_runs (csv_path)
    WHERE csv_path IS NOT NULL;
CREATE INDEX extract_runs_exports_idx ON _wh.extract_runs (template_name, tenant_name, run_id)
    WHERE csv_path OPERATOR(pg_catalog.^@) 'exports/';
CREATE UNIQUE INDEX extract_runs_sync_idx ON _wh.extract_runs (table_name)
    WHERE kind OPERATOR(pg_catalog.=) 'sync' AND status OPERATOR(pg_catalog.=) 'extracting';
SELECT pg_catalog.pg_extension_config_dump('_wh.extract_runs', '');
SELECT pg_catalog.pg_extension_config_dump('_wh.extract_runs_run_id_seq', '');

-- The owner may move last_extracted_at, and nothing else: see setup.
CREATE TABLE _wh.extract_watermarks (
    template_name text NOT NULL,
    tenant_name text NOT NULL,
    table_name text NOT NULL,
    last_extracted_at timestamptz,
    last_loaded_at timestamptz,
    rows_loaded_last_run bigint,
    source_clock timestamptz,
    lag_reason text,
    reread_from timestamptz,
    asked_at timestamptz,
    PRIMARY KEY (template_name, tenant_name)
);
COMMENT ON TABLE _wh.extract_watermarks IS 'How far each incremental template has been read per tenant, by the source''s clock';
COMMENT ON COLUMN _wh.extract_watermarks.last_extracted_at IS 'All that the source had committed up to here is loaded; set it back to read again; NULL: nothing yet';
COMMENT ON COLUMN _wh.extract_watermarks.source_clock IS 'The source''s clock when the last run asked';
COMMENT ON COLUMN _wh.extract_watermarks.lag_reason IS 'Why the last run could not read up to the source''s clock; NULL where it could';
COMMENT ON COLUMN _wh.extract_watermarks.reread_from IS 'Where that is earlier, the next run reads on from here: transactions that could not be seen may still commit rows as old';
COMMENT ON COLUMN _wh.extract_watermarks.asked_at IS 'This server''s clock when the last run asked for the source''s';
SELECT pg_catalog.pg_extension_config_dump('_wh.extract_watermarks', '');
