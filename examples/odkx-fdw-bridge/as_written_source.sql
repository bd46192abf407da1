-- What the document has run at the source, as it is typed there (sections 4,
-- 8 and 10).

GRANT USAGE ON SCHEMA odk_sync TO odkx_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA odk_sync TO odkx_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA odk_sync GRANT SELECT ON TABLES TO odkx_readonly;

-- on 9.6
ALTER USER odkx_readonly WITH PASSWORD 'ODKX9_PASSWORD';
