-- Layout expand: one foreign table per template, _wh_union.{template}, shows
-- the slices of all tenants.  Its options say what it shows:
--   SERVER pg_warehouse_union OPTIONS (template 'name', time_column 'column')
CREATE FUNCTION _wh.slices_handler() RETURNS pg_catalog.fdw_handler
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_slices_handler';
COMMENT ON FUNCTION _wh.slices_handler() IS 'The foreign-data wrapper that reads the slices of a template';

CREATE FUNCTION _wh.slices_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_slices_validator';
COMMENT ON FUNCTION _wh.slices_validator(text[], oid) IS 'Check the options of such a foreign table: template, time_column';

CREATE FOREIGN DATA WRAPPER pg_warehouse HANDLER _wh.slices_handler VALIDATOR _wh.slices_validator;
COMMENT ON FOREIGN DATA WRAPPER pg_warehouse IS 'Slices of this warehouse as one table per template';

CREATE SERVER pg_warehouse_union FOREIGN DATA WRAPPER pg_warehouse;
COMMENT ON SERVER pg_warehouse_union IS 'This very database: the slices of the warehouse';

-- Whoever changes which slices there are, kept plans and sessions hear of it.
CREATE FUNCTION _wh.slices_changed() RETURNS pg_catalog.trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_slices_changed';
COMMENT ON FUNCTION _wh.slices_changed() IS 'Trigger: tell all sessions that slices came, went or moved';

CREATE TRIGGER slices_come_and_go AFTER INSERT OR DELETE ON _wh.slices
    FOR EACH ROW EXECUTE FUNCTION _wh.slices_changed();
CREATE TRIGGER slices_move AFTER UPDATE ON _wh.slices
    FOR EACH ROW
    WHEN ((old.template_name, old.tenant_name, old.period_start, old.period_end, old.relation_schema,
              old.relation_name, old.state, old.lower_bound, old.upper_bound, old.bounds_of)
          IS DISTINCT FROM
          (new.template_name, new.tenant_name, new.period_start, new.period_end, new.relation_schema,
              new.relation_name, new.state, new.lower_bound, new.upper_bound, new.bounds_of))
    EXECUTE FUNCTION _wh.slices_changed();
CREATE TRIGGER slices_truncate AFTER TRUNCATE ON _wh.slices
    FOR EACH STATEMENT EXECUTE FUNCTION _wh.slices_changed();
-- Also in a session that replays another's changes.
ALTER TABLE _wh.slices ENABLE ALWAYS TRIGGER slices_come_and_go;
ALTER TABLE _wh.slices ENABLE ALWAYS TRIGGER slices_move;
ALTER TABLE _wh.slices ENABLE ALWAYS TRIGGER slices_truncate;
