-- The queries of "Database-Based Sync Implementation Guide", as they are typed
-- there, on the views of views.sql.  What cannot run as typed is in the README,
-- "Where the documents differ".

-- Current sync status
SELECT sync_type, last_sync_timestamp, last_sync_status,
       successful_sync_count, failed_sync_count
FROM odk_sync_status;

-- Recent sync activity
SELECT sync_type, sync_timestamp, status, records_processed, duration_seconds
FROM odk_sync_history
ORDER BY sync_timestamp DESC LIMIT 10;

-- Performance analysis
SELECT sync_type,
       AVG(duration_seconds) as avg_duration,
       SUM(records_processed) as total_records
FROM odk_sync_history
WHERE status = 'success'
  AND sync_timestamp > NOW() - INTERVAL '24 hours'
GROUP BY sync_type;
