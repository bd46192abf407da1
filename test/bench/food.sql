-- The 12 columns that everything is measured with, about 171 bytes a row of
-- binary COPY.

CREATE TABLE twelve (
    id bigint, logged_time timestamptz, store text, item uuid, detail jsonb,
    price numeric(10,2), amount integer, rating smallint, vegetarian boolean,
    expires date, weight double precision, note text);

CREATE FUNCTION made(first bigint, last bigint) RETURNS SETOF twelve
    LANGUAGE sql AS $$
SELECT i,
       timestamptz '2024-01-01 00:00Z' + i * interval '80 ms',
       'store ' || (i * 7919) % 2003,
       md5(i::text)::uuid,
       jsonb_build_object('aisle', i % 40, 'tag', 'k' || i % 997),
       round((i * 7907) % 100000 / 100.0, 2)::numeric(10,2),
       (i % 500)::integer,
       (i % 5)::smallint,
       i % 3 = 0,
       date '2024-02-01' + (i % 60)::integer,
       sqrt(i),
       'written on page ' || i % 1009
FROM generate_series(first, last) AS i
$$;
