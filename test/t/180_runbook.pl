# README's quick start and runbook, typed as they stand there: each block of SQL
# in its order, on real servers, in the trouble that it is for.  Only the
# addresses of the tenants and the place of a file are this test's.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my %secret = (a => 'first-a', b => 'first-b');
my %tenant;
my $days = 91;

# A row every two hours since the day before the days that are asked for.
for my $name ('a', 'b')
{
	my $node = tenant_node("tenant_$name", $dir, 'unused');

	$node->safe_psql('postgres', "CREATE ROLE warehouse_reader LOGIN PASSWORD '$secret{$name}'; CREATE DATABASE app");
	$node->safe_psql('app', q{CREATE TABLE phood_foodlogs (id bigint PRIMARY KEY, logged_time timestamptz NOT NULL, store text);
		INSERT INTO phood_foodlogs SELECT i, date_trunc('day', now(), 'UTC') - interval '91 days' + i * interval '2 hours', 'store ' || i % 3
		FROM generate_series(0, 12 * 92 - 1) AS i;
		GRANT SELECT ON phood_foodlogs TO warehouse_reader});
	$tenant{$name} = $node;
}

my $cron = -e $tenant{a}->config_data('--sharedir') . '/extension/pg_cron.control';
plan skip_all => 'pg_cron is not installed' unless $cron;

my $conf = qq{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'warehouse'
cron.host = '$PostgreSQL::Test::Cluster::test_pghost'
timezone = 'UTC'
max_worker_processes = 16
wal_level = replica
max_wal_senders = 4
pg_warehouse.sslrootcert = '$ca'
};
my $warehouse = PostgreSQL::Test::Cluster->new('warehouse');
$warehouse->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$warehouse->append_conf('postgresql.conf', $conf);
$warehouse->start;
$warehouse->safe_psql('postgres', 'CREATE DATABASE warehouse');
sub sql { return $warehouse->safe_psql('warehouse', $_[0]) }
sql('CREATE EXTENSION pg_cron');

# The blocks, by heading.
my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my ($quick) = $readme =~ /^## Quick start\n(.*?)^## /ms;
my ($runbook) = $readme =~ /^## Runbook\n(.*?)^## /ms;
my (undef, @sections) = split /^### /m, $runbook;
my @chapters = ([ 'Quick start', $quick ], map { [ /\A(.*)\n/, $_ ] } @sections);

sub blocks { return $_[0] =~ /^```sql\n(.*?)^```$/msg }

# Type a block at a server; each statement must succeed.
sub type_in
{
	my ($node, $block, $what) = @_;

	$block =~ s/'db\.(\w)\.example\.com', 'app', 'warehouse_reader'(?:, 5432)?/"'localhost', 'app', 'warehouse_reader', " . $tenant{$1}->port/eg;
	$block =~ s{'passwords\.tsv'}{'$dir/passwords.tsv'}g;
	my ($status, $out, $err) = $node->psql('warehouse', $block, on_error_stop => 1);
	is($status, 0, "$what: can be typed") or diag("$block\n$err");

	return $out;
}

sub passwords
{
	unlink "$dir/passwords.tsv";
	append_to_file("$dir/passwords.tsv", join '', map { "tenant_$_\t$secret{$_}\n" } @_);

	return;
}

my $counts = 'SELECT schema_name, count(*), md5(string_agg(id::text, $$,$$ ORDER BY id)) FROM public.foodlogstats WHERE logged_time < current_date GROUP BY 1 ORDER BY 1';
my $check = 'SELECT * FROM _wh.wh_check()';

my %scenario = (
	'Quick start' => sub {
		my ($block) = @_;

		passwords('a');
		my $out = type_in($warehouse, $block, 'quick start');
		unlike($out, qr/^tenant_a\|\w+\|f\|/m, 'every hop to the tenant is good');
		is(scalar(() = $out =~ /\|loaded\|first_fill\|12\|/g), 8, 'eight days are loaded');
		like($out, qr/^tenant_a\|96$/m, 'and shown');
		like($out, qr/\|created$/m, 'and scheduled');
	},
	'First day' => sub {
		my ($block) = @_;
		my $out = type_in($warehouse, $block, 'first day');

		like($out, qr/^(\d+)\|\1\|0$/m, 'what was missing is loaded');
		like($out, qr/^foodlogstats\|tenant_a\|ok\|$days\|1092\|\|$/m, 'the status says so');
		is(sql('SELECT * FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL'), '', 'nothing is left to mend');
		is(sql($check), '', 'nothing is lost');
	},
	'Adding a tenant' => sub {
		my ($block) = @_;

		passwords('a', 'b');
		my $out = type_in($warehouse, $block, 'adding a tenant');
		unlike($out, qr/^\w+\|f\|/m, 'every hop is good');
		like($out, qr/^$days\|0$/m, 'its days are loaded');
		like($out, qr/^tenant_b\|ok\|1092$/m, 'all of them');
		like($out, qr/^pg_warehouse:refresh:foodlogstats:tenant_b\|.*\|created$/m, 'and it has a job');
	},
	'A tenant is down' => sub {
		my ($looks, $loads) = @_;
		my $before = sql($counts);

		$tenant{b}->stop;
		$warehouse->psql('warehouse', "CALL _wh.run_refresh('foodlogstats', 'tenant_a'); CALL _wh.run_refresh('foodlogstats', 'tenant_b')");
		my $out = type_in($warehouse, $looks, 'a tenant is down');
		like($out, qr/\|tenant_b\.foodlogstats\|.*\|08001\|could not connect/, 'the failure is told');
		like($out, qr/^connect\|/m, 'with the hop');
		like($out, qr/^foodlogstats\|[-\d]+\|failed\|/m, 'and the day');
		is(sql($counts), $before, 'its rows can be read');
		is(sql(q{SELECT state FROM _wh.wh_status() WHERE tenant_name = 'tenant_a'}), 'ok', 'the other tenant is well');
		$tenant{b}->start;
		$out = type_in($warehouse, $loads, 'it is back');
		like($out, qr/^[1-9]\d*\|0\n0\z/m, 'what was missed is loaded, no failure is left');
	},
	'A wrong number in a chart' => sub {
		my ($looks, $mends) = @_;

		# Rows that came late, and one that was changed here.
		$tenant{a}->safe_psql('app', q{INSERT INTO phood_foodlogs SELECT 100000 + i, date_trunc('day', now(), 'UTC') - interval '3 days' + i * interval '1 minute', 'late' FROM generate_series(1, 5) AS i;
			UPDATE phood_foodlogs SET store = 'another' WHERE logged_time = date_trunc('day', now(), 'UTC') - interval '5 days'});
		my $outside = sql(q{SELECT format('%I.%I', relation_schema, relation_name) FROM _wh.slices WHERE tenant_name = 'tenant_a' AND period_start = current_date - 4});
		$tenant{a}->safe_psql('app', q{DELETE FROM phood_foodlogs WHERE logged_time = date_trunc('day', now(), 'UTC') - interval '4 days'});
		sql("SET ROLE whadmin; REFRESH MATERIALIZED VIEW $outside");
		my $out = type_in($warehouse, $looks, 'a wrong number');
		like($out, qr/^[-\d]+\|final\|12\|/m, 'the day was read after it closed');
		like($out, qr/^\d+\|loaded\|\w+\|12\|12\|0\|0\|/m, 'by this run');
		like($out, qr/^content\|\Q$outside\E\|refreshed outside: /m, 'somebody refreshed another one');
		$out = type_in($warehouse, $mends, 'comparing');
		is(scalar(() = $out =~ /\|f$/mg), 2, 'two days differ from the source');
		like($out, qr/^[-\d]+\|loaded\|5\|0\|0$/m, 'the late rows are loaded');
		is(sql($check), '', 'and all is known again');
		is(sql('SELECT count(*) FROM tenant_a.foodlogstats WHERE logged_time < current_date'), $tenant{a}->safe_psql('app',
			q{SELECT count(*) FROM phood_foodlogs WHERE logged_time >= date_trunc('day', now(), 'UTC') - interval '90 days' AND logged_time < date_trunc('day', now(), 'UTC')}),
			'as at the source');
	},
	'Disk full' => sub {
		my ($block) = @_;
		my $before = sql($counts);
		my $relations = sql('SELECT count(*) FROM _wh.slices');
		my $out = type_in($warehouse, $block, 'disk full');

		like($out, qr/^foodlogstats\|tenant_a\|day\|$days\|\d+ kB$/m, 'what takes room');
		like($out, qr/^tenant_a\.foodlogstats_\d{4}_\d\d\|\d+\|planned$/m, 'what would be rolled up');
		cmp_ok(sql('SELECT count(*) FROM _wh.slices'), '<', $relations - 40, 'days have become months');
		is(sql($counts), $before, 'of the same rows');
		is(sql($check), '', 'nothing is lost');
		is(sql(q{SELECT status FROM _wh.extract_runs WHERE table_name = 'maintenance.log' ORDER BY run_id DESC LIMIT 1}), 'loaded', 'the log is tidied');
	},
	'Rotation' => sub {
		my ($passwords, $key) = @_;

		$secret{a} = 'second-a';
		$tenant{a}->safe_psql('postgres', "ALTER ROLE warehouse_reader PASSWORD '$secret{a}'");
		passwords('a');
		like(type_in($warehouse, $passwords, 'a new password'), qr/^authenticate\|t\|/m, 'it lets us in');
		append_to_file(sql('SHOW pg_warehouse.key_file') || $warehouse->basedir . '/pg_warehouse.key', 'second:' . ('A' x 43) . "=\n");
		my $out = type_in($warehouse, $key, 'a new key');
		like($out, qr/^2$/m, 'every password is sealed under it');
		like($out, qr/^warn\|key "\w+" seals no password; remove its line/m, 'and the old one can go');
		is(sql(q{SELECT DISTINCT status FROM _wh.wh_refresh('foodlogstats')}), 'loaded', 'both tenants let us in');
	},
	'Upgrade' => sub {
		my ($extension, $postgres) = @_;

		type_in($warehouse, $extension, 'the extension');
		my $out = type_in($warehouse, $postgres, 'PostgreSQL');
		unlike($out, qr/adopt/, 'it is adopted');
		is(sql($check), '', 'nothing is lost');
	},
	'Restore' => sub {
		my ($block) = @_;
		my $copy = PostgreSQL::Test::Cluster->new('copy');
		my $before = sql($counts);
		my $lost = sql(q{SELECT count(*) FROM _wh.slices WHERE period_kind = 'day'});

		$copy->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
		$copy->append_conf('postgresql.conf', $conf . "pg_warehouse.key_file = '" . $warehouse->basedir . "/pg_warehouse.key'\n");
		$copy->start;
		$warehouse->command_ok([ 'pg_dump', '-Fc', '--exclude-table-data=tenant_*.*_????_??_??', '-f', "$dir/warehouse.dump", $warehouse->connstr('warehouse') ], 'pg_dump');
		$warehouse->command_ok([ 'pg_dumpall', '-g', '-f', "$dir/roles.sql", '-d', $warehouse->connstr('postgres') ], 'pg_dumpall -g');
		$copy->psql('postgres', "\\i $dir/roles.sql", on_error_stop => 0);
		$copy->safe_psql('postgres', 'CREATE DATABASE warehouse');
		$copy->command_ok([ 'pg_restore', '-1', '-d', $copy->connstr('warehouse'), "$dir/warehouse.dump" ], 'pg_restore -1');
		my $out = type_in($copy, $block, 'restore');
		is(scalar(() = $out =~ /^populated\|/mg), $lost, 'every day that holds no rows is named');
		is($copy->safe_psql('warehouse', $check), '', 'nothing is lost');
		is($copy->safe_psql('warehouse', $counts), $before, 'what people read is equal');
		$copy->stop;
	},
	'Standby' => sub {
		my ($block) = @_;
		my $standby = PostgreSQL::Test::Cluster->new('standby');

		$warehouse->backup('base');
		$standby->init_from_backup($warehouse, 'base', has_streaming => 1);
		$standby->append_conf('postgresql.conf', "pg_warehouse.key_file = '" . $warehouse->basedir . "/pg_warehouse.key'\n");
		$standby->start;
		$warehouse->wait_for_catchup($standby);
		$standby->promote;
		$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
		my $refresh = q{SELECT DISTINCT status, sqlstate FROM _wh.wh_refresh('foodlogstats')};
		is($standby->safe_psql('warehouse', $refresh), 'failed|55000', 'a promoted standby asks nobody');
		type_in($standby, $block, 'standby');
		is($standby->safe_psql('warehouse', $refresh), 'loaded|', 'until it is adopted');
		$standby->stop;
	},
	'Leaving' => sub {
		my ($block) = @_;
		my $before = sql($counts);
		my $out = type_in($warehouse, $block, 'leaving');

		unlike($out, qr/^left:/m, 'nothing keeps it');
		is(sql($counts), $before, 'what people read stays');
		is(sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'pg_warehouse'}), '0', 'the extension is gone');
		is(sql('SELECT count(*) FROM cron.job'), '0', 'and so are its jobs');
	});

for my $chapter (@chapters)
{
	my ($heading, $text) = @$chapter;
	my @blocks = blocks($text);

	next if !@blocks;
	note("--- $heading");
	ok($scenario{$heading}, "$heading: has its trouble") or next;
	(delete $scenario{$heading})->(@blocks);
}
is(join(' ', keys %scenario), '', 'every trouble is in the runbook');

done_testing();
