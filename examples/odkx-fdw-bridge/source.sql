-- A stand-in for ODK-X's database: its names, and a role that may read.
CREATE ROLE odkx_readonly LOGIN PASSWORD 'ODKX9_PASSWORD';
CREATE SCHEMA odk_sync;
CREATE TABLE odk_sync._backend_actions ("_URI" varchar(80) PRIMARY KEY, "_CREATION_DATE" timestamp NOT NULL, "_LAST_UPDATE_DATE" timestamp NOT NULL, "LAST_REVISION_DATE" timestamp);
CREATE TABLE odk_sync._tablefiles_ref ("_URI" varchar(80) PRIMARY KEY, "PART" integer, "_SUB_AURI" varchar(80));
CREATE TABLE odk_sync._server_prefs ("_URI" varchar(80) PRIMARY KEY, "KEY" varchar(128), "VALUE" varchar(2048));
CREATE TABLE odk_sync._task_lock ("_URI" varchar(80) PRIMARY KEY, "EXPIRATION_DATETIME" timestamp, "TASK_TYPE" varchar(32));
CREATE TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" ("_URI" varchar(80) PRIMARY KEY, "SCHEMA_ETAG" varchar(50), "DATA_ETAG_AT_MODIFICATION" varchar(50), "PENDING_SCHEMA_ETAG" varchar(50));
CREATE TABLE odk_sync."__ODKTABLES__TABLE_FILE_INFO4" ("_URI" varchar(80) PRIMARY KEY, "ODK_CLIENT_VERSION" varchar(10), "TABLE_ID" varchar(50), "PATH_TO_FILE" varchar(2048));
CREATE TABLE odk_sync."__ODKTABLES__MANIFEST_ETAGS" ("_URI" varchar(80) PRIMARY KEY, "TABLE_ID" varchar(50), "MANIFEST_ETAG" varchar(50));
CREATE TABLE odk_sync."__ODKTABLES__INTERACTION_LOG" ("_CREATION_DATE" timestamp NOT NULL, "INTERACTION_TYPE" varchar(20), "TABLE_ID" varchar(50));
INSERT INTO odk_sync._backend_actions
SELECT 'uuid:' || i, timestamp '2025-01-01' + i * interval '1 minute', timestamp '2025-01-01' + i * interval '1 minute', NULL
FROM generate_series(1, 5000) AS i;
INSERT INTO odk_sync._tablefiles_ref SELECT 'uuid:' || i, 1, 'uuid:' || i FROM generate_series(1, 120) AS i;
INSERT INTO odk_sync._server_prefs VALUES ('uuid:1', 'SITE_KEY', 'smartfield'), ('uuid:2', 'ODK_TABLES_ENABLED', 'true');
INSERT INTO odk_sync."__ODKTABLES__TABLE_ENTRY4" SELECT 'table_' || i, md5('s' || i), md5('d' || i), NULL FROM generate_series(1, 24) AS i;
INSERT INTO odk_sync."__ODKTABLES__TABLE_FILE_INFO4" SELECT 'uuid:' || i, '2', 'table_' || i % 24, 'tables/table_' || i % 24 || '/forms/' || i FROM generate_series(1, 300) AS i;
INSERT INTO odk_sync."__ODKTABLES__MANIFEST_ETAGS" SELECT 'uuid:' || i, 'table_' || i, md5('m' || i) FROM generate_series(1, 24) AS i;
INSERT INTO odk_sync."__ODKTABLES__INTERACTION_LOG" SELECT timestamp '2025-01-01' + i * interval '1 hour', 'GET_TABLES', 'table_' || i % 24 FROM generate_series(1, 700) AS i;
