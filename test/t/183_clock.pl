# The clock of the warehouse was forty days ahead and is set back: what was
# loaded stays, days are loaded as before, and nobody waits for the false time to
# come.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
plan skip_all => 'libfaketime is not installed' unless $faketime;

# Without workers: libfaketime is blind to what a signal handler forks.
my $node;
{
	local $ENV{LD_PRELOAD} = $faketime;
	local $ENV{FAKETIME} = '+40d';
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	$node = loopback_node('clock', conf => "pg_warehouse.max_workers = 0\ntimezone = 'UTC'\n");
}
sub sql { return $node->safe_psql('postgres', $_[0]) }

# The source has rows of each hour, of the true days and the false ones.
loopback_tenant($node, 'shop', 'UTC', q{CREATE TABLE sold AS SELECT (row_number() OVER ())::integer AS id, at
FROM generate_series(date_trunc('day', now()) - interval '60 days', date_trunc('day', now()) + interval '1 day', interval '1 hour') AS at});
sql(q{SELECT _wh.add_template('sales', 'SELECT id, at FROM sold WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz', time_column => 'at');
SELECT _wh.add_template('whole', 'SELECT id, at FROM sold', 'id integer, at timestamptz', materialization => 'snapshot')});
my $ahead = sql('SELECT current_date');
is(sql(q{SELECT status, count(*), min(message) FROM _wh.wh_refresh('sales', from_date => current_date - 45) GROUP BY 1}), 'loaded|46|', 'days are loaded while the clock is ahead');
is(sql(q{SELECT status FROM _wh.wh_refresh('whole')}), 'loaded', 'and a snapshot');
my $rows = 'SELECT count(*), md5(string_agg(id::text, $$,$$ ORDER BY id)) FROM shop.sales';
my $before = sql($rows);

$node->stop;
$node->start;
is(sql("SELECT date '$ahead' - current_date BETWEEN 39 AND 41"), 't', 'the clock is set back');
is(sql($rows), $before, 'every row is there');
is(sql('SELECT * FROM _wh.wh_check()'), '', 'nothing is amiss');
is(sql(q{SELECT h ->> 'status', h ->> 'ok', h ->> 'lost' FROM _wh.wh_health() AS h}), 'ok|2|0', 'its health is good');
is(sql(q{SELECT DISTINCT state, lag < interval '0' FROM _wh.v_table_freshness}), 'ok|t', 'loads of the future are fresh');
is(sql(q{SELECT max(day) = current_date FROM _wh.v_coverage WHERE template_name = 'sales'}), 't', 'coverage ends today');
sql($_) for 'SELECT * FROM _wh.wh_status()', 'SELECT _wh.wh_statistics()', 'SELECT _wh.wh_metrics()', 'SELECT _wh.wh_report_html()', 'SELECT * FROM _wh.sync_status';

# What is asked for today is today's, whatever the false clock has loaded.
$node->safe_psql('src_shop', q{INSERT INTO sold SELECT 1000000, date_trunc('day', now())});
is(sql(q{SELECT count(*) FROM _wh.wh_refresh('sales') WHERE status = 'loaded' AND period_start = current_date}), '1', 'today is loaded');
sql(q{CALL _wh.run_refresh()});
is(sql(q{SELECT count(*) FROM shop.sales WHERE id = 1000000}), '1', 'with its new row');
is(sql(q{SELECT row_count = (SELECT count(*) FROM shop.whole) FROM _wh.slices WHERE template_name = 'whole'}), 't', 'and so is the snapshot');
my ($rc, undef, $err) = $node->psql('postgres', q{SELECT * FROM _wh.wh_refresh('sales', from_date => current_date + 3, to_date => current_date + 3)});
isnt($rc, 0, 'a day that is in the future now is refused');
sql('CALL _wh.run_maintenance()');
is(sql(q{SELECT status FROM _wh.extract_runs WHERE table_name LIKE 'maintenance.%' AND status <> 'loaded'}), '', 'maintenance goes through');
is(sql(q{SELECT check_name, detail FROM _wh.wh_doctor() WHERE status = 'error' AND check_name !~ 'cron'}), '', 'the doctor finds no error');
is(sql('SELECT * FROM _wh.wh_check()'), '', 'nothing is amiss after all this');

$node->stop;
done_testing();
