-- What the dashboard keeps for itself, run by the owner: the tables that are
-- synced, with triggers that keep the 14 computed fields of a loan.  All names
-- are qualified: a trigger runs with the search path of whoever fires it.

-- The day that "days past due" are counted to; the night's job moves it on.
CREATE TABLE seedsmetrics.business_day (
    today date NOT NULL,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);

CREATE TABLE seedsmetrics.repayments (
    id bigint PRIMARY KEY,
    loan_id varchar(50) NOT NULL,
    amount numeric(14,2) NOT NULL,
    paid_date date NOT NULL,
    date_modified timestamptz NOT NULL,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp()	-- ours: how old a row is when it gets here
);
CREATE INDEX ON seedsmetrics.repayments (loan_id);
CREATE INDEX ON seedsmetrics.repayments (paid_date);

CREATE TABLE seedsmetrics.loan_schedule (
    id bigint PRIMARY KEY,
    loan_id varchar(50) NOT NULL,
    due_date date NOT NULL,
    principal numeric(14,2) NOT NULL,
    interest numeric(14,2) NOT NULL,
    fees numeric(14,2) NOT NULL,
    date_modified timestamptz NOT NULL
);
CREATE INDEX ON seedsmetrics.loan_schedule (loan_id);

CREATE TABLE seedsmetrics.loans_computed (
    loan_id varchar(50) PRIMARY KEY,
    current_dpd integer NOT NULL,
    max_dpd_ever integer NOT NULL,
    first_payment_missed boolean NOT NULL,
    first_payment_due_date date,
    first_payment_received_date date,
    principal_outstanding numeric(14,2) NOT NULL,
    interest_outstanding numeric(14,2) NOT NULL,
    fees_outstanding numeric(14,2) NOT NULL,
    total_outstanding numeric(14,2) NOT NULL,
    total_principal_paid numeric(14,2) NOT NULL,
    total_interest_paid numeric(14,2) NOT NULL,
    total_fees_paid numeric(14,2) NOT NULL,
    fimr_tagged boolean NOT NULL,
    early_indicator_tagged boolean NOT NULL
);

-- Compute loans as they stood at the end of a day.  Money settles the oldest
-- instalment first, and of all that is owed fees, then interest, then principal.
CREATE FUNCTION seedsmetrics.loans_on(day date, loans varchar[]) RETURNS SETOF seedsmetrics.loans_computed
LANGUAGE sql STABLE
BEGIN ATOMIC
SELECT l.loan_id,
       coalesce(s.current_dpd, 0),
       greatest(s.max_dpd_ever, 0),
       coalesce(s.first_due < day AND s.first_settled > s.first_due, false),
       s.first_due,
       r.first_paid,
       coalesce(s.principal, 0) - p.principal,
       coalesce(s.interest, 0) - p.interest,
       coalesce(s.fees, 0) - p.fees,
       coalesce(s.principal + s.interest + s.fees, 0) - p.principal - p.interest - p.fees,
       p.principal,
       p.interest,
       p.fees,
       coalesce(s.first_due < day AND coalesce(r.first_paid, 'infinity') > s.first_due, false),
       coalesce(s.current_dpd, 0) BETWEEN 1 AND 14
FROM unnest(loans) AS l(loan_id)
CROSS JOIN LATERAL (
    SELECT min(i.due_date) AS first_due, sum(i.principal) AS principal, sum(i.interest) AS interest, sum(i.fees) AS fees,
           (array_agg(coalesce(i.settled, 'infinity') ORDER BY i.due_date, i.id))[1] AS first_settled,
           max(day - i.due_date) FILTER (WHERE i.settled IS NULL AND i.due_date < day) AS current_dpd,
           max(coalesce(i.settled, day) - i.due_date) AS max_dpd_ever
    FROM (SELECT d.id, d.due_date, d.principal, d.interest, d.fees, min(c.paid_date) AS settled
          FROM (SELECT *, sum(principal + interest + fees) OVER (ORDER BY due_date, id) AS due_so_far
                FROM seedsmetrics.loan_schedule WHERE loan_id = l.loan_id) AS d
          LEFT JOIN (SELECT paid_date, sum(amount) OVER (ORDER BY paid_date, id) AS paid_so_far
                     FROM seedsmetrics.repayments WHERE loan_id = l.loan_id AND paid_date <= day) AS c
              ON c.paid_so_far >= d.due_so_far
          GROUP BY d.id, d.due_date, d.principal, d.interest, d.fees) AS i
) AS s
CROSS JOIN LATERAL (
    SELECT min(paid_date) AS first_paid, coalesce(sum(amount), 0) AS paid
    FROM seedsmetrics.repayments WHERE loan_id = l.loan_id AND paid_date <= day
) AS r
CROSS JOIN LATERAL (
    SELECT least(r.paid, coalesce(s.fees, 0)) AS fees,
           least(greatest(r.paid - coalesce(s.fees, 0), 0), coalesce(s.interest, 0)) AS interest,
           least(greatest(r.paid - coalesce(s.fees + s.interest, 0), 0), coalesce(s.principal, 0)) AS principal
) AS p;
END;

CREATE FUNCTION seedsmetrics.every_loan() RETURNS varchar[]
LANGUAGE sql STABLE
BEGIN ATOMIC
SELECT array_agg(DISTINCT loan_id) FROM seedsmetrics.loan_schedule;
END;

-- Compute loans anew.  Repayments and schedule are loaded side by side, each in
-- a transaction of its own: here one waits for the other, and the second sees,
-- by the next statement's snapshot, what the first has committed.  That
-- statement is planned each time: a plan of the day when the tables were empty
-- would read all of them for every loan.
CREATE FUNCTION seedsmetrics.recompute(loans varchar[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE seedsmetrics.loans_computed IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE $sql$
    INSERT INTO seedsmetrics.loans_computed AS c
    SELECT n.* FROM seedsmetrics.business_day AS b, seedsmetrics.loans_on(b.today, $1) AS n
    ON CONFLICT (loan_id) DO UPDATE SET
        (current_dpd, max_dpd_ever, first_payment_missed, first_payment_due_date, first_payment_received_date,
         principal_outstanding, interest_outstanding, fees_outstanding, total_outstanding, total_principal_paid,
         total_interest_paid, total_fees_paid, fimr_tagged, early_indicator_tagged) =
        (excluded.current_dpd, excluded.max_dpd_ever, excluded.first_payment_missed, excluded.first_payment_due_date,
         excluded.first_payment_received_date, excluded.principal_outstanding, excluded.interest_outstanding,
         excluded.fees_outstanding, excluded.total_outstanding, excluded.total_principal_paid,
         excluded.total_interest_paid, excluded.total_fees_paid, excluded.fimr_tagged, excluded.early_indicator_tagged)
    WHERE ROW(c.*) IS DISTINCT FROM ROW(excluded.*)
    $sql$ USING loans;
END $$;

-- The night's job.
CREATE FUNCTION seedsmetrics.begin_day(day date) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seedsmetrics.business_day VALUES (day) ON CONFLICT (only_row) DO UPDATE SET today = excluded.today;
    PERFORM seedsmetrics.recompute(seedsmetrics.every_loan());
END $$;

-- A statement's worth of rows at a time: a load of 60,000 repayments computes
-- each loan once per batch, not once per repayment.
CREATE FUNCTION seedsmetrics.rows_came() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows) THEN
        PERFORM seedsmetrics.recompute(array(SELECT DISTINCT loan_id FROM new_rows));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION seedsmetrics.rows_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows) THEN
        PERFORM seedsmetrics.recompute(array(SELECT loan_id FROM old_rows UNION SELECT loan_id FROM new_rows));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION seedsmetrics.rows_went() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM old_rows) THEN
        PERFORM seedsmetrics.recompute(array(SELECT DISTINCT loan_id FROM old_rows));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER came AFTER INSERT ON seedsmetrics.repayments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_came();
CREATE TRIGGER changed AFTER UPDATE ON seedsmetrics.repayments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_changed();
CREATE TRIGGER went AFTER DELETE ON seedsmetrics.repayments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_went();
CREATE TRIGGER came AFTER INSERT ON seedsmetrics.loan_schedule
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_came();
CREATE TRIGGER changed AFTER UPDATE ON seedsmetrics.loan_schedule
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_changed();
CREATE TRIGGER went AFTER DELETE ON seedsmetrics.loan_schedule
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION seedsmetrics.rows_went();

-- The dashboard's own tables, which no sync ever touches.
CREATE TABLE seedsmetrics.audit_tracking (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    loan_id varchar(50) NOT NULL,
    note text NOT NULL,
    noted_by text NOT NULL DEFAULT session_user,
    noted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE seedsmetrics.team_members (
    officer_id varchar(50) PRIMARY KEY,
    team text NOT NULL
);
GRANT INSERT ON seedsmetrics.audit_tracking TO metricsuser;
GRANT INSERT, UPDATE, DELETE ON seedsmetrics.team_members TO metricsuser;
