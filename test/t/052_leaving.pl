# Leaving while others are at work: refreshes and readers are respected, kept
# plans go on, and what is left survives a crash and a dump without the extension.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = loopback_node('leaving');
loopback_tenant($node, 'shop', 'UTC', q{
CREATE TABLE sold AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at, repeat(md5(i::text), 400) AS pad FROM generate_series(0, 71) AS i});
sub sql { return $node->safe_psql('postgres', $_[0]) }
sql(q{SELECT _wh.add_template('sales', 'SELECT id, at, pad FROM sold WHERE at >= {DAY_START} AND at < {DAY_END}',
    'id integer, at timestamptz, pad text', 'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)', time_column => 'at')});
is(sql(q{SELECT count(*) FROM _wh.wh_refresh('sales', 'shop', '2024-01-01', '2024-01-03') WHERE status = 'loaded'}), '3', 'three days');
my $rows = q{SELECT schema_name, count(*), md5(string_agg(pad, '' ORDER BY id)) FROM public.sales GROUP BY 1};
my $before = sql($rows);

# A refresh is at work.
my $other = $node->background_psql('postgres', on_error_stop => 1);
$other->query_safe(q{BEGIN; SELECT count(*) FROM _wh.wh_refresh('sales', 'shop', '2024-01-02', '2024-01-02', parallel => 0);});
my ($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\nSELECT _wh.detach_all()");
like($err, qr/55006: the warehouse is being refreshed/, 'a refresh at work is not disturbed');
like($err, qr/Template "sales", tenant "shop"/, 'and named');
$other->query_safe('ROLLBACK;');

# A reader is at it.
$other->query_safe('BEGIN; SELECT count(*) FROM shop.sales;');
($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\nSET pg_warehouse.lock_deadline = '200ms'; SELECT _wh.detach_all()");
like($err, qr/55P03: could not lock relation "/, 'a reader is not waited for in the queue');
is($other->query_safe('SELECT count(*) FROM public.sales;'), '72', 'and goes on');
$other->query_safe('COMMIT;');

# Plans that others keep see the tables.
$other->query_safe('PREPARE q AS SELECT count(*) FROM public.sales WHERE at >= \'2024-01-02\';');
is($other->query_safe('EXECUTE q;'), '48', 'a plan is kept');
is(sql(q{SELECT count(*) FROM _wh.detach_all() AS line WHERE line LIKE 'table shop.sales_%'}), '3', 'it leaves');
is($other->query_safe('EXECUTE q;'), '48', 'the plan is good still');
sql('DROP EXTENSION pg_warehouse');
is($other->query_safe('EXECUTE q;'), '48', 'also without the extension');
$other->quit;

# A crash and a dump.
$node->stop('immediate');
$node->adjust_conf('postgresql.conf', 'session_preload_libraries', "''");
$node->start;
is(sql($rows), $before, 'a crash loses nothing');
is(sql(q{SELECT count(*) FROM pg_class WHERE relkind = 'm'}), '0', 'no materialized view is left');
$node->command_ok([ 'pg_dump', '-f', $node->basedir . '/plain.sql', $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file($node->basedir . '/plain.sql'), qr/_wh\b|EXTENSION[^;]*pg_warehouse|MATERIALIZED/, 'knows nothing of the extension');
sql('CREATE DATABASE plain');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $node->basedir . '/plain.sql', $node->connstr('plain') ], 'restores');
is($node->safe_psql('plain', $rows), $before, 'with every row');
$node->command_ok([ 'pg_amcheck', '--install-missing', '-d', 'postgres', '-h', $node->host, '-p', $node->port ], 'tables and indexes are sound');

done_testing();
