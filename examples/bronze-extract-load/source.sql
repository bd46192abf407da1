-- A stand-in for the tracking platform's database: what it writes, a role that
-- may read it and see how long its transactions have been open.
CREATE ROLE dwh_reader LOGIN;
GRANT pg_read_all_stats TO dwh_reader;
CREATE SCHEMA tracksolid;
CREATE TABLE tracksolid.devices (imei text PRIMARY KEY, name text NOT NULL, model text);
CREATE TABLE tracksolid.geofences (name text PRIMARY KEY, centre point NOT NULL, radius_m integer NOT NULL);
CREATE TABLE tracksolid.position_history (imei text NOT NULL, gps_time timestamptz NOT NULL, lat float8 NOT NULL, lng float8 NOT NULL,
    speed_kmh numeric(6,2), recorded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (imei, gps_time));
CREATE TABLE tracksolid.trips (trip_id bigint PRIMARY KEY, imei text NOT NULL, started_at timestamptz NOT NULL, ended_at timestamptz,
    distance_m integer NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE tracksolid.alarms (alarm_id bigint PRIMARY KEY, imei text NOT NULL, kind text NOT NULL, event_time timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON tracksolid.position_history (recorded_at);
CREATE INDEX ON tracksolid.trips (updated_at);
CREATE INDEX ON tracksolid.alarms (created_at);
INSERT INTO tracksolid.devices SELECT '8600000000' || lpad(i::text, 5, '0'), 'Truck ' || i, 'JC400' FROM generate_series(1, 40) AS i;
INSERT INTO tracksolid.geofences SELECT 'Depot ' || i, point(36.8 + i * 0.01, -1.3 + i * 0.01), 500 FROM generate_series(1, 5) AS i;
INSERT INTO tracksolid.position_history
SELECT d.imei, timestamptz '2026-04-01 00:00+00' + i * interval '10 minutes', -1.3 + i * 0.0001, 36.8 + i * 0.0001, (i % 90) * 1.25,
    timestamptz '2026-04-01 00:00+00' + i * interval '10 minutes' + interval '3 seconds'
FROM tracksolid.devices AS d, generate_series(1, 1000) AS i;
INSERT INTO tracksolid.trips
SELECT i, '8600000000' || lpad((i % 40 + 1)::text, 5, '0'), timestamptz '2026-04-01 05:00+00' + i * interval '7 minutes',
    timestamptz '2026-04-01 06:00+00' + i * interval '7 minutes', 1000 + i * 13, timestamptz '2026-04-01 06:00+00' + i * interval '7 minutes'
FROM generate_series(1, 1200) AS i;
INSERT INTO tracksolid.alarms
SELECT i, '8600000000' || lpad((i % 40 + 1)::text, 5, '0'), (ARRAY['overspeed', 'geofence', 'power'])[i % 3 + 1],
    timestamptz '2026-04-01 05:00+00' + i * interval '40 minutes', timestamptz '2026-04-01 05:01+00' + i * interval '40 minutes'
FROM generate_series(1, 200) AS i;
GRANT USAGE ON SCHEMA tracksolid TO dwh_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA tracksolid TO dwh_reader;
