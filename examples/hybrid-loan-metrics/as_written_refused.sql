-- The statements of the document that PostgreSQL refuses as they are typed,
-- each with the SQLSTATE that it gets; run like as_written.sql, after it.
\set ON_ERROR_STOP 0
\set VERBOSITY terse
SET ROLE metricsuser;

-- Phase 1 without a schema to import into.
BEGIN;
DROP SCHEMA django_db CASCADE;
IMPORT FOREIGN SCHEMA public
LIMIT TO (accounts_customuser, ajo_ajouser, loans_ajoloan)
FROM SERVER django_db
INTO django_db;
\echo :SQLSTATE
ROLLBACK;

-- 4.3 Loans Mapping: agent_id and borrower_id are numbers, officer_id and
-- customer_id are text.
-- Strategy: Join Django loan data with local computed fields
SELECT
    -- FROM DJANGO (via FDW)
    dl.id::VARCHAR(50) as loan_id,
    dl.borrower_id::VARCHAR(50) as customer_id,
    dl.borrower_full_name as customer_name,
    dl.borrower_phone_number as customer_phone,
    dl.agent_id::VARCHAR(50) as officer_id,
    o.officer_name,
    o.officer_phone,
    o.region,
    o.branch,
    c.state,
    dl.amount_disbursed as loan_amount,
    dl.repayment_amount,
    dl.date_disbursed::DATE as disbursement_date,
    dl.expected_end_date as maturity_date,
    dl.tenor_in_days as loan_term_days,
    dl.interest_rate / 100.0 as interest_rate,  -- Convert percentage to decimal
    dl.processing_fee + dl.nem_fee as fee_amount,
    'Direct' as channel,  -- Derive from loan_type or default
    NULL as channel_partner,
    dl.status,
    dl.date_completed::DATE as closed_date,

    -- FROM LOCAL COMPUTED (seedsmetrics.loans table)
    lc.current_dpd,
    lc.max_dpd_ever,
    lc.first_payment_missed,
    lc.first_payment_due_date,
    lc.first_payment_received_date,
    lc.principal_outstanding,
    lc.interest_outstanding,
    lc.fees_outstanding,
    lc.total_outstanding,
    lc.total_principal_paid,
    lc.total_interest_paid,
    lc.total_fees_paid,
    lc.fimr_tagged,
    lc.early_indicator_tagged

FROM django_db.loans_ajoloan dl
LEFT JOIN officers_live o ON dl.agent_id = o.officer_id
LEFT JOIN customers_live c ON dl.borrower_id = c.customer_id
LEFT JOIN seedsmetrics.loans_computed lc ON dl.id::VARCHAR(50) = lc.loan_id
WHERE dl.is_disbursed = TRUE;
\echo :SQLSTATE

-- 6.1 Selective Column Fetching
-- Only fetch needed columns
SELECT id, name, branch FROM officers_live;
\echo :SQLSTATE
-- NOT: SELECT * FROM officers_live

-- 9.2, "Change FROM": the table of the old ETL, which is not made here.
SELECT * FROM officers;
\echo :SQLSTATE
