-- The first tenant's table in several states of change (variable: rows), all
-- in the same physical order but the shuffled ones.  A refresh always reads
-- the view src_big; pointing it at another table is "the source has changed".

CREATE TABLE food AS SELECT * FROM made(1, :rows);

CREATE FUNCTION changed(one_in integer) RETURNS SETOF twelve LANGUAGE sql AS $$
SELECT id, logged_time, store, item, detail,
       (CASE WHEN id % one_in = 0 THEN price + 1 ELSE price END)::numeric(10,2),
       amount, rating, vegetarian, expires, weight, note
FROM food
$$;

CREATE TABLE food_scattered AS SELECT * FROM changed(100);
CREATE TABLE food_appended AS
    SELECT * FROM food UNION ALL SELECT * FROM made(:rows + 1, :rows + :rows / 100);
CREATE TABLE food_half AS SELECT * FROM changed(2);
CREATE TABLE food_all AS SELECT * FROM changed(1);
CREATE TABLE food_shuffled AS SELECT * FROM food ORDER BY item;
CREATE TABLE food_shuffled_scattered AS SELECT * FROM food_scattered ORDER BY item;
CREATE TABLE food_ten AS SELECT * FROM made(1, 10000);
CREATE TABLE food_none AS TABLE food WITH NO DATA;
CREATE VIEW src_big AS TABLE food;
CREATE VIEW src_ten AS TABLE food_ten;
CREATE VIEW src_none AS TABLE food_none;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
VACUUM (FREEZE, ANALYZE);
