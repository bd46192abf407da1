-- The queries that the document's backend changes to, as they are typed there, on
-- the warehouse's templates: run by metricsuser.
SET search_path = seedsmetrics;

-- 5, Phase 3
SELECT * FROM officers_live;

-- 9.2, by id, prepared as the backend does
PREPARE officer AS
SELECT * FROM officers_live WHERE officer_id = $1;
EXECUTE officer('17');

-- 9.2: For loan listing (base fields from Django, computed from local)
    SELECT
        l.loan_id,
        l.customer_name,
        l.officer_name,
        l.loan_amount,
        l.disbursement_date,
        l.status,
        -- Computed fields from local table
        lc.current_dpd,
        lc.total_outstanding,
        lc.fimr_tagged
    FROM loans_base l  -- View to Django
    LEFT JOIN loans_computed lc ON l.loan_id = lc.loan_id  -- Local computed
    WHERE l.status = 'Active';
