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
