-- What stands in for the statements of as_written_refused.sql; README, "Where the
-- documents differ", says why.  Run like as_written.sql, after it.
SET ROLE metricsuser;

-- 4.3 Loans Mapping: the two joins compare text with text.
-- Strategy: Join Django loan data with local computed fields
CREATE VIEW loans AS
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
LEFT JOIN officers_live o ON dl.agent_id::VARCHAR(50) = o.officer_id
LEFT JOIN customers_live c ON dl.borrower_id::VARCHAR(50) = c.customer_id
LEFT JOIN seedsmetrics.loans_computed lc ON dl.id::VARCHAR(50) = lc.loan_id
WHERE dl.is_disbursed = TRUE;
SELECT count(*), count(current_dpd) FROM loans;

-- 6.1 Selective Column Fetching: the columns as officers_live names them
SELECT officer_id, officer_name, branch FROM officers_live LIMIT 3;
