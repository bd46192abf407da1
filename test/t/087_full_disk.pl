# A tablespace that is full, whatever method is at work: the unit fails with
# 53100, the old rows are whole, the space comes back, the next run heals.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use SmallDisk megabytes => 24;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

plan skip_all => $SmallDisk::why_not if $SmallDisk::why_not;

my $node = warehouse_node('full', '');
my $disk = $SmallDisk::dir;

# A row takes half a kilobyte.
sub rows
{
	my ($n) = @_;

	$node->safe_psql('source', "TRUNCATE t; INSERT INTO t SELECT i, '2024-01-01 12:00+00', repeat(md5(i::text), 14) FROM generate_series(1, $n) AS i");

	return;
}

sub query { return $node->safe_psql('postgres', $_[0]) }

sub used
{
	query('CHECKPOINT');
	return 0 + qx{du -s --block-size=1M $disk};
}

$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source');
$node->safe_psql('source', 'CREATE TABLE t (id integer, at timestamptz, note text); GRANT SELECT ON t TO wh_src');
mkdir "$disk/space";
query("CREATE TABLESPACE small LOCATION '$disk/space'");
query(q{
GRANT CREATE ON TABLESPACE small TO whadmin;
CREATE EXTENSION amcheck;
SELECT _wh.drop_template('foodlogstats');
SELECT _wh.add_tenant('t1', split_part(current_setting('unix_socket_directories'), ',', 1), 'source', 'wh_src',
	current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('full', $$SELECT id, at, note FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$, 'id integer, at timestamptz, note text',
	'CREATE INDEX {view_name}_id ON {schema}.{view_name} (id)', time_column => 'at', options => '{"daily_tablespace": "small"}')});

my $args = q{'full', 't1', '2024-01-01', '2024-01-01'};
my $slice = 't1.full_2024_01_01';
my $refresh = "SELECT status, method, sqlstate FROM _wh.wh_refresh($args%s)";
my $sound = qq{SELECT count(*) FROM verify_heapam('$slice'); SELECT count(bt_index_check(indexrelid, true)) FROM pg_index WHERE indrelid = '$slice'::regclass};

# What the slice holds: the numbers of the first and the last row, and how many.
sub holds { return query("SELECT min(id), max(id), count(*) FROM $slice") }

# The first fill.
rows(60000);
is(query(sprintf $refresh, ''), 'failed||53100', 'first fill: the disk is full');
like(query('SELECT error_category, error_message, error_detail, error_hint FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1'),
	qr/^storage\|could not extend file .*No space left on device\|.*\|Check free disk space\.$/, 'and the log says so');
is(query("SELECT count(*) FROM pg_class WHERE relname LIKE 'full_2024%'"), '0', 'no relation is left');
is(used(), '0', 'nor a file');
rows(14000);
is(query(sprintf $refresh, ''), 'loaded|first_fill|', 'a day that fits is loaded');
is(holds(), '1|14000|14000', 'whole');
my $normal = used();
cmp_ok($normal, '>', 6, "it takes $normal MB");

# A refill has both on the disk for a while.
rows(60000);
is(query(sprintf $refresh, ", method => 'refill'"), 'failed||53100', 'refill: the disk is full');
is(holds(), '1|14000|14000', 'the old rows are whole');
is(used(), $normal, 'and so is the space');

# A delta that goes over to a refill, in the procedure and in workers.
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL _wh.run_refresh($args)");
like($err, qr/ERROR:  53100: refresh failed for 1 of 1 units/, 'delta and then refill: the disk is full');
is(holds(), '1|14000|14000', 'the old rows are whole');
is(used(), $normal, 'and so is the space');
is(query("SELECT status, method, sqlstate FROM _wh.wh_refresh('full', 't1', '2024-01-01', '2024-01-02')"),
	"failed||53100\nloaded|first_fill|", 'in workers: the other day is loaded');
is(holds(), '1|14000|14000', 'the old rows are whole');

# What it matches by goes to a disk, too.
query('GRANT CREATE ON TABLESPACE small TO PUBLIC');
($rc, $out, $err) = $node->psql('postgres', "SET temp_tablespaces = small; SET work_mem = '64kB'; SET pg_warehouse.delta_memory = '1MB'; " . sprintf $refresh, ", method => 'delta'");
is($out, 'failed||53100', 'delta: no room for what waits');
is(holds(), '1|14000|14000', 'the old rows are whole');

# A delta adds to the file that is there; what it added, VACUUM finds.
is(query(sprintf $refresh, ", method => 'delta'"), 'failed||53100', 'delta: the disk is full');
is(holds(), '1|14000|14000', 'the old rows are whole');
is(query($sound), "0\n1", 'and sound');
($rc, $out, $err) = $node->psql('postgres', "SET ROLE whadmin; REFRESH MATERIALIZED VIEW $slice");
like($err, qr/No space left on device/, 'a REFRESH typed by a user fares no better');
is(holds(), '1|14000|14000', 'the old rows are whole');

# The cure.
query("VACUUM $slice");
cmp_ok(used(), '<=', $normal + 1, 'VACUUM gives the space back');
rows(15000);
is(query(sprintf $refresh, ''), 'loaded|delta|', 'the next run heals');
is(holds(), '1|15000|15000', 'all rows are there');
is(query($sound), "0\n1", 'and sound');

# The log itself: what cannot be written down is not done, and the caller hears
# why, from workers and without.
query(q{
ALTER TABLE _wh.extract_runs SET TABLESPACE small;
SELECT _wh.add_template('roomy', 'SELECT id, at, note FROM t WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz, note text', time_column => 'at');
SELECT count(*) FROM _wh.wh_refresh('roomy', 't1', '2024-01-01', '2024-01-02')});
my $roomy = 'SELECT count(*), max(id) FROM t1.roomy';
is(query($roomy), '15000|15000', 'a template on another disk');
$node->safe_psql('source', 'UPDATE t SET id = id + 100000');
query('CREATE TABLE filler (pad text) TABLESPACE small');
($rc, $out, $err) = $node->psql('postgres', q{INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 100000)});
like($err, qr/No space left on device/, 'the disk of the log is full');
for my $call ("SELECT * FROM _wh.wh_refresh('roomy', 't1', '2024-01-01', '2024-01-01', parallel => 0)", "CALL _wh.run_refresh('roomy', 't1', '2024-01-01', '2024-01-02')",
	"SELECT * FROM _wh.wh_refresh('roomy', 't1', '2024-01-01', '2024-01-02')", "SELECT _wh.update_mv_by_template('roomy', 't1', '2024-01-01')")
{
	# The log's last page has room for some rows.
	for my $try (1 .. 60)
	{
		($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
		last if $rc != 0;
	}
	like($err, qr/ERROR:  53100: could not extend file/, "$call: says that the disk is full");
}
query('DROP TABLE filler; CHECKPOINT');
like(query($roomy), qr/\A15000\|(?:15000|115000)\z/, 'the rows are whole, old or new');
query("SELECT count(*) FROM _wh.wh_refresh('roomy', 't1', '2024-01-01', '2024-01-02')");
is(query($roomy), '15000|115000', 'with room again, the next run loads');
is(query(q{SELECT * FROM _wh.wh_check() WHERE subject LIKE '%roomy%' OR invariant = 'run'}), '', 'and nothing is amiss');

$node->stop;
done_testing();
