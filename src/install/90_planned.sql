-- Declared by the agreed surface, built later: each call answers 0A000.


CREATE FUNCTION _wh.replay(run_id bigint) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.replay(bigint) IS
    'Load an archived extract again (not built yet)';

CREATE FUNCTION _wh.verify_gates(template text, tenant text DEFAULT NULL) RETURNS TABLE (tenant_name text, phase text, gate text, ok boolean, detail text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.verify_gates(text, text) IS
    'Pre-deploy, first-run and steady-state checks of a template (not built yet)';

