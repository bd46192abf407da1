-- decode: the values of plain types, made without their receive functions,
-- are those that the receive functions make, to the last bit.
\set VERBOSITY default
\set warehouse :DBNAME
SET client_min_messages = warning;
CREATE ROLE wh_decode_role LOGIN;
CREATE DATABASE wh_decode_src;
\c wh_decode_src
CREATE TABLE edges (n int, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, d date, ts timestamp, tz timestamptz,
                    u uuid, t text, v varchar, c bpchar, x bytea);
INSERT INTO edges VALUES
(1, true, -32768, -2147483648, -9223372036854775808, '-0', '-0', '4713-01-01 BC', '4713-01-01 00:00 BC', '4713-01-02 00:00+00 BC',
 '00000000-0000-0000-0000-000000000000', '', '', '', ''),
(2, false, 32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00',
 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'grün €', 'naïve', 'blank  ', '\x00ff00'),
(3, NULL, 0, 0, 0, 'Infinity', '-Infinity', 'infinity', 'infinity', '-infinity', NULL, NULL, NULL, NULL, NULL),
(4, true, 1, 1, 1, 1e-45, 4.9e-324, '-infinity', '-infinity', 'infinity', '01234567-89ab-cdef-0123-456789abcdef', repeat('long ', 5000), repeat('w', 200), repeat(' ', 3), decode(repeat('ab', 9999), 'hex')),
(5, NULL, NULL, NULL, NULL, 3.4028235e38, 1.7976931348623157e308, '1999-12-31', '1999-12-31 23:59:59.999999', '2000-01-01 00:00+00', NULL, E'a\nb\tc', 'x', 'y', '\x61');
GRANT SELECT ON edges TO wh_decode_role;
\c :warehouse
SET client_min_messages = warning;
SELECT _wh.add_tenant('decode_a', split_part(current_setting('unix_socket_directories'), ',', 1), 'wh_decode_src', 'wh_decode_role',
                      current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');

-- Each value twice: by itself, and in an array, which passes its element to
-- the receive function.
CREATE TEMP TABLE types (name text, col text);
INSERT INTO types VALUES ('bool', 'b'), ('int2', 'i2'), ('int4', 'i4'), ('int8', 'i8'), ('float4', 'f4'), ('float8', 'f8'), ('date', 'd'),
    ('timestamp', 'ts'), ('timestamptz', 'tz'), ('uuid', 'u'), ('text', 't'), ('varchar', 'v'), ('bpchar', 'c'), ('bytea', 'x');
SELECT _wh.add_template('decode_t',
    (SELECT $$SELECT n, '{TARGET_DATE}'::date AS day, $$ || string_agg(format('%1$s, ARRAY[%1$s] AS %1$s_too', col), ', ') || ' FROM edges' FROM types),
    (SELECT 'n int, day date, ' || string_agg(format('%s %s, %1$s_too %2$s[]', col, name), ', ') FROM types), tenants => '{decode_a}');
SELECT status, rows FROM _wh.wh_refresh('decode_t', 'decode_a', '2001-01-01', '2001-01-01');
CREATE TABLE public.decode_diff (type text, compared bigint, different bigint, width bigint);
DO $$
DECLARE
    t record;
    send text;
BEGIN
    FOR t IN SELECT * FROM types LOOP
        SELECT typsend::text INTO send FROM pg_type WHERE oid = t.name::regtype;
        EXECUTE format('INSERT INTO public.decode_diff SELECT %1$L, count(%2$s),
            count(*) FILTER (WHERE (%2$s IS NULL) <> (%2$s_too[1] IS NULL) OR %3$s(%2$s) IS DISTINCT FROM %3$s(%2$s_too[1])),
            sum(octet_length(%3$s(%2$s))) FROM decode_a.decode_t_2001_01_01', t.name, t.col, send);
    END LOOP;
END $$;
SELECT * FROM public.decode_diff ORDER BY type COLLATE "C";
SELECT n, b, i2, i4, i8, f4, f8, u, c, x FROM decode_a.decode_t_2001_01_01 WHERE n <> 4 ORDER BY n;
SELECT n, d, ts, tz AT TIME ZONE 'UTC' AS tz, t, v FROM decode_a.decode_t_2001_01_01 WHERE n <> 4 ORDER BY n;
SELECT length(t), length(v), length(c), octet_length(x), f4, f8 FROM decode_a.decode_t_2001_01_01 WHERE n = 4;

-- A declared length or precision is still the receive function's to apply.
SELECT _wh.alter_template('decode_t', query_template => $$SELECT ts, v, c FROM edges WHERE n = 2 AND '{TARGET_DATE}'::date IS NOT NULL$$,
                          column_definitions => 'ts timestamp(0), v varchar(5), c char(9)');
SELECT ts, v, c || '|' AS c, octet_length(c) FROM _wh.fetch('decode_t', 'decode_a', '2001-01-01') AS r(ts timestamp(0), v varchar(5), c char(9));
\echo :SQLSTATE
SELECT _wh.alter_template('decode_t', query_template => $$SELECT ts, v, c FROM edges WHERE n = 5 AND '{TARGET_DATE}'::date IS NOT NULL$$);
SELECT ts, v, c || '|' AS c, octet_length(c) FROM _wh.fetch('decode_t', 'decode_a', '2001-01-01') AS r(ts timestamp(0), v varchar(5), c char(9));

SET client_min_messages = warning;
DROP TABLE public.decode_diff;
SELECT _wh.drop_template('decode_t', drop_data => true) ->> 'template' AS dropped;
SELECT _wh.drop_tenant('decode_a', drop_data => true) ->> 'tenant' AS dropped;
DROP DATABASE wh_decode_src;
DROP ROLE wh_decode_role;
