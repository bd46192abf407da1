# The archive in a bucket, at a real S3 server (OpenStack Swift): what it
# refuses and why is told, what passes is waited for, and whatever it or the
# network does not do, a cancel ends it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HostileServer;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SwiftServer;
use Test::More;
use Time::HiRes qw(sleep time);
use WarehouseTest;

plan skip_all => SwiftServer->why_not if SwiftServer->why_not;

my $dir = scratch_dir();
my $keys = 'wh:tester:testing';
my $ca = make_ca($dir);

mkdir "$dir/swift";
my $swift = SwiftServer->new("$dir/swift");
my $node = loopback_node('warehouse', conf => qq{
pg_warehouse.key_file = '$dir/ring.key'
pg_warehouse.s3_endpoint = 'http://127.0.0.1:${\ $swift->port}'
pg_warehouse.s3_bucket = 'archive'
pg_warehouse.s3_prefix = 'ware/house=1'
log_min_messages = fatal
});
$node->safe_psql('postgres', 'SELECT _wh.create_key()');

# Change settings of the server, and wait until new sessions have them.
sub set
{
	my (%settings) = @_;

	foreach my $name (sort keys %settings)
	{
		$node->safe_psql('postgres', "ALTER SYSTEM SET pg_warehouse.$name = '$settings{$name}'");
	}
	$node->reload;
	foreach my $name (sort keys %settings)
	{
		$node->poll_query_until('postgres', "SELECT current_setting('pg_warehouse.$name') = '$settings{$name}'")
		  or die "pg_warehouse.$name does not change";
	}

	return;
}

sub point_at { return set(s3_endpoint => "http://127.0.0.1:$_[0]") }

# What giving these keys, and trying them, comes to.
sub probe
{
	my ($given, $settings) = @_;
	local $ENV{PGOPTIONS} = '-c log_statement=none';
	my ($rc, $out, $err) = $node->psql('postgres',
		($settings // '') . "\\set VERBOSITY verbose\nSELECT _wh.rotate_password('archive:s3', '$given');");

	return $rc == 0 ? 'fine' : $err =~ s/.*?ERROR:  //sr;
}

# Run a query that hangs; end it by $function; it must be gone in a second.
sub ends_at_once
{
	my ($name, $query, $function, $pattern) = @_;
	my ($out, $err) = ('', '');
	my $victim = "victim $name";
	local $ENV{PGOPTIONS} = '-c log_statement=none';
	my $psql = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') . " application_name='$victim'", '-c', $query ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));

	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '$victim' AND state = 'active' AND wait_event_type = 'Extension'")
	  or die 'the query does not wait for the archive';
	sleep 0.2;
	my $start = time;
	$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = '$victim'");
	$psql->finish;
	my $took = time - $start;
	ok($took < 1, "$name: $function took " . sprintf('%.2f s', $took));
	like($err, $pattern, "$name: and was heard");

	return;
}

# Each thing that can be wrong about the bucket is told apart.
like(probe($keys), qr/^42704: bucket "archive" does not exist.*NoSuchBucket.*HINT:  Make it at the server/s, 'no bucket');
is($swift->request('PUT', '/archive')->{status}, 200, 'the bucket is made');
is(probe($keys), 'fine', 'the right keys');
is_deeply([ $swift->objects('archive') ], [], 'nothing is left of trying them');

my $set_keys = qr/HINT:  SELECT _wh.set_tenant_password\('archive:s3', 'KEYID:SECRET'\);/;
my $sealed = $node->safe_psql('postgres', 'SELECT nonce FROM _wh.sealed_secrets');
like(probe('wh:tester:wrong'), qr/^28P01: the archive's server refuses the keys for bucket "archive".*SignatureDoesNotMatch.*$set_keys/s, 'wrong secret');
like(probe('wh:nobody:testing'), qr/^28P01: .*(?:InvalidAccessKeyId|SignatureDoesNotMatch)/s, 'unknown key id');
like(probe('wh:guest:visiting'), qr/^42501: could not write archive file "probe\/\w+": the archive's server denies it.*AccessDenied/s, 'keys that may not');
is($node->safe_psql('postgres', 'SELECT nonce FROM _wh.sealed_secrets'), $sealed, 'keys that do not work replace none');
like(probe('nonsense'), qr/^22023: keys of the archive must be a key id, a colon and a secret key/, 'no pair of keys');

set(s3_region => 'eu-nowhere-1');
like(probe($keys), qr/^22023: bucket "archive" is not in region "eu-nowhere-1".*HINT:.*s3_region = 'us-east-1'/s, 'wrong region');
set(s3_region => 'us-east-1');

point_at($swift->proxy('skewed', under => [ 'faketime', '--exclude-monotonic', '-f', '+2h' ]));
like(probe($keys), qr/^55000: the archive's server takes the clock of this one to be wrong.*the clock there is at \d{4}-.*, here at \d{4}-/s, 'clocks too far apart');

# TLS: the server's certificate is ours, or nobody's.
my $tls = $swift->proxy('tls', settings => "cert_file = $dir/server.crt\nkey_file = $dir/server.key\n");
set(s3_endpoint => "https://localhost:$tls");
like(probe($keys), qr/^08001: could not trust the archive's server.*certificate/s, 'an authority that nobody knows');
set(sslrootcert => $ca);
is(probe($keys), 'fine', 'a certificate of the authority that is named');
set(s3_endpoint => "https://127.0.0.1:$tls");
like(probe($keys), qr/^08001: could not trust/, 'a certificate for another host');
set(s3_endpoint => "https://127.0.0.1:${\ $swift->port}");
like(probe($keys), qr/^08001: could not connect/, 'no TLS there');

# Nobody there, and peers that say nothing: deadlines, and cancel before them.
point_at(1);
like(probe($keys), qr/^08001: could not connect to the archive's server.*Connection refused/s, 'nobody listens');
my $short = "SET pg_warehouse.connect_timeout = '300ms'; SET pg_warehouse.no_progress_timeout = '300ms';\n";
my $rotate = "SELECT _wh.rotate_password('archive:s3', '$keys')";
my $silent = HostileServer->silent;
my $nowhere = HostileServer->unreachable;
foreach my $peer ([ $silent, 'silent', qr/^08006: .*did nothing for 300 ms/s ],
	[ $nowhere, 'unreachable', qr/^08001: .*No answer within pg_warehouse.connect_timeout/s ])
{
	my ($server, $name, $expected) = @$peer;

	point_at($server->port);
	ends_at_once($name, $rotate, 'pg_cancel_backend', qr/canceling statement due to user request/);
	ends_at_once($name, $rotate, 'pg_terminate_backend', qr/terminating connection due to administrator command/);
	my $start = time;
	like(probe($keys, $short), $expected, "$name: deadline");
	ok(time - $start < 5, "$name: deadline in time");
}
$silent->stop;

# What passes is waited for; what does not, not for ever.
my $count = "$dir/asked";
sub asked
{
	open(my $fh, '<', $count) or return 0;
	my $n = () = <$fh>;
	unlink $count;

	return $n;
}

sub answering
{
	my ($times, $answer) = @_;

	return HostileServer->relay($swift->port, sub {
		my ($bytes, $from_client, $number, $state, $client) = @_;

		return $bytes unless $from_client && $number <= $times;
		append_to_file($count, "$number\n");
		syswrite($client, $answer);
		return undef;
	});
}

my $failing = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
my $slow_down = "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please &lt;wait&gt;\nor not</Message></Error>";
$slow_down = "HTTP/1.1 503 Slow Down\r\nContent-Length: " . length($slow_down) . "\r\nConnection: close\r\n\r\n$slow_down";
my $teapot = "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbrew";
my $full = "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

foreach my $case ([ 1, $failing, 'a failure that passes', qr/^fine$/, 1 ],
	[ 2, $slow_down, 'two that pass', qr/^fine$/, 2 ],
	[ 99, $failing, 'failing for ever', qr/^58030: could not write archive file "probe\/\w+": the archive's server failed.*HTTP status 500. Tried 5 times/s, 5 ],
	[ 99, $slow_down, 'busy for ever', qr/^58030: .*SlowDown: Please <wait>\s+Tried 5 times/s, 5 ],
	[ 99, $teapot, 'no S3 there', qr/^58030: .*HTTP status 418/s, 1 ],
	[ 99, $full, 'full', qr/^53100: .*has no room for it/s, 1 ],
	[ 1, '', 'a connection that is cut', qr/^fine$/, 1 ],
	[ 99, '', 'cut for ever', qr/^08006: .*the connection to the archive's server was lost/s, 5 ],
	[ 99, "SSH-2.0-OpenSSH_9.2\r\n", 'no HTTP there', qr/^08001: could not connect/s, 5 ])
{
	my ($times, $answer, $name, $expected, $tries) = @$case;
	my $proxy = answering($times, $answer);

	point_at($proxy->port);
	like(probe($keys), $expected, $name);
	is(asked(), $tries, "$name: asked so often");
	$proxy->stop;
}

# Nobody is sent elsewhere with what was meant for the bucket.
{
	my $elsewhere = answering(99, $failing);
	my $proxy = answering(99, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:${\ $elsewhere->port}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

	point_at($proxy->port);
	like(probe($keys), qr/^22023: bucket "archive" is not in region/, 'a redirection is not followed');
	is(asked(), 1, 'and nobody else is asked');
	$_->stop for $elsewhere, $proxy;
}

# A body that does not end is not kept, nor waited for.
{
	my $proxy = HostileServer->relay($swift->port, sub {
		my ($bytes, $from_client, $number, $state, $client) = @_;

		return $bytes unless $from_client;
		syswrite($client, "HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000000000\r\n\r\n");
		while (syswrite($client, 'x' x 65536)) { }
		return undef;
	});

	point_at($proxy->port);
	like(probe($keys), qr/^42501: /, 'an answer without an end');
	$proxy->stop;
}

# ---- extracts go there, and come back
set(s3_endpoint => "https://localhost:$tls");
is(probe($keys), 'fine', 'the bucket again');
loopback_tenant($node, 't', 'UTC', q{
CREATE TABLE events (id integer PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO events SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '10 seconds', encode(sha512(i::text::bytea), 'base64') FROM generate_series(1, 40000) AS i});
query(q{
SELECT _wh.add_template('events', $$SELECT id, at, note FROM events WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text', time_column => 'at', key_columns => '{id}', options => '{"archive": true}')});

sub query { return $node->safe_psql('postgres', $_[0]) }

sub refresh
{
	my ($day, $settings) = @_;

	return query(($settings // '') . "SELECT status, rows, sqlstate FROM _wh.wh_refresh('events', 't', '$day', '$day')");
}

# The last run: where its extract is, and what the log says of the archive.
sub last_run
{
	return query(q{SELECT status, split_part(csv_path, '/', 1), sqlstate, error_category, context ? 'not_archived'
FROM _wh.extract_runs WHERE template_name = 'events' ORDER BY run_id DESC LIMIT 1});
}

# What is in the bucket, without what differs each time.
sub archived
{
	return join ' ', map { s/\d{8}T\d{6}Z_\d+/RUN/r =~ s/ \d+$//r } $swift->objects('archive');
}

my $processed = 'ware/house=1/processed/t/events/RUN.csv.zst';
is(refresh('2024-01-01'), 'loaded|8639|', 'a day is loaded');
is(last_run(), 'loaded|processed|||f', 'and its extract moved');
is(archived(), $processed, 'in the bucket');
is(query(q{SELECT status FROM _wh.wh_doctor() WHERE check_name = 'archive'}), 'ok', 'the doctor finds nothing');
query(q{DROP MATERIALIZED VIEW t.events_2024_01_01});
is(query(q{SELECT r ->> 'status', r ->> 'rows' FROM _wh.replay((SELECT max(run_id) FROM _wh.extract_runs WHERE template_name = 'events')) AS r}),
	'loaded|8639', 'replayed from there');
is(query(q{SELECT count(*) FROM t.events_2024_01_01}), '8639', 'all of it');

# Cut in the middle of the upload: once, and then each time.
sub cutting
{
	my ($times) = @_;

	return HostileServer->relay($swift->port, sub {
		my ($bytes, $from_client, $number, $state) = @_;

		$state->{seen} += length $bytes if $from_client;
		if ($from_client && $state->{seen} > 100_000)
		{
			append_to_file($count, "$number\n");
			return undef if $number <= $times;
		}
		return $bytes;
	});
}

foreach my $case ([ 1, '2024-01-02', 'loaded|8640|', 'loaded|processed|||f', "$processed $processed" ],
	[ 99, '2024-01-03', 'loaded|8640|', 'loaded||||t', "$processed $processed" ])
{
	my ($times, $day, $expected, $run, $objects) = @$case;
	my $proxy = cutting($times);

	point_at($proxy->port);
	query(q{SET log_statement = none; COPY _wh.tenant_password_entry FROM STDIN;} . "\narchive:s3\t$keys\n\\.\n");
	is(refresh($day), $expected, "cut $times times: loaded");
	is(last_run(), $run, "cut $times times: the log");
	cmp_ok(asked(), '>', 0, "cut $times times: so it was");
	is(archived(), $objects, "cut $times times: the bucket");
	$proxy->stop;
}

# Where the archive is required nothing is loaded without it; the failure is
# the archive's, and a cancel in the middle of an upload is the user's.
query(q{SELECT _wh.alter_template('events', options => '{"archive": true, "archive_required": true}')});
{
	my $proxy = cutting(99);

	point_at($proxy->port);
	query("COPY _wh.tenant_password_entry FROM STDIN;\narchive:s3\t$keys\n\\.\n");
	is(refresh('2024-01-04'), 'failed||08006', 'required and cut: failed');
	is(last_run(), 'failed||08006|storage|', 'by the archive, says the log');
	is(query(q{SELECT to_regclass('t.events_2024_01_04') IS NULL}), 't', 'nothing is loaded');
	$proxy->stop;
}
{
	my $stalling = HostileServer->relay($swift->port, sub {
		my ($bytes, $from_client, $number, $state) = @_;

		$state->{seen} += length $bytes if $from_client;
		sleep 600 if $from_client && $state->{seen} > 100_000;
		return $bytes;
	});

	point_at($stalling->port);
	query("COPY _wh.tenant_password_entry FROM STDIN;\narchive:s3\t$keys\n\\.\n");
	ends_at_once('stalling upload', q{SET pg_warehouse.max_workers = 0; SELECT _wh.create_mv_from_template('events', 't', target_date => '2024-01-04')},
		'pg_cancel_backend', qr/canceling statement due to user request/);
	is(refresh('2024-01-04', "SET pg_warehouse.no_progress_timeout = '500ms';"), 'failed||08006', 'a deadline for an upload');
	$stalling->stop;
}
point_at($swift->port);
query("COPY _wh.tenant_password_entry FROM STDIN;\narchive:s3\t$keys\n\\.\n");
is(refresh('2024-01-04'), 'loaded|8640|', 'and then it works');
is(archived(), "$processed $processed $processed", 'three extracts');

# Slow, and in small pieces, is no failure.
{
	my $slow = HostileServer->relay($swift->port, sub { sleep 0.02; return $_[0] });

	point_at($slow->port);
	query("COPY _wh.tenant_password_entry FROM STDIN;\narchive:s3\t$keys\n\\.\n");
	is(refresh('2024-01-05', "SET pg_warehouse.no_progress_timeout = '2s';"), 'loaded|5441|', 'a slow way');
	is(last_run(), 'loaded|processed|||f', 'ends well');
	$slow->stop;
}

done_testing();
