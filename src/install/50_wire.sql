CREATE FUNCTION _wh.fetch(template text, tenant text, day date) RETURNS SETOF record
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_fetch_rows';
COMMENT ON FUNCTION _wh.fetch(text, text, date) IS
    'Rows of one slice, read from the tenant; the body of every materialized view (tenant is the key, day NULL the whole)';

CREATE FUNCTION _wh.test_tenant(tenant text DEFAULT NULL)
    RETURNS TABLE (tenant_name text, step text, ok boolean, detail text, fix text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_test_tenant';
COMMENT ON FUNCTION _wh.test_tenant(text) IS
    'Try every hop to one tenant, or to all: resolve, connect, tls, authenticate, read_only, version, clock, privileges';
