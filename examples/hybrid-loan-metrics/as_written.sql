-- The statements of "Django Database Integration Architecture" that make what it
-- describes, as they are typed there: a database where the document is followed
-- by hand, run as postgres, with psql -v host=... -v port=... of the Django
-- database.  The database and its schema seedsmetrics are metricsuser's, with the
-- table loans_computed.  run.sh compares these views with the templates'.  What
-- cannot run as typed is in as_written_refused.sql, what stands in for it in
-- replaced.sql; README, "Where the documents differ", says why.

-- Phase 1: Setup Foreign Data Wrapper
-- On SeedsMetrics database
CREATE EXTENSION IF NOT EXISTS postgres_fdw;

CREATE SERVER django_db
FOREIGN DATA WRAPPER postgres_fdw
OPTIONS (
    host 'django-db-host',
    port '5432',
    dbname 'django_production',
    fetch_size '10000'
);

CREATE USER MAPPING FOR metricsuser
SERVER django_db
OPTIONS (
    user 'readonly_user',
    password 'readonly_password'
);

-- Not in the document: where this Django database is, the schema that the
-- document imports into, and the right to do so.
ALTER SERVER django_db OPTIONS (SET host :'host', SET port :'port');
CREATE SCHEMA django_db AUTHORIZATION metricsuser;
GRANT USAGE ON FOREIGN SERVER django_db TO metricsuser;
SET ROLE metricsuser;

IMPORT FOREIGN SCHEMA public
LIMIT TO (accounts_customuser, ajo_ajouser, loans_ajoloan)
FROM SERVER django_db
INTO django_db;

-- 4.1 Officers Mapping
-- Create VIEW in SeedsMetrics that reads from Django DB via Foreign Data Wrapper
CREATE VIEW officers_live AS
SELECT
    id::VARCHAR(50) as officer_id,
    COALESCE(username, email) as officer_name,
    user_phone as officer_phone,
    email as officer_email,
    user_branch as branch,
    'Nigeria' as region,  -- Default or derive from branch mapping
    CASE WHEN performance_status = 'Active' THEN 'Active' ELSE 'Inactive' END as employment_status,
    date_joined::DATE as hire_date,
    NULL::DATE as termination_date,
    'Direct' as primary_channel,  -- Default or derive from user_type
    date_joined as created_at,
    CURRENT_TIMESTAMP as updated_at
FROM django_db.accounts_customuser
WHERE user_type IN ('AGENT', 'STAFF_AGENT', 'PROSPER_AGENT', 'DMO_AGENT', 'AJO_AGENT', 'RECOVERY_AGENT');

-- 4.2 Customers Mapping
CREATE VIEW customers_live AS
SELECT
    id::VARCHAR(50) as customer_id,
    COALESCE(first_name || ' ' || last_name, phone_number) as customer_name,
    phone_number as customer_phone,
    NULL as customer_email,  -- Not in Django schema
    dob as date_of_birth,
    gender,
    state,
    lga,
    address,
    CASE WHEN bvn_verified THEN 'Verified' ELSE 'Pending' END as kyc_status,
    date_created as created_at,
    date_modified as updated_at
FROM django_db.ajo_ajouser
WHERE onboarding_complete = TRUE;

-- 6.1 Local Caching
-- Create materialized view for frequently accessed data
CREATE MATERIALIZED VIEW officers_cached AS
SELECT * FROM officers_live;

-- Refresh every hour
REFRESH MATERIALIZED VIEW officers_cached;

-- 6.1 Fetch Size Tuning
RESET ROLE;
ALTER SERVER django_db OPTIONS (SET fetch_size '10000');
