-- What is copied, what is read live and what is computed here; run by the owner.

-- High volume, copied every minute by what has changed.  Django writes the times
-- itself, hence the overlap.
SELECT _wh.add_template('repayments',
    'SELECT id, ajo_loan_id::varchar(50) AS loan_id, amount, paid_date, date_modified FROM loans_ajoloanrepayment',
    'id bigint, loan_id varchar(50), amount numeric(14,2), paid_date date, date_modified timestamptz',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'date_modified',
    options => '{"overlap": "1 minute", "freshness_target": "5 minutes"}',
    description => 'Repayments, as of a minute ago');
SELECT _wh.add_template('loan_schedule',
    'SELECT id, ajo_loan_id::varchar(50) AS loan_id, due_date, principal, interest, fees, date_modified FROM loans_ajoloanschedule',
    'id bigint, loan_id varchar(50), due_date date, principal numeric(14,2), interest numeric(14,2), fees numeric(14,2),
     date_modified timestamptz',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'date_modified',
    options => '{"overlap": "1 minute", "freshness_target": "5 minutes"}',
    description => 'What falls due when');

-- Low volume, read where it is: the document's views, the schema of its foreign
-- tables being the bridge's.
SELECT _wh.add_template('officers_live', $$
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
WHERE user_type IN ('AGENT', 'STAFF_AGENT', 'PROSPER_AGENT', 'DMO_AGENT', 'AJO_AGENT', 'RECOVERY_AGENT')$$,
    materialization => 'live', description => 'Officers, as they are now');
SELECT _wh.add_template('customers_live', $$
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
WHERE onboarding_complete = TRUE$$,
    materialization => 'live', description => 'Customers, as they are now');

-- What is inferred from them must be there.
SELECT template_name, status FROM _wh.wh_refresh('officers_live');
SELECT template_name, status FROM _wh.wh_refresh('customers_live');

-- Loans without computed fields: what the document's Go query reads.
SELECT _wh.add_template('loans_base', $$
SELECT
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
    dl.date_completed::DATE as closed_date
FROM django_db.loans_ajoloan dl
LEFT JOIN officers_live o ON dl.agent_id::VARCHAR(50) = o.officer_id
LEFT JOIN customers_live c ON dl.borrower_id::VARCHAR(50) = c.customer_id
WHERE dl.is_disbursed = TRUE$$,
    materialization => 'live', options => '{"depends_on": ["officers_live", "customers_live"]}',
    description => 'Loans, as they are now, without computed fields');

-- The document's hybrid: base fields from Django, computed fields from here.
SELECT _wh.add_template('loans', $$
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
WHERE dl.is_disbursed = TRUE$$,
    materialization => 'live', options => '{"depends_on": ["officers_live", "customers_live"]}',
    description => 'Loans with their computed fields');
SELECT template_name, status FROM _wh.wh_refresh('loans_base');
SELECT template_name, status FROM _wh.wh_refresh('loans');

-- Kept here for what is asked all day, as of an hour ago.
SELECT _wh.add_template('officers_cached', 'SELECT * FROM officers_live',
    materialization => 'snapshot', source => 'local', key_columns => '{officer_id}',
    indexes => 'CREATE UNIQUE INDEX {view_name}_officer ON {schema}.{view_name} (officer_id)',
    options => '{"depends_on": ["officers_live"], "freshness_target": "1 hour"}',
    description => 'Officers, cached');

-- Computed here, a relation a day, after what they are made of.
SELECT _wh.add_template('officer_metrics_daily', $$
SELECT '{TARGET_DATE}'::date AS metric_date, l.officer_id, l.officer_name, l.branch,
       count(*) FILTER (WHERE c.total_outstanding > 0) AS active_loans,
       sum(c.principal_outstanding) AS principal_outstanding,
       coalesce(sum(c.principal_outstanding) FILTER (WHERE c.current_dpd >= 15), 0) AS par15,
       coalesce(sum(p.amount), 0) AS collected
FROM loans_on('{TARGET_DATE}'::date, every_loan()) AS c
JOIN loans_base AS l ON l.loan_id = c.loan_id
LEFT JOIN (SELECT loan_id, sum(amount) AS amount FROM repayments
           WHERE paid_date = '{TARGET_DATE}'::date GROUP BY 1) AS p ON p.loan_id = c.loan_id
GROUP BY 2, 3, 4$$,
    'metric_date date, officer_id varchar(50), officer_name text, branch text, active_loans bigint,
     principal_outstanding numeric, par15 numeric, collected numeric',
    'CREATE UNIQUE INDEX {view_name}_officer ON {schema}.{view_name} (officer_id)',
    source => 'local', time_column => 'metric_date', key_columns => '{metric_date,officer_id}',
    options => '{"depends_on": ["repayments", "loan_schedule", "loans_base"]}',
    description => 'Officers per day');
SELECT _wh.add_template('branch_metrics_daily', $$
SELECT metric_date, branch, count(*) AS officers, sum(active_loans)::bigint AS active_loans,
       sum(principal_outstanding) AS principal_outstanding, sum(par15) AS par15, sum(collected) AS collected
FROM officer_metrics_daily WHERE metric_date = '{TARGET_DATE}'::date
GROUP BY 1, 2$$,
    'metric_date date, branch text, officers bigint, active_loans bigint, principal_outstanding numeric, par15 numeric,
     collected numeric',
    source => 'local', time_column => 'metric_date',
    options => '{"depends_on": ["officer_metrics_daily"]}',
    description => 'Branches per day');
SELECT _wh.add_template('dpd_transitions', $$
SELECT '{TARGET_DATE}'::date AS transition_date, a.loan_id, b.current_dpd AS dpd_before, a.current_dpd AS dpd_after,
       width_bucket(b.current_dpd, ARRAY[1, 8, 15, 31, 61]) AS bucket_before,
       width_bucket(a.current_dpd, ARRAY[1, 8, 15, 31, 61]) AS bucket_after
FROM loans_on('{TARGET_DATE}'::date, every_loan()) AS a
JOIN loans_on('{TARGET_DATE}'::date - 1, every_loan()) AS b ON b.loan_id = a.loan_id
WHERE width_bucket(b.current_dpd, ARRAY[1, 8, 15, 31, 61]) <> width_bucket(a.current_dpd, ARRAY[1, 8, 15, 31, 61])$$,
    'transition_date date, loan_id varchar(50), dpd_before integer, dpd_after integer, bucket_before integer,
     bucket_after integer',
    source => 'local', time_column => 'transition_date', key_columns => '{transition_date,loan_id}',
    options => '{"depends_on": ["repayments", "loan_schedule"]}',
    description => 'Loans that went from one bucket of days past due to another');

-- A point in time: the fields as they stood on that business day, and frozen.
SELECT _wh.add_template('par15_snapshots', $$
SELECT b.today AS snapshot_date, c.loan_id, c.current_dpd, c.principal_outstanding, c.total_outstanding
FROM loans_computed AS c JOIN business_day AS b ON b.today = '{TARGET_DATE}'::date
WHERE c.current_dpd >= 15 AND c.total_outstanding > 0$$,
    'snapshot_date date, loan_id varchar(50), current_dpd integer, principal_outstanding numeric(14,2),
     total_outstanding numeric(14,2)',
    source => 'local', time_column => 'snapshot_date', key_columns => '{snapshot_date,loan_id}', lookback_days => 0,
    options => '{"depends_on": ["repayments", "loan_schedule"], "frozen": true}',
    description => 'Portfolio at risk, as it was seen that day');
