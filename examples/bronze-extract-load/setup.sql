-- The source and five templates: what has a natural key and says when it was
-- written comes by what is new, and is kept as CSV, the rest as a whole.  Run as
-- postgres.
SELECT _wh.add_tenant('tracksolid', :'host', 'postgres', 'dwh_reader', :port, schema_name => 'bronze',
    sslmode => 'disable', auth_method => 'trusted', time_zone => 'Africa/Nairobi');

SELECT _wh.add_template('position_history',
    'SELECT imei, gps_time, lat, lng, speed_kmh, recorded_at FROM tracksolid.position_history',
    'imei text, gps_time timestamptz, lat float8, lng float8, speed_kmh numeric(6,2), recorded_at timestamptz',
    materialization => 'incremental', key_columns => '{imei,gps_time}', watermark_column => 'recorded_at',
    options => '{"on_conflict": "nothing", "freshness_target": "6 hours", "archive": true}');
-- Metres there, kilometres here: drift is mended in the query.
SELECT _wh.add_template('trips',
    'SELECT trip_id, imei, started_at, ended_at, distance_m / 1000.0 AS distance_km, updated_at FROM tracksolid.trips',
    'trip_id bigint, imei text, started_at timestamptz, ended_at timestamptz, distance_km numeric(10,3), updated_at timestamptz',
    materialization => 'incremental', key_columns => '{trip_id}', watermark_column => 'updated_at',
    options => '{"freshness_target": "6 hours", "archive": true}');
SELECT _wh.add_template('alarms',
    'SELECT alarm_id, imei, kind, event_time, created_at FROM tracksolid.alarms',
    'alarm_id bigint, imei text, kind text, event_time timestamptz, created_at timestamptz',
    materialization => 'incremental', key_columns => '{alarm_id}', watermark_column => 'created_at',
    options => '{"on_conflict": "nothing", "freshness_target": "6 hours", "archive": true}');
SELECT _wh.add_template('devices', 'SELECT imei, name, model FROM tracksolid.devices',
    'imei text, name text, model text', materialization => 'snapshot', options => '{"freshness_target": "6 hours"}');
SELECT _wh.add_template('geofences', 'SELECT name, centre, radius_m FROM tracksolid.geofences',
    'name text, centre point, radius_m integer', materialization => 'snapshot', options => '{"freshness_target": "6 hours"}');
