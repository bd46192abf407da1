-- Declared by the agreed surface, built later: each call answers 0A000.


CREATE FUNCTION _wh.pause(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.pause(text, text) IS
    'Stop scheduled work (not built yet)';

CREATE FUNCTION _wh.resume(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.resume(text, text) IS
    'Go on with scheduled work (not built yet)';

CREATE FUNCTION _wh.reset_breaker(tenant text) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.reset_breaker(text) IS
    'Close a tenant''s breaker (not built yet)';

CREATE FUNCTION _wh.verify_gates(template text, tenant text DEFAULT NULL) RETURNS TABLE (tenant_name text, phase text, gate text, ok boolean, detail text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.verify_gates(text, text) IS
    'Pre-deploy, first-run and steady-state checks of a template (not built yet)';

