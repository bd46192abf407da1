-- What each of the four tenants has (variable: rows).

CREATE TABLE quarter AS SELECT * FROM made(1, :rows);
CREATE VIEW src_quarter AS TABLE quarter;
GRANT SELECT ON quarter, src_quarter TO reader;
VACUUM (FREEZE, ANALYZE) quarter;
