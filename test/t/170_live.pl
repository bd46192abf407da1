# Live templates over real servers: what the source has is there with the next
# query, conditions and limits are its own work, a source that is down or has
# another password harms nobody else; cached and back under readers; restored.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my %source = map { $_ => tenant_node("source_$_", $dir, 'pw-zero') } qw(a b);
for my $node (values %source)
{
	$node->safe_psql('postgres', 'CREATE DATABASE app');
	$node->safe_psql('app', q{
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, city text NOT NULL, changed timestamptz NOT NULL DEFAULT now());
INSERT INTO customers SELECT i, 'customer ' || i, 'city ' || i % 10 FROM generate_series(1, 20000) AS i;
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL, amount numeric(10,2) NOT NULL);
INSERT INTO orders SELECT i, i % 20000 + 1, i FROM generate_series(1, 40000) AS i;
CREATE INDEX ON orders (customer_id);
ANALYZE;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_src});
}

my $warehouse = warehouse_node('warehouse', $ca, conf => q{
max_worker_processes = 16
log_statement = none
});
$warehouse->safe_psql('postgres', 'CREATE EXTENSION postgres_fdw; SELECT _wh.drop_template($$foodlogstats$$)');

sub sql { return $warehouse->safe_psql('postgres', $_[0]) }
sub as_reader { return sql("SET ROLE phood_ro; $_[0]") }

# What a source's server was sent by a query.
sub sent
{
	my ($node, $sql) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', q{ALTER ROLE wh_src SET log_statement = 'all'});
	my $out = as_reader($sql);
	$node->safe_psql('postgres', 'ALTER ROLE wh_src RESET log_statement');

	return ($out, slurp_file($node->logfile, $offset));
}

sub fails
{
	my ($name, $message, $sql) = @_;
	my ($rc, $out, $err) = $warehouse->psql('postgres', $sql);

	isnt($rc, 0, $name);
	like($err, $message, "$name: told why");
	return;
}

sub refresh
{
	my ($template, $tenant) = @_;

	return sql("SET ROLE whadmin; SELECT status, sqlstate FROM _wh.wh_refresh('$template'"
		  . (defined $tenant ? ", '$tenant'" : '') . ") ORDER BY tenant_name");
}

# ---- two tenants on two servers, each with its bridge
for my $t (qw(a b))
{
	add_tenant($warehouse, "tenant_$t", $source{$t}, 'app', 'pw-zero');
	sql("SELECT _wh.create_bridge('bridge_$t', 'localhost', 'app', 'wh_src', " . $source{$t}->port . ')');
}
sql(q{
SET ROLE whadmin;
SELECT _wh.add_template('customers_live', 'SELECT id, name, city, changed FROM customers',
    'id integer, name text, city text, changed timestamptz', materialization => 'live')});
is(refresh('customers_live', 'tenant_a'), 'failed|55000', 'a bridge that waits for its password is no way');
like(sql("SELECT error_message FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1"), qr/bridge "bridge_a"/, 'and is named');
sql("SELECT _wh.rotate_password('bridge_$_', 'pw-zero')") for qw(a b);
is(refresh('customers_live'), "loaded|\nloaded|", 'two views');
is(sql("SELECT count(umoptions) FROM pg_user_mappings WHERE usename = 'phood_ro'"), '0', 'readers have no mapping');
is(as_reader('SELECT schema_name, count(*) FROM public.customers_live GROUP BY 1 ORDER BY 1'),
	"tenant_a|20000\ntenant_b|20000", 'and read both');

# ---- at once
$source{a}->safe_psql('app', q{UPDATE customers SET name = 'changed' WHERE id = 5; INSERT INTO customers VALUES (30000, 'new', 'city 1'); DELETE FROM customers WHERE id = 6});
is(as_reader('SELECT id, name FROM tenant_a.customers_live WHERE id IN (5, 6, 30000) ORDER BY id'), "5|changed\n30000|new",
	'updated, inserted, deleted: at once');

# ---- the source does the work
my ($out, $log) = sent($source{a}, 'SELECT name FROM tenant_a.customers_live WHERE id = 7');
is($out, 'customer 7', 'by key');
like($log, qr/SELECT name FROM public\.customers WHERE \(\(id = 7\)\)/, 'the condition was sent');
($out, $log) = sent($source{a}, "SELECT id FROM tenant_a.customers_live WHERE city = 'city 3' ORDER BY id LIMIT 2");
is($out, "3\n13", 'the first two');
like($log, qr/WHERE \(\(city = 'city 3'\)\) ORDER BY id ASC NULLS LAST LIMIT 2/, 'condition, order and limit were sent');
($out, $log) = sent($source{a}, 'SELECT count(*) FROM tenant_a.customers_live');
like($log, qr/SELECT count\(\*\) FROM public\.customers/, 'so was an aggregate');
($out, $log) = sent($source{a}, "SELECT name FROM public.customers_live WHERE schema_name = 'tenant_a' AND id = 8 LIMIT 1");
is($out, 'customer 8', 'over the public view');
like($log, qr/WHERE \(\(id = 8\)\) LIMIT 1/, 'the same');
($out, $log) = sent($source{b}, "SELECT name FROM public.customers_live WHERE schema_name = 'tenant_a' AND id = 8");
unlike($log, qr/customers/, 'and the other source heard nothing');
sql(q{
SET ROLE whadmin;
SELECT _wh.add_template('totals_live', 'SELECT c.id, c.name, o.amount FROM customers c JOIN orders o ON o.customer_id = c.id',
    'id integer, name text, amount numeric(10,2)', materialization => 'live')});
is(refresh('totals_live'), "loaded|\nloaded|", 'a join of two relations of the source');
($out, $log) = sent($source{a}, 'SELECT amount FROM tenant_a.totals_live WHERE id = 9 ORDER BY amount');
is($out, "8.00\n20008.00", 'its rows');
like($log, qr/FROM \(public\.customers \w+ INNER JOIN public\.orders \w+ ON/, 'joined there');
is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant_a__src'::regnamespace"), '2', 'both templates read one foreign table of customers');

# ---- many live templates of one tenant at once, in workers: one table for all
sql('SET ROLE whadmin; ' . join(' ', map {
	"SELECT _wh.add_template('many_$_', 'SELECT id, customer_id FROM orders WHERE id % 7 = $_', 'id integer, customer_id integer', materialization => 'live', tenants => '{tenant_b}');"
} 1 .. 6));
sql("DROP VIEW tenant_b.totals_live; DROP FOREIGN TABLE tenant_b__src.orders");
is(sql("SET ROLE whadmin; SET pg_warehouse.max_workers = 4; SELECT count(*), min(status) FROM _wh.wh_refresh(tenant => 'tenant_b')"), '8|loaded',
	'side by side they agree on one foreign table');
is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant_b__src'::regnamespace"), '2', 'and made it once');
is(sql('SELECT (SELECT count(*) FROM tenant_b.many_1) + (SELECT count(*) FROM tenant_b.many_6)'), '11429', 'which each of them reads');
sql("SET ROLE whadmin; SELECT _wh.drop_template('many_' || i, drop_data => true) FROM generate_series(1, 6) AS i");

# ---- a source that is down fails those who read it, and nobody else
$source{b}->stop('fast');
is(as_reader('SELECT count(*) FROM tenant_a.customers_live'), '20000', 'the other tenant does not notice');
is(as_reader("SELECT count(*) FROM public.customers_live WHERE schema_name = 'tenant_a'"), '20000', 'nor who asks for it alone');
fails('who reads the dead one', qr/could not connect to server "bridge_b"/, 'SET ROLE phood_ro; SELECT count(*) FROM tenant_b.customers_live');
fails('who reads all', qr/could not connect to server "bridge_b"/, 'SET ROLE phood_ro; SELECT count(*) FROM public.customers_live');
is(refresh('customers_live'), "loaded|\nfailed|08001", 'a refresh says so');
is(sql("SELECT tenant_name, state FROM _wh.v_coverage WHERE template_name = 'customers_live' ORDER BY 1"), "tenant_a|fresh\ntenant_b|failed", 'and coverage');
$source{b}->start;
is(as_reader('SELECT count(*) FROM public.customers_live'), '40000', 'back again without a refresh');
is(refresh('customers_live', 'tenant_b'), 'loaded|', 'which is well, too');
is(sql("SELECT state FROM _wh.v_coverage WHERE template_name = 'customers_live' AND tenant_name = 'tenant_b'"), 'fresh', 'fresh');

# ---- the password is rotated under running queries
my $reader = $warehouse->background_psql('postgres', on_error_stop => 1);
$reader->query_safe('SET ROLE phood_ro; BEGIN; DECLARE c CURSOR FOR SELECT id FROM tenant_a.customers_live; FETCH 1 FROM c;');
for my $n (1 .. 3)
{
	$source{a}->safe_psql('postgres', "ALTER ROLE wh_src PASSWORD 'pw-$n'");
	sql("SELECT _wh.rotate_password('bridge_a', 'pw-$n')");
	is(as_reader("SELECT name FROM tenant_a.customers_live WHERE id = 5"), 'changed', "a new session after rotation $n");
}
like($reader->query_safe('\\unset QUIET
MOVE ALL FROM c; COMMIT;'), qr/MOVE 19999/, 'the open cursor gives every row');
like($reader->query_safe('SELECT count(*) FROM tenant_a.customers_live;'), qr/^20000$/m, 'and its session goes on');
$reader->quit;
$source{a}->safe_psql('postgres', q{ALTER ROLE wh_src PASSWORD 'pw-elsewhere'});
is(refresh('customers_live', 'tenant_a'), 'failed|28P01', 'changed at the source only: a refresh says what is wrong');
sql("SELECT _wh.rotate_password('bridge_a', 'pw-elsewhere')");
is(refresh('customers_live', 'tenant_a'), 'loaded|', 'and the bridge is mended by its own means');
sql("SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\tpw-elsewhere\n\\.\n");

# ---- cached and back under readers, who notice nothing
sql('GRANT SELECT ON tenant_a.customers_live TO wh_monitor');
append_to_file("$dir/read.sql", "\\sleep 100 ms\nSELECT count(*) FROM public.customers_live WHERE schema_name = 'tenant_a' AND id BETWEEN 100 AND 199;\n");
my ($told, $wrong) = ('', '');
my $readers = IPC::Run::start([ 'pgbench', '-n', '-T', '600', '-c', '2', '-f', "$dir/read.sql", '-h', $warehouse->host, '-p', $warehouse->port, '-U', 'phood_ro', 'postgres' ],
	'>', \$told, '2>', \$wrong);
for my $round (1 .. 2)
{
	sql(q{SET ROLE whadmin; SELECT _wh.alter_template('customers_live', materialization => 'snapshot', options => '{"freshness_target": "1 hour"}')});
	is(refresh('customers_live', 'tenant_a'), 'loaded|', "round $round: cached");
	is(sql("SELECT relkind FROM pg_class WHERE oid = 'tenant_a.customers_live'::regclass"), 'm', 'rows are kept here');
	$source{a}->safe_psql('app', "UPDATE customers SET name = 'round $round' WHERE id = 5");
	isnt(as_reader('SELECT name FROM tenant_a.customers_live WHERE id = 5'), "round $round", 'as they were');
	is(as_reader("SELECT count(*) FROM public.customers_live WHERE schema_name = 'tenant_b'"), '20000', 'while the other tenant is live yet');
	sql(q{SET ROLE whadmin; SELECT _wh.alter_template('customers_live', materialization => 'live')});
	is(refresh('customers_live', 'tenant_a'), 'loaded|', 'live again');
	is(as_reader('SELECT name FROM tenant_a.customers_live WHERE id = 5'), "round $round", 'as they are');
	is(sql("SELECT has_table_privilege('wh_monitor', 'tenant_a.customers_live', 'SELECT')"), 't', 'grants stay');
}
ok($readers->pumpable, 'the readers are at it yet') or diag($wrong);
$readers->signal('TERM');
$readers->finish;
unlike($wrong, qr/ERROR|aborted/, 'and have met no error');

# ---- what a restored copy has
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$copy->append_conf('postgresql.conf', "pg_warehouse.key_file = '" . $warehouse->basedir . "/pg_warehouse.key'\npg_warehouse.sslrootcert = '$ca'\n");
$copy->start;
$copy->safe_psql('postgres', 'CREATE ROLE whadmin LOGIN; CREATE ROLE phood_ro LOGIN; CREATE ROLE wh_monitor LOGIN; GRANT pg_read_all_stats TO wh_monitor; CREATE DATABASE restored');
$warehouse->command_ok([ 'pg_dump', '-f', "$dir/dump.sql", $warehouse->connstr('postgres') ], 'pg_dump');
$copy->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump.sql", $copy->connstr('restored') ], 'restores');
my $parts = q{SELECT c.oid::regclass, relkind, relowner::regrole, relacl, ftoptions FROM pg_class AS c LEFT JOIN pg_foreign_table ON ftrelid = c.oid
	WHERE relnamespace::regnamespace::text LIKE 'tenant%' ORDER BY relnamespace::regnamespace::text, relname};
is($copy->safe_psql('restored', $parts), $warehouse->safe_psql('postgres', $parts), 'views, foreign tables, grants');
is($copy->safe_psql('restored', 'SET ROLE phood_ro; SELECT name FROM tenant_a.customers_live WHERE id = 5'), 'round 2',
	'a query on a live view is PostgreSQL\'s own, and reads the source');
my $try = "SET ROLE whadmin; SELECT status, sqlstate, coalesce(method, '') FROM _wh.wh_refresh('customers_live') ORDER BY tenant_name";
is($copy->safe_psql('restored', $try), "failed|55000|\nfailed|55000|", 'a refresh waits until the copy is adopted');
$copy->safe_psql('restored', 'SELECT _wh.adopt_instance()');
is($copy->safe_psql('restored', $try), "loaded||live\nloaded||live", 'then it is one');
is($copy->safe_psql('restored', "SELECT DISTINCT context ->> 'reason' FROM _wh.extract_runs WHERE status = 'loaded' AND method = 'live' AND run_started_at > (SELECT adopted_at FROM _wh.settings)"),
	'foreign tables and view are as they should be', 'and finds nothing to mend');
is($copy->safe_psql('restored', 'SELECT count(*) FROM _wh.wh_check()'), '0', 'nothing is lost');
$copy->stop;

# ---- how dear the view is: one row by its key, planned each time
sql(q{
CREATE FUNCTION lookup_ms(relation text, n integer) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE begun timestamptz := clock_timestamp(); found text;
BEGIN
	FOR i IN 1 .. n LOOP
		EXECUTE format('SELECT name FROM %s WHERE id = %s', relation, 100 + i) INTO STRICT found;
	END LOOP;
	RETURN extract(epoch FROM clock_timestamp() - begun) * 1000 / n;
END $$});
my $figures = sql(q{
SET ROLE whadmin;
WITH rounds AS MATERIALIZED (
	SELECT lookup_ms('tenant_a__src.customers', 300) AS bare, lookup_ms('tenant_a.customers_live', 300) AS live FROM generate_series(1, 9))
SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY bare)::numeric, 3), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY live)::numeric, 3),
	round((percentile_cont(0.5) WITHIN GROUP (ORDER BY live) / percentile_cont(0.5) WITHIN GROUP (ORDER BY bare))::numeric, 2) FROM rounds});
like($figures, qr/^[\d.]+\|[\d.]+\|[\d.]+$/, 'point lookups were timed');
my ($bare, $live, $ratio) = split /\|/, $figures;
diag("measured: one row by its key: bare foreign table $bare ms, tenant's view $live ms, ratio $ratio (target <= 1.2)");

done_testing();
