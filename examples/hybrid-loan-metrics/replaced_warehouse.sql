-- What stands in for the document's ETL, its clear-text password and its success
-- metrics, on the warehouse: run by the owner after templates.sql and a first
-- refresh.  README, "Where the documents differ", says why.

-- 5, Phase 1: create_bridge and rotate_password are in setup.sql; to follow the
-- source, and to know that the bridge stands
SELECT * FROM _wh.sync_bridge('django_db');
SELECT step, detail FROM _wh.verify_bridge('django_db') WHERE NOT ok;

-- 4.4: sync_repayments_incremental(), get_last_sync_timestamp('repayment')
SELECT status FROM _wh.wh_refresh('repayments', 'seedsmetrics');
SELECT _wh.last_sync_time('seedsmetrics.repayments') > now() - interval '1 hour' AS fresh;

-- 10: freshness, errors
SELECT table_name, state FROM _wh.v_table_freshness WHERE template_name IN ('repayments', 'loan_schedule') ORDER BY 1;
SELECT _wh.wh_statistics() -> 'totals' -> 'success_rate' AS success_rate;
