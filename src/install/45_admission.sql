-- Not dumped: how servers did elsewhere, or then, says nothing.
CREATE TABLE _wh.breakers (
    tenant_name text NOT NULL PRIMARY KEY,
    failures integer NOT NULL,
    opened_at timestamptz,
    probe_at timestamptz,
    cooldown_ms integer,
    sqlstate text,
    error_message text,
    failed_at timestamptz NOT NULL
);
COMMENT ON TABLE _wh.breakers IS 'Tenants whose server failed the last time; a tenant without a row is asked whenever there is something to ask';
COMMENT ON COLUMN _wh.breakers.failures IS 'In a row; pg_warehouse.breaker_failures of them open the breaker';
COMMENT ON COLUMN _wh.breakers.opened_at IS 'NULL: closed';
COMMENT ON COLUMN _wh.breakers.probe_at IS 'From when on one unit may try whether the server answers';
COMMENT ON COLUMN _wh.breakers.cooldown_ms IS 'How long it was last left alone for, about';

CREATE VIEW _wh.v_breakers AS
SELECT b.tenant_name,
       CASE
           WHEN b.opened_at IS NULL THEN 'closed'
           WHEN b.probe_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() THEN 'open'
           ELSE 'half_open'
       END AS state,
       b.failures,
       b.opened_at,
       b.probe_at,
       b.sqlstate,
       b.error_message,
       b.failed_at
FROM _wh.breakers AS b;
COMMENT ON VIEW _wh.v_breakers IS 'Tenants whose server failed the last time: closed (few failures yet), open (left alone until probe_at), half_open (the next unit tries)';

CREATE TABLE _wh.pauses (
    template_name text NOT NULL,
    tenant_name text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    paused_by pg_catalog.name NOT NULL,
    PRIMARY KEY (template_name, tenant_name)
);
COMMENT ON TABLE _wh.pauses IS 'Templates and tenants for which scheduled work stands still; an empty name is every one';
SELECT pg_catalog.pg_extension_config_dump('_wh.pauses', '');

CREATE VIEW _wh.v_paused AS
SELECT NULLIF(p.template_name, '') AS template_name,
       NULLIF(p.tenant_name, '') AS tenant_name,
       p.paused_at,
       p.paused_by
FROM _wh.pauses AS p;
COMMENT ON VIEW _wh.v_paused IS 'What is paused, since when and by whom; NULL is every one';

CREATE FUNCTION _wh.pause(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_pause';
COMMENT ON FUNCTION _wh.pause(text, text) IS
    'Hold up scheduled work of a template, a tenant, both or (without names) everything; what is asked for by both names still runs';

CREATE FUNCTION _wh.resume(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_resume';
COMMENT ON FUNCTION _wh.resume(text, text) IS
    'End the pauses that name this template and tenant (NULL: any)';

CREATE FUNCTION _wh.reset_breaker(tenant text) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_reset_breaker';
COMMENT ON FUNCTION _wh.reset_breaker(text) IS
    'Close a tenant''s breaker: its server is asked again at once';
