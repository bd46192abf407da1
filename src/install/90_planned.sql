-- Declared by the agreed surface, built later: each call answers 0A000.


CREATE FUNCTION _wh.replay(run_id bigint) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.replay(bigint) IS
    'Load an archived extract again (not built yet)';

