# verify_gates against servers: a tenant that goes away and comes back, an
# archive that cannot be written, and, where PostGIS is installed, geometries
# that must come as they are.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $archive = scratch_dir() . '/archive';
mkdir $archive, 0700 or die;
my $warehouse = warehouse_node('warehouse', '', conf => "pg_warehouse.archive_directory = '$archive'\n");
my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$source->start;
$source->safe_psql('postgres', q{
CREATE ROLE wh_src LOGIN;
GRANT pg_read_all_stats TO wh_src;
CREATE TABLE trips (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
INSERT INTO trips SELECT i FROM generate_series(1, 100) AS i;
GRANT SELECT ON trips TO wh_src});

sub query { return $warehouse->safe_psql('postgres', $_[0]) }

# What is closed, and what cannot be told.
sub gates
{
	my ($template) = @_;

	return query(qq{SELECT concat_ws(' / ', string_agg(gate, ' ' ORDER BY gate) FILTER (WHERE NOT ok), '?' || string_agg(gate, ' ' ORDER BY gate) FILTER (WHERE ok IS NULL))
FROM _wh.verify_gates('$template')});
}

my ($host, $port) = ($source->host, $source->port);
query("SELECT _wh.add_tenant('fleet', '$host', 'postgres', 'wh_src', $port, sslmode => 'disable', auth_method => 'trusted')");
query(q{SELECT _wh.add_template('trips', 'SELECT id, at FROM trips', 'id bigint, at timestamptz',
	materialization => 'incremental', key_columns => '{id}', watermark_column => 'at')});
is(gates('trips'), 'freshness loaded / ?row_rate', 'before the first run');
query(q{CALL _wh.run_refresh('trips')});
is(gates('trips'), '?row_rate', 'after it');
$source->stop;
$warehouse->psql('postgres', q{CALL _wh.run_refresh('trips')});
is(gates('trips'), 'connection failures freshness / ?columns row_count row_rate', 'a tenant that is down');
$source->start;
query(q{SELECT _wh.reset_breaker('fleet')});
query(q{CALL _wh.run_refresh('trips')});
is(gates('trips'), '?row_rate', 'and back');

# The archive: a folder that is closed, and one that extracts cannot be moved to.
query(q{SELECT _wh.add_template('kept', 'SELECT id, at FROM trips', 'id bigint, at timestamptz',
	materialization => 'incremental', key_columns => '{id}', watermark_column => 'at', options => '{"archive": true}')});
query(q{CALL _wh.run_refresh('kept')});
is(gates('kept'), '?row_rate', 'with an archive');
is(query(q{SELECT string_agg(gate || ' ' || ok, ', ' ORDER BY gate) FROM _wh.verify_gates('kept') WHERE gate LIKE 'archive%'}), 'archive true, archived true', 'which has its gates');
chmod 0, $archive or die;
like(gates('kept'), qr/^archive /, 'one that is closed');
chmod 0700, $archive or die;
my ($processed) = glob("$archive/processed/fleet/kept*");
$source->safe_psql('postgres', 'INSERT INTO trips VALUES (101)');
chmod 0500, $processed or die;
query(q{CALL _wh.run_refresh('kept')});
is(gates('kept'), 'archived / ?row_rate', 'an extract that cannot be moved');
chmod 0700, $processed or die;
query(q{CALL _wh.run_refresh('kept')});
is(gates('kept'), '?row_rate', 'the next run moves it');

# A day that is mended fails after its upload: the next try loads that first,
# which is not the source, and then mends.
query(q{SET ROLE whadmin;
CREATE FUNCTION fleet.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON fleet.kept FOR EACH ROW EXECUTE FUNCTION fleet.refuse()});
$source->safe_psql('postgres', q{UPDATE trips SET at = at - interval '1 microsecond' WHERE id <= 50});
is(query(q{SELECT string_agg(DISTINCT action, ' ') FROM _wh.reconcile('kept', 'fleet') WHERE NOT equal}), 'failed', 'a trigger raises');
is(query(q{SELECT split_part(csv_path, '/', 1) FROM _wh.extract_runs WHERE template_name = 'kept' ORDER BY run_id DESC LIMIT 1}), 'exports', 'after the upload');
query('DROP TRIGGER refuse ON fleet.kept');
$source->safe_psql('postgres', 'DELETE FROM trips WHERE id <= 10');
is(query(q{SELECT sum(rows_deleted), string_agg(DISTINCT action, ' ') FROM _wh.reconcile('kept', 'fleet') WHERE NOT equal}), '10|loaded', 'the next call');
is(query(q{SELECT bool_and(equal), sum(local_rows) FROM _wh.reconcile('kept', 'fleet')}), 't|91', 'and all is well');

SKIP:
{
	skip 'PostGIS is not installed', 1
	  unless query(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'});

	$_->safe_psql('postgres', 'CREATE EXTENSION postgis') for $source, $warehouse;
	$source->safe_psql('postgres', q{
CREATE TABLE fences (id integer PRIMARY KEY, geom geometry, at timestamptz NOT NULL DEFAULT now());
INSERT INTO fences SELECT i, CASE WHEN i % 7 > 0 THEN ST_SetSRID(ST_MakePoint(36.8 + i * 0.001, -1.3), 4326) END FROM generate_series(1, 70) AS i;
INSERT INTO fences VALUES (71, ST_GeomFromEWKT('SRID=21037;POLYGONZ((0 0 1, 1 0 1, 1 1 1, 0 0 1))')), (72, ST_GeomFromText('POINT EMPTY'));
GRANT SELECT ON fences TO wh_src});
	query(q{SELECT _wh.add_template('fences', 'SELECT id, geom, at FROM fences', 'id integer, geom public.geometry, at timestamptz',
		materialization => 'incremental', key_columns => '{id}', watermark_column => 'at')});
	query(q{CALL _wh.run_refresh('fences')});
	my $all = q{SELECT string_agg(concat(id, ' ', ST_AsEWKT(geom)), ',' ORDER BY id) FROM };
	is(query("$all fleet.fences"), $source->safe_psql('postgres', "$all fences"), 'geometries come as they are, SRID, third dimension and all');
	is(gates('fences'), '?row_rate', 'the gate for geometries is open');
	is(query(q{SELECT detail FROM _wh.verify_gates('fences') WHERE gate = 'geometry'}), 'column "geom": 10 nulls here, 10 at the source', 'it counts nulls');
	query('UPDATE fleet.fences SET geom = NULL WHERE id = 1');
	is(gates('fences'), 'geometry / ?row_rate', 'one that was lost closes it');
	is(query(q{SELECT rows_updated FROM _wh.reconcile('fences', 'fleet') WHERE NOT equal}), '1', 'reconcile finds it, too');
	is(gates('fences'), '?row_rate', 'and mends it');
}

done_testing();
