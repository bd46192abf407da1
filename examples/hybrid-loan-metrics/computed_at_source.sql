-- The 14 computed fields of every loan at the end of a day (psql -v day=...),
-- from the source's tables alone and for all loans at once: what computed.sql
-- keeps must be equal to it.
COPY (
WITH instalment AS (
    SELECT ajo_loan_id, id, due_date, principal, interest, fees,
           sum(principal + interest + fees) OVER (PARTITION BY ajo_loan_id ORDER BY due_date, id) AS due_so_far
    FROM loans_ajoloanschedule
), payment AS (
    SELECT ajo_loan_id, paid_date, sum(amount) OVER (PARTITION BY ajo_loan_id ORDER BY paid_date, id) AS paid_so_far
    FROM loans_ajoloanrepayment WHERE paid_date <= date :'day'
), settled AS (
    SELECT i.ajo_loan_id, i.id, i.due_date, min(p.paid_date) AS on_day
    FROM instalment AS i LEFT JOIN payment AS p ON p.ajo_loan_id = i.ajo_loan_id AND p.paid_so_far >= i.due_so_far
    GROUP BY 1, 2, 3
), late AS (
    SELECT ajo_loan_id, greatest(max(coalesce(on_day, date :'day') - due_date), 0) AS longest,
           coalesce(date :'day' - min(due_date) FILTER (WHERE on_day IS NULL AND due_date < date :'day'), 0) AS now
    FROM settled GROUP BY 1
), first AS (
    SELECT DISTINCT ON (ajo_loan_id) ajo_loan_id, due_date, on_day FROM settled ORDER BY ajo_loan_id, due_date, id
), owed AS (
    SELECT ajo_loan_id, sum(principal) AS principal, sum(interest) AS interest, sum(fees) AS fees FROM instalment GROUP BY 1
), received AS (
    SELECT ajo_loan_id, min(paid_date) AS first, max(paid_so_far) AS total FROM payment GROUP BY 1
), paid AS (
    SELECT o.*, r.first, coalesce(r.total, 0) AS total, least(coalesce(r.total, 0), o.fees) AS of_fees,
           least(greatest(coalesce(r.total, 0), o.fees) - o.fees, o.interest) AS of_interest,
           least(greatest(coalesce(r.total, 0), o.fees + o.interest) - o.fees - o.interest, o.principal) AS of_principal
    FROM owed AS o LEFT JOIN received AS r USING (ajo_loan_id)
)
SELECT p.ajo_loan_id, late.now, late.longest, first.due_date < date :'day' AND coalesce(first.on_day > first.due_date, true),
       first.due_date, p.first,
       (p.principal - of_principal)::numeric(14,2), (p.interest - of_interest)::numeric(14,2), (p.fees - of_fees)::numeric(14,2),
       greatest(p.principal + p.interest + p.fees - p.total, 0)::numeric(14,2),
       of_principal::numeric(14,2), of_interest::numeric(14,2), of_fees::numeric(14,2),
       first.due_date < date :'day' AND coalesce(p.first > first.due_date, true), late.now > 0 AND late.now < 15
FROM paid AS p JOIN late USING (ajo_loan_id) JOIN first USING (ajo_loan_id)
) TO STDOUT;
