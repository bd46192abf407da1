-- The document's two tables as views of the log, with its columns and types;
-- run by the owner of the warehouse.
CREATE VIEW odk_sync_status AS
SELECT sync_type::varchar(50),
       last_sync_timestamp,
       last_attempt_timestamp,
       last_sync_status::varchar(20),
       last_error_message,
       successful_sync_count::integer,
       failed_sync_count::integer,
       last_records_processed::integer,
       created_at,
       updated_at
FROM _wh.sync_status;

CREATE VIEW odk_sync_history AS
SELECT id::integer,
       sync_type::varchar(50),
       sync_timestamp,
       status::varchar(20),
       records_processed::integer,
       duration_seconds,
       error_message,
       sync_metadata::text,
       service_instance::varchar(100)
FROM _wh.sync_history;

GRANT SELECT ON odk_sync_status, odk_sync_history TO wh_monitor;
