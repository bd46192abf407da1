# What the tests of layout expand share: three tenants of different zones whose
# days around the changes of their clocks, and the last few days, are loaded by
# the extension once per type of time column and layout, beside a plain table
# that holds the same rows.
package ExpandOracle;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use WarehouseTest;

our @EXPORT = qw(oracle_node kinds);

our %zones = (utc => 'UTC', ny => 'America/New_York', lh => 'Australia/Lord_Howe');

# The turn of a year, and the changes of the clocks of New York and Lord Howe.
my @windows = ([ '2023-12-31', '2024-01-01' ], [ '2024-03-09', '2024-03-11' ],
	[ '2024-04-06', '2024-04-08' ], [ '2024-11-02', '2024-11-04' ]);

# Per kind of time column: its type, how it comes from a row of the source, and
# how a template asks for a day of it.
my %kinds = (
	tz => [ 'timestamptz', 'at', 'at >= {DAY_START} AND at < {DAY_END}' ],
	ts => [ 'timestamp', 'wall', q{wall >= '{TARGET_DATE}'::date AND wall < '{TARGET_DATE}'::date + 1} ],
	dt => [ 'date', 'wall::date', q{wall::date = '{TARGET_DATE}'::date} ]);

sub kinds
{
	return sort keys %kinds;
}

# Write the source's rows: every three hours of the windows, a day more at
# either end, and the last days up to $now; one right at each midnight, one a
# microsecond before, and one each quarter of an hour while clocks may change.
sub source_rows
{
	my ($zone, $now) = @_;
	my $days = join ' UNION ALL ',
	  map { "SELECT generate_series(timestamp '$_->[0]' - interval '1 day', timestamp '$_->[1]' + interval '1 day', '1 day')" } @windows;

	return qq{
SELECT row_number() OVER (ORDER BY at) AS id, at, wall,
    's' || row_number() OVER (ORDER BY at) % 4 AS store,
    (row_number() OVER (ORDER BY at) % 97 * 1.25)::numeric(10,2) AS amount,
    CASE WHEN row_number() OVER (ORDER BY at) % 3 = 0 THEN row_number() OVER (ORDER BY at) + 5 END AS n
FROM (
    SELECT at, at AT TIME ZONE '$zone' AS wall
    FROM (
        WITH days(day) AS ($days
            UNION ALL SELECT generate_series(date_trunc('day', timestamptz '$now' AT TIME ZONE '$zone') - interval '4 days',
                                             timestamptz '$now' AT TIME ZONE '$zone', '1 day'))
        SELECT (day + hour * interval '3 hours') AT TIME ZONE '$zone' AS at FROM days, generate_series(0, 7) AS hour
        UNION SELECT day AT TIME ZONE '$zone' - interval '1 microsecond' FROM days
        UNION SELECT day AT TIME ZONE '$zone' + quarter * interval '15 minutes' FROM days, generate_series(-8, 18) AS quarter
            WHERE day IN ('2024-03-10', '2024-03-11', '2024-11-03', '2024-04-07')) AS instants
    WHERE at < '$now') AS rows};
}

# Start the warehouse.  Templates x_KIND have layout expand, u_KIND layout
# union; plain_KIND holds the rows; {zone}p_KIND what a tenant's view shows.
sub oracle_node
{
	my ($name, %more) = @_;
	my $node = loopback_node($name, %more);
	my $now = $node->safe_psql('postgres', 'SELECT now()');

	foreach my $tenant (sort keys %zones)
	{
		loopback_tenant($node, $tenant, $zones{$tenant}, 'CREATE TABLE src AS ' . source_rows($zones{$tenant}, $now));
	}
	foreach my $kind (kinds())
	{
		my ($type, $column, $filter) = @{ $kinds{$kind} };

		foreach my $layout ([ 'x', 'expand' ], [ 'u', 'union' ])
		{
			$node->safe_psql('postgres', qq{
SELECT _wh.add_template('$layout->[0]_$kind',
    \$\$SELECT id, $column AS t, store, amount, n FROM src WHERE $filter\$\$,
    'id bigint, t $type, store text, amount numeric(10,2), n bigint',
    \$\$CREATE INDEX {view_name}_t ON {schema}.{view_name} (t)\$\$,
    time_column => 't', options => '{"view_layout": "$layout->[1]"}')});
		}
	}
	$node->safe_psql('postgres', "CALL _wh.run_refresh(NULL, NULL, '$_->[0]', '$_->[1]')") foreach @windows;
	$node->safe_psql('postgres', "CALL _wh.run_refresh(NULL, NULL, (timestamptz '$now' AT TIME ZONE 'UTC')::date - 2)");

	# The ledger is real; the plain rows come from the sources' own text.
	foreach my $kind (kinds())
	{
		my ($type, $column) = @{ $kinds{$kind} };
		my $all = join ' UNION ALL ', map { "SELECT id, ($column)::$type AS t, store, amount, n, '$_'::text AS schema_name, wall::date AS day FROM ("
			  . source_rows($zones{$_}, $now) . ") AS $_" } sort keys %zones;

		$node->safe_psql('postgres', qq{
CREATE TABLE plain_$kind AS
SELECT id, t, store, amount, n, schema_name FROM ($all) AS a
WHERE EXISTS (SELECT FROM _wh.slices AS s WHERE s.template_name = 'u_$kind' AND s.tenant_name = a.schema_name AND s.period_start = a.day);
CREATE VIEW plain_ny_$kind AS SELECT id, t, store, amount, n FROM plain_$kind WHERE schema_name = 'ny'});
	}

	return $node;
}

1;
