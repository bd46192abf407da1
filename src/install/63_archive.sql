CREATE FUNCTION _wh.replay(run_id bigint) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_replay';
COMMENT ON FUNCTION _wh.replay(bigint) IS
    'Load the extract that the archive has of a run again, in place of what is stored of its period, or by its key';
