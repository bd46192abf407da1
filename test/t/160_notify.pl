# Listeners of channel pg_warehouse hear of failures, of the first success after
# one, and of columns that changed at the source; with the commit, or not at all.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = loopback_node('notify');
my $template = 'q"u\\o<script>';

loopback_tenant($node, 'shop', 'UTC', q{CREATE TABLE sold AS SELECT 1 AS id, timestamptz '2024-01-02 00:00+00' AS at});
sub sql { return $node->safe_psql('postgres', $_[0]) }
sub at_source { return $node->safe_psql('src_shop', $_[0]) }

# What a session hears that listens and then does this.
sub heard
{
	my ($statements) = @_;
	my (undef, $out) = $node->psql('postgres', "LISTEN pg_warehouse;\n$statements\nSELECT 1;", on_error_stop => 0);

	return map { decode_json($_) } $out =~ /^Asynchronous notification "pg_warehouse" with payload "(.*)" received from/mg;
}

sub refresh
{
	my ($from, $to, $more) = @_;

	return "SELECT count(*) FROM _wh.wh_refresh('$template', 'shop', '$from', '$to'" . ($more // '') . ");";
}

sub events
{
	return join ' ', map { join ':', $_->{event}, $_->{period_start} // $_->{table} } @_;
}

sql(qq{SELECT _wh.add_template('$template', 'SELECT * FROM sold WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz', time_column => 'at')});
my $day = refresh('2024-01-02', '2024-01-02', ', parallel => 0');
my $days = refresh('2024-01-01', '2024-01-03');
is(events(heard($day)), '', 'a first success is nothing to tell');

# Failures, each of them; then the success that ends them, once.
at_source('ALTER TABLE sold RENAME TO gone');
my @heard = heard("$day $day");
is(events(@heard), 'failed:2024-01-02 failed:2024-01-02', 'every failure is told');
my $told = $heard[0];
is_deeply([ @$told{qw(template tenant table status sqlstate category)} ], [ $template, 'shop', "shop.$template", 'failed', '42P01', 'source' ], 'with names and SQLSTATE');
like($told->{message}, qr/relation "sold" does not exist/, 'and the message');
is(sql("SELECT status, period_start FROM _wh.extract_runs WHERE run_id = $told->{run_id}"), 'failed|2024-01-02', 'and its row of the log');
is(events(heard("BEGIN; $day ROLLBACK;")), '', 'what is rolled back is not told');
my @in_workers = heard($days);
is(join(' ', sort map { "$_->{event}:$_->{period_start}" } @in_workers), 'failed:2024-01-01 failed:2024-01-02 failed:2024-01-03', 'workers tell as well');
at_source('ALTER TABLE gone RENAME TO sold');
is(events(heard("CALL _wh.run_refresh('$template', 'shop', '2024-01-02', '2024-01-02');")), 'recovered:2024-01-02', 'the success after a failure is told');
is(events(heard($day)), '', 'once');

# Columns: what is refused is a failure, what is adapted to is told when it is new.
at_source('ALTER TABLE sold ADD COLUMN more text');
@heard = heard($day);
is(events(@heard) . " $heard[0]{sqlstate}", 'failed:2024-01-02 42804', 'drift that is refused fails');
sql(qq{SELECT _wh.alter_template('$template', on_drift => 'adapt')});
@heard = heard($day);
is(events(@heard), 'recovered:2024-01-02 drift:2024-01-02', 'drift that is adapted to is told');
like($heard[1]{changes}[0], qr/more/, 'with the column');
is(events(heard($day)), '', 'and not again while it stays the same');
at_source('ALTER TABLE sold ADD COLUMN even_more text');
is(events(heard($day)), 'drift:2024-01-02', 'more of it is told');

# More than PostgreSQL sends: cut, between characters, and still JSON.
at_source(q{CREATE FUNCTION boom() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING MESSAGE = repeat('"' || chr(233), 30000), HINT = repeat(E'\\\\', 30000); END $$;
	ALTER TABLE sold RENAME TO kept; CREATE VIEW sold AS SELECT boom() AS id, timestamptz '2024-01-02 00:00+00' AS at; GRANT SELECT ON sold TO PUBLIC});
@heard = heard($day);
is(events(@heard), 'failed:2024-01-02', 'a failure with a very long message is told');
like($heard[0]{message}, qr/^.{0,100}("\x{e9}){50,}"?\z/s, 'as much of it as fits');
cmp_ok(length(JSON::PP->new->utf8->encode($heard[0])), '<', 8000, 'which is less than 8,000 bytes');
cmp_ok(sql("SELECT length(error_message) FROM _wh.extract_runs WHERE run_id = $heard[0]{run_id}"), '>', length $heard[0]{message}, 'the log has more');
at_source('DROP VIEW sold; ALTER TABLE kept RENAME TO sold');
is(events(heard($day)), 'recovered:2024-01-02', 'it recovers');

# Maintenance is heard, too.
sql(q{INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
	VALUES ('nothing', 'shop', 'day', '2024-01-01', '2024-01-02', 'shop', 'nothing', 'loaded')});
is(events(heard('CALL _wh.run_maintenance();')), 'failed:maintenance.check', 'a step of maintenance that fails');
sql(q{DELETE FROM _wh.slices WHERE template_name = 'nothing'});
is(events(heard('CALL _wh.run_maintenance();')), 'recovered:maintenance.check', 'and that recovers');
is(events(heard('CALL _wh.run_maintenance();')), '', 'once');

done_testing();
