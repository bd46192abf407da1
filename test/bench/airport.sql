-- One airport's departures, for the 450 slices of the demo (variables: origin,
-- file).

CREATE TABLE flights (
    flight_id integer PRIMARY KEY,
    departed_at timestamptz NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    distance_miles integer NOT NULL,
    delay_minutes integer
);
CREATE INDEX ON flights (departed_at);
SELECT format('COPY flights FROM %L (FORMAT csv, HEADER) WHERE origin = %L', :'file', :'origin') \gexec
GRANT SELECT ON flights TO reader;
VACUUM (FREEZE, ANALYZE) flights;
