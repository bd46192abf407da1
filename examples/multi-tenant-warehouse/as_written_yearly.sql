-- The yearly combination of the architecture document, as it is typed there (with
-- SELECT in front), run by the owner in the February after: the year has ended,
-- and each of its days was loaded since it closed.

SELECT _wh.create_combined_table_from_template_by_year('foodlogstats', 'tenant_a', 2024);

-- As the job of 15 February calls it; the year is combined by now.
SELECT _wh.create_combined_table_from_template_by_year('foodlogstats', 'tenant_a',
                EXTRACT(YEAR FROM _wh.current_date_utc() - INTERVAL '1 year')::integer);

-- Yearly tables (converted from daily MVs)
SELECT count(*) FROM tenant_a.foodlogstats_2024;
