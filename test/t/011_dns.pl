# A silent name server: cancel and termination are heard within a second, and
# the connect deadline holds.  The test runs itself in a network of its own,
# where it is the name server, so it needs unprivileged user namespaces.
use strict;
use warnings;

# Before anything else, which would take our standard output.
BEGIN
{
	my @unshare = ('unshare', '--user', '--map-current-user', '--keep-caps', '--mount', '--net');

	if (!$ENV{WH_OWN_NETWORK})
	{
		if (system("@unshare mount --bind /etc/resolv.conf /etc/resolv.conf 2>/dev/null") != 0)
		{
			print "1..0 # SKIP no unprivileged user namespaces here\n";
			exit 0;
		}
		$ENV{WH_OWN_NETWORK} = 1;
		exec @unshare, 'sh', '-c', q{conf=$(mktemp) && echo 'nameserver 127.0.0.1' >$conf &&
			mount --bind $conf /etc/resolv.conf && rm $conf && exec "$@"}, 'sh', $^X, $0;
	}
}

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);
use WarehouseTest;

# Bring the loopback interface up, and be a name server that never answers.
socket(my $control, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
my $request = pack('a16 s x22', 'lo', 0);
ioctl($control, 0x8913, $request) or die "SIOCGIFFLAGS: $!";
my ($name, $flags) = unpack('a16 s', $request);
ioctl($control, 0x8914, pack('a16 s x22', 'lo', $flags | 1)) or die "SIOCSIFFLAGS: $!";
my $dns = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 53)
  or die "could not be a name server: $!";

my $node = warehouse_node('dns', '', conf => "listen_addresses = '127.0.0.1'\n");
my $columns = 'id int, day date';
my $query = "SELECT count(*) FROM _wh.fetch('dns', 'far', '2001-01-01') AS r($columns)";

$node->safe_psql('postgres', qq{
CREATE ROLE wh_src LOGIN;
SELECT _wh.add_tenant('far', 'tenant.example.com', 'postgres', 'wh_src', ${\ $node->port}, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('dns', \$\$SELECT 1 AS id, date '{TARGET_DATE}' AS day\$\$, '$columns')});

foreach my $case ([ 'pg_cancel_backend', qr/canceling statement due to user request/ ],
	[ 'pg_terminate_backend', qr/terminating connection due to administrator command/ ])
{
	my ($function, $pattern) = @$case;
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres') . " application_name=victim", '-c', $query ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));

	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event_type = 'Extension'")
	  or die 'the query does not wait for its name server';
	sleep 0.2;
	my $start = time;
	$node->safe_psql('postgres', "SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'victim'");
	$psql->finish;
	my $took = time - $start;
	ok($took < 1, "$function took " . sprintf('%.2f s', $took));
	like($err, $pattern, 'and was heard');
}

my $asked = '';
$dns->blocking(0);
$dns->recv($asked, 512);
like($asked, qr/tenant\x07example\x03com/, 'the name server was asked');

my $start = time;
my ($rc, $out, $err) = $node->psql('postgres', "SET pg_warehouse.connect_timeout = '500ms';\n$query");
ok(time - $start < 3, 'the deadline holds');
like($err, qr/could not connect to tenant "far".*Could not resolve host name "tenant\.example\.com": no name server answered in time/s, 'and says who was silent');

# The hosts file and literals need nobody.
foreach my $host ('localhost', '127.0.0.1')
{
	$node->safe_psql('postgres', "SELECT _wh.alter_tenant('far', host => '$host')");
	is($node->safe_psql('postgres', $query), '1', "$host is resolved without a server");
}

$node->stop;
done_testing();
