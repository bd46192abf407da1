# The wire against peers that misbehave: whatever one does or does not do, a
# cancel and a termination end the fetch within a second, a stream that was
# cut, stalled or changed never passes for a slice, and memory stays bounded.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HostileServer;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WarehouseTest;

my $node = warehouse_node('wire', '', conf => "listen_addresses = '127.0.0.1'\nlog_min_messages = fatal\n");
my $columns = 'id int, day date, word text, amount numeric, list int[]';
my $fetch = "_wh.fetch('wire', 'peer', '2001-01-01') AS r($columns)";
my $digest = "SELECT count(*), md5(string_agg(r::text, '|' ORDER BY id)) FROM $fetch";

$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source');
$node->safe_psql('source', q{
CREATE TABLE t AS SELECT i AS id, date '2001-01-01' AS day, CASE WHEN i % 7 > 0 THEN repeat('word', i % 50) END AS word,
       i / 3.0 AS amount, ARRAY[i, NULL, -i] AS list FROM generate_series(1, 300) AS i;
GRANT SELECT ON t TO wh_src});
$node->safe_psql('postgres', qq{
SELECT _wh.add_tenant('peer', '127.0.0.1', 'source', 'wh_src', ${\ $node->port}, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('wire', \$\$SELECT * FROM t WHERE day = '{TARGET_DATE}'\$\$, '$columns', time_column => 'day', tenants => '{peer}')});
my $truth = $node->safe_psql('postgres', $digest);
like($truth, qr/^300\|/, 'a fetch over TCP');

# Point the tenant elsewhere.
sub point_at
{
	my ($port, $sslmode) = @_;

	$sslmode //= 'disable';
	$node->safe_psql('postgres', "SELECT _wh.alter_tenant('peer', port => $port, sslmode => '$sslmode')");

	return;
}

# Run a query that hangs; end it by $function; it must be gone in a second.
sub ends_at_once
{
	my ($name, $query, $function, $pattern) = @_;
	my ($out, $err) = ('', '');
	my $victim = "victim $name";
	my $psql = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') . " application_name='$victim'", '-c', $query ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	my $start;

	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '$victim' AND state = 'active' AND wait_event_type = 'Extension'")
	  or die 'the query does not wait for its tenant';
	sleep 0.2;
	$start = time;
	$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = '$victim'");
	$psql->finish;
	my $took = time - $start;
	ok($took < 1, "$name: $function took " . sprintf('%.2f s', $took));
	like($err, $pattern, "$name: and was heard");

	return;
}

sub cancel_and_terminate
{
	my ($name, $query) = @_;

	ends_at_once($name, $query, 'pg_cancel_backend', qr/canceling statement due to user request/);
	ends_at_once($name, $query, 'pg_terminate_backend', qr/terminating connection due to administrator command/);

	return;
}

# SQLSTATE and message of a fetch that fails.
sub failure
{
	my ($settings) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', ($settings // '') . "\\set VERBOSITY verbose\n$digest;");

	return $err =~ /ERROR:  (\w{5}: .*)/ ? $1 : "no error: $out";
}

# Four states of silence, and the deadlines that end them where nobody does.
my $short = "SET pg_warehouse.connect_timeout = '300ms'; SET pg_warehouse.no_progress_timeout = '300ms';\n";
my $nowhere = HostileServer->unreachable;
my $silent = HostileServer->silent;
my $silent_tls = HostileServer->silent('S');
my $stalling = HostileServer->proxy($node->port, sub {
	my ($message, $number, $state) = @_;

	sleep 600 if substr($message, 0, 1) eq 'd' && ++$state->{rows} > 100;
	return $message;
});
foreach my $case ([ 'a port that never answers', $nowhere, 'disable', qr/^08001/ ],
	[ 'silence in authentication', $silent, 'disable', qr/^08001/ ],
	[ 'silence at the request for TLS', $silent, 'require', qr/^08001/ ],
	[ 'silence in the TLS handshake', $silent_tls, 'require', qr/^08001/ ],
	[ 'silence in the stream', $stalling, 'disable', qr/^57014: tenant "peer" sent nothing for 300 ms/ ])
{
	my ($name, $server, $sslmode, $expected) = @$case;
	my $start;

	point_at($server->port, $sslmode);
	cancel_and_terminate($name, $digest);
	ends_at_once("$name, in a refresh", "SELECT * FROM _wh.wh_refresh('wire', 'peer', '2001-01-01', '2001-01-01')",
		'pg_cancel_backend', qr/canceling statement due to user request/);
	$start = time;
	like(failure($short), $expected, "$name: deadline");
	ok(time - $start < 5, "$name: deadline in time");
}
is($node->safe_psql('postgres', "SELECT DISTINCT status FROM _wh.extract_runs WHERE tenant_name = 'peer'"), '',
	'a cancelled call leaves no run behind');
is($node->safe_psql('postgres', "SELECT step, ok FROM _wh.test_tenant('peer') WHERE ok IS NOT true"), '',
	'a peer that stalls rows passes the test of hops');
$_->stop for $silent, $silent_tls, $stalling;

# Rows are put together however the stream is cut into messages.
foreach my $size (1, 7, 1000, 1_000_000)
{
	my $proxy = HostileServer->proxy($node->port, sub {
		my ($message, $number, $state) = @_;
		my $type = substr($message, 0, 1);
		my $sent = '';

		$state->{data} .= substr($message, 5) if $type eq 'd';
		return '' if $type eq 'd';
		if ($type eq 'c')
		{
			my $data = delete $state->{data};

			$sent .= 'd' . pack('N', 4 + length $_) . $_ for unpack("(a$size)*", $data);
		}
		return $sent . $message;
	});

	point_at($proxy->port);
	is($node->safe_psql('postgres', $digest), $truth, "messages of $size bytes");
	$proxy->stop;
}

# The connection cut after k bytes: an error, or every row.
my $length = 0;
{
	my $counter = "$PostgreSQL::Test::Utils::tmp_check/bytes";
	my $proxy = HostileServer->proxy($node->port, sub {
		my ($message, $number, $state) = @_;

		$state->{sent} += length $message;
		open(my $fh, '>', $counter) or die "$counter: $!";
		print $fh $state->{sent};
		close $fh;
		return $message;
	});

	point_at($proxy->port);
	is($node->safe_psql('postgres', $digest), $truth, 'through a proxy');
	$length = slurp_file($counter);
	$proxy->stop;
}
my $step = 149;
my $cuts = int($length / $step);
my $cutting = HostileServer->cutting_proxy($node->port, $step);
point_at($cutting->port);
my ($rc, $out, $err) = $node->psql('postgres', qq{
SET client_min_messages = notice;
DO \$\$
DECLARE
	state text;
	counts jsonb = '{}';
BEGIN
	FOR k IN 1..@{[ $cuts + 2 ]} LOOP
		BEGIN
			SELECT 'rows ' || count(*) INTO state FROM $fetch;
		EXCEPTION WHEN OTHERS THEN
			state := SQLSTATE;
		END;
		counts := jsonb_set(counts, ARRAY[state], to_jsonb(coalesce((counts->>state)::int, 0) + 1));
	END LOOP;
	RAISE NOTICE '%', counts;
END\$\$});
my ($summary) = $err =~ /NOTICE:  (\{.*\})/;
my %counts = ($summary // '') =~ /"([^"]+)": (\d+)/g;
note("$length bytes, cut at every ${step}th: " . ($summary // $err));
is_deeply([ sort grep { !/^0800[16]$/ } keys %counts ], ['rows 300'], 'a cut connection is 08001 or 08006, or all rows');
ok($counts{'rows 300'} <= 2, 'all rows only when all bytes came');
ok($counts{'08006'} > 50, 'and many were cut in the middle');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'wh_src'"), '0', 'no session stays behind')
  if $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'wh_src'");
$cutting->stop;

# A cut unit is a failed unit with the old rows still there.
point_at($node->port);
is($node->safe_psql('postgres', "SELECT status, rows FROM _wh.wh_refresh('wire', 'peer', '2001-01-01', '2001-01-01')"), 'loaded|300', 'loaded');
my $cut = HostileServer->proxy($node->port, sub {
	my ($message, $number, $state) = @_;

	return undef if substr($message, 0, 1) eq 'd' && ++$state->{rows} > 100;
	return $message;
});
point_at($cut->port);
is($node->safe_psql('postgres', "SELECT status, sqlstate FROM _wh.wh_refresh('wire', 'peer', '2001-01-01', '2001-01-01')"), 'failed|08006', 'cut');
is($node->safe_psql('postgres', 'SELECT count(*) FROM peer.wire'), '300', 'the old rows stay');
is($node->safe_psql('postgres', "SELECT sqlstate, error_category FROM _wh.v_recent_failures WHERE tenant_name = 'peer'"), '08006|network', 'and the failure is told');
$cut->stop;

# Streams that are changed.
sub changed
{
	my ($name, $expected, $change) = @_;
	my $proxy = HostileServer->proxy($node->port, $change);

	point_at($proxy->port);
	like(failure(), $expected, $name);
	$proxy->stop;

	return;
}
sub message
{
	my ($type, $body) = @_;

	return $type . pack('N', 4 + length $body) . $body;
}
changed('a row swallowed', qr/^08006: rows of tenant "peer" were truncated/, sub {
	my ($message, $number, $state) = @_;

	return substr($message, 0, 1) eq 'd' && ++$state->{rows} == 100 ? '' : $message;
});
changed('no end mark', qr/^08006: rows of tenant "peer" were truncated/, sub {
	my ($message) = @_;

	return $message eq message('d', "\377\377") ? '' : $message;
});
changed('bytes after the end mark', qr/^08P01/, sub {
	my ($message) = @_;

	return $message eq message('d', "\377\377") ? $message . message('d', 'more') : $message;
});
changed('another count', qr/^08006: rows of tenant "peer" were truncated/, sub {
	my ($message) = @_;

	return $message =~ /^C....COPY/s ? message('C', "COPY 299\0") : $message;
});
changed('no word that the COPY is complete', qr/^08P01|^08006/, sub {
	my ($message) = @_;

	return $message =~ /^C....COPY/s ? '' : $message;
});
changed('no header', qr/^08P01: stream of rows is malformed/, sub {
	my ($message) = @_;

	return $message =~ /^d....PGCOPY/s ? '' : $message;
});
foreach my $case ([ 'a field of negative length', pack('nN', 5, 0xfffffff0), qr/^08P01/ ],
	[ 'a field longer than the stream', pack('nN', 5, 0x7fffffff), qr/^54000: value of column "id"/ ],
	[ 'a row of other width', pack('nNN', 1, 4, 1), qr/^08P01/ ],
	[ 'an integer of three bytes', pack('nNa3NNNN', 5, 3, 'abc', (0xffffffff) x 4), qr/^08P01|^22P03/ ])
{
	my ($name, $row, $expected) = @$case;

	changed($name, $expected, sub {
		my ($message, $number, $state) = @_;

		return substr($message, 0, 1) eq 'd' && ++$state->{rows} == 50 ? message('d', $row) : $message;
	});
}
foreach my $case ([ 'a day that no calendar has', pack('NN', 4, 366), pack('NN', 4, 0x7ffffffe), qr/^22008: date out of range/ ],
	[ 'text in another encoding', pack('N', 4) . 'word', pack('N', 4) . "w\377rd", qr/^22021: column "word" holds text that is not valid in encoding "UTF8"/ ])
{
	my ($name, $good, $bad, $expected) = @$case;

	changed($name, $expected, sub {
		my ($message) = @_;

		$message =~ s/\Q$good\E/$bad/ if substr($message, 0, 1) eq 'd';
		return $message;
	});
}
changed('an answer nobody asked for', qr/^08P01: tenant "peer" sent an answer that was not asked for/, sub {
	my ($message) = @_;

	return $message =~ /^H/ ? message('C', "SELECT 1\0") : $message;
});
changed('settings forgotten', qr/^08P01: tenant does not keep the settings of a session/, sub {
	my ($message) = @_;

	return $message =~ /^S....TimeZone\0/s ? message('S', "TimeZone\0Asia/Tokyo\0") : $message;
});
changed('a server of the last century', qr/^0A000: tenant's server is older than PostgreSQL 9.6/, sub {
	my ($message) = @_;

	return $message =~ /^S....server_version\0/s ? message('S', "server_version\0009.5.25\0") : $message;
});
changed('an SQLSTATE that is none', qr/^08P01: tenant "peer": oops/, sub {
	my ($message) = @_;

	return $message =~ /^H/ ? message('E', "SERROR\0Cnil!!\0Moops\0\0") : $message;
});

# A row without end costs its cap, not the memory of the machine; notices cost
# nothing.  The peer takes a breath per megabyte: libpq reads for as long as
# there is something to read, and we count in between.
my $flood = HostileServer->proxy($node->port, sub {
	my ($message, $number, $state, $client) = @_;

	if (substr($message, 0, 1) eq 'd' && ++$state->{rows} == 10)
	{
		syswrite($client, 'd' . pack('N', 900_000_000));
		for (1 .. 900)
		{
			my $chunk = 'x' x 1_000_000;

			while (length $chunk)
			{
				my $sent = syswrite($client, $chunk) or return undef;
				substr($chunk, 0, $sent, '');
			}
			sleep 0.001;
		}
	}
	return $message;
});
point_at($flood->port);
($rc, $out, $err) = $node->psql('postgres', qq{
\\set VERBOSITY verbose
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\\s+(\\d+)'))[1];
$digest;
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\\s+(\\d+)'))[1];
}, on_error_stop => 0);
like($err, qr/ERROR:  54000: tenant "peer" sent more than 67108864 bytes for one row/, 'a row without end');
my ($before, $after) = split /\n/, $out;
ok($after - $before < 100 * 1024, "cost " . int(($after - $before) / 1024) . ' MB');
$flood->stop;

my $noisy = HostileServer->proxy($node->port, sub {
	my ($message, $number, $state) = @_;

	return $message unless substr($message, 0, 1) eq 'd' && ++$state->{rows} == 10;
	return message('N', "SWARNING\0C01000\0Mnoise\0\0") x 20_000 . $message;
});
point_at($noisy->port);
($rc, $out, $err) = $node->psql('postgres', $digest);
is("$out$err", $truth, '20,000 notices are not heard');
unlike(slurp_file($node->logfile), qr/noise/, 'nor logged');
$noisy->stop;

# A password row is let in by its password only.
point_at($node->port);
$node->safe_psql('postgres', q{SELECT _wh.alter_tenant('peer', auth_method => 'password')});
like(failure(), qr/^55000/, 'no password, no connection');
$node->safe_psql('postgres', "COPY _wh.tenant_password_entry FROM STDIN;\npeer\tunused\n\\.\n");
like(failure(), qr/^2F003: password is required/, 'a server that asks for no password');

$node->stop;
done_testing();
