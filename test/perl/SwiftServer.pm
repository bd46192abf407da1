# A real S3 server of this machine: OpenStack Swift with its s3api, from Debian's
# package python3-swift.  Its four servers run as whoever runs the test, on ports
# of 127.0.0.1, with their data in the test's folder, and die with the test.
package SwiftServer;

use strict;
use warnings;

use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes 'sleep';

our $region = 'us-east-1';

my %children;

# What starts one of the servers: Swift looks for its settings in /etc.
my $launcher = q{
import sys
import swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[1] + '/swift.conf'
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[1] + '/' + sys.argv[2] + '.conf', sys.argv[3], verbose=True))
};

# One device for everything, so each ring is a list of one.
my $rings = q{
import sys
from swift.common.ring.builder import RingBuilder
for name, port in zip(('account', 'container', 'object'), sys.argv[2:]):
    builder = RingBuilder(1, 1, 1)
    builder.add_dev({'region': 1, 'zone': 1, 'device': 'disk', 'weight': 1, 'meta': '',
                     'ip': '127.0.0.1', 'port': int(port),
                     'replication_ip': '127.0.0.1', 'replication_port': int(port)})
    builder.rebalance()
    builder.get_ring().save(sys.argv[1] + '/' + name + '.ring.gz')
};

# Why there can be none here; undef: there can.
sub why_not
{
	return 'python3-swift is not installed'
	  if system(q{python3 -c 'import swift.common.middleware.s3api.s3api' >/dev/null 2>&1}) != 0;
	return undef;
}

# Start in an empty folder.  "wh:tester" with secret "testing" may do all,
# "wh:guest" with "visiting" nothing.
sub new
{
	my ($class, $dir) = @_;
	my %ports = map { $_ => _free_port() } qw(account container object proxy);
	my $user = getpwuid($>);
	my $self = bless { dir => $dir, port => $ports{proxy}, user => $user }, $class;

	mkdir "$dir/devices" or die "$dir: $!";
	mkdir "$dir/devices/disk" or die "$dir: $!";
	_write("$dir/swift.conf", "[swift-hash]\nswift_hash_path_suffix = test\n");
	_write("$dir/launch.py", $launcher);
	_write("$dir/rings.py", $rings);
	system('python3', "$dir/rings.py", $dir, @ports{qw(account container object)}) == 0
	  or die 'could not make the rings';

	foreach my $kind (qw(account container object))
	{
		_write("$dir/$kind.conf", $self->_common($ports{$kind}) . qq{
devices = $dir/devices
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = $kind-server
[app:$kind-server]
use = egg:swift#$kind
});
		$self->_start($kind, "$kind-server", $ports{$kind});
	}
	$self->proxy('proxy', port => $ports{proxy});

	return $self;
}

# Start one more server in front of the same data: settings => lines of its
# own, under => a command before it.  Returns its port.
sub proxy
{
	my ($self, $name, %more) = @_;
	my $port = $more{port} // _free_port();

	_write("$self->{dir}/$name.conf", $self->_common($port) . ($more{settings} // '') . qq{
[pipeline:main]
pipeline = catch_errors cache s3api tempauth copy proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
# tempauth wants a cache, and does without what is in it.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = $region
auth_pipeline_check = false
[filter:tempauth]
use = egg:swift#tempauth
user_wh_tester = testing .admin
user_wh_guest = visiting
[filter:copy]
use = egg:swift#copy
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
});
	$self->_start($name, 'proxy-server', $port, @{ $more{under} // [] });

	return $port;
}

sub port
{
	my ($self) = @_;

	return $self->{port};
}

# Make a signed request of our own; returns HTTP::Tiny's answer.
sub request
{
	my ($self, $method, $target, $body) = @_;
	my ($path, $query) = split /\?/, $target, 2;
	my $time = POSIX::strftime('%Y%m%dT%H%M%SZ', gmtime);
	my $date = substr($time, 0, 8);
	my $sum = sha256_hex($body // '');
	my $signed = 'host;x-amz-content-sha256;x-amz-date';
	my $canonical = join("\n", $method, $path, $query // '', "host:127.0.0.1:$self->{port}",
		"x-amz-content-sha256:$sum", "x-amz-date:$time", '', $signed, $sum);
	my $scope = "$date/$region/s3/aws4_request";
	my $key = 'AWS4testing';

	$key = hmac_sha256($_, $key) for split m{/}, $scope;
	my $signature = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $time, $scope, sha256_hex($canonical)), $key);

	return HTTP::Tiny->new->request($method, "http://127.0.0.1:$self->{port}$target", {
			content => $body // '',
			headers => {
				'x-amz-content-sha256' => $sum,
				'x-amz-date' => $time,
				'Authorization' => "AWS4-HMAC-SHA256 Credential=wh:tester/$scope, SignedHeaders=$signed, Signature=$signature",
			} });
}

# The names in a bucket, sorted, each with its size.
sub objects
{
	my ($self, $bucket) = @_;
	my $answer = $self->request('GET', "/$bucket?list-type=2");

	die "$answer->{status} $answer->{content}" unless $answer->{success};
	my @keys = $answer->{content} =~ m{<Key>(.*?)</Key>}g;
	my @sizes = $answer->{content} =~ m{<Size>(.*?)</Size>}g;

	return map { "$keys[$_] $sizes[$_]" } 0 .. $#keys;
}

sub _common
{
	my ($self, $port) = @_;

	return qq{
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
swift_dir = $self->{dir}
user = $self->{user}
workers = 0
};
}

# Start a server, and wait until it listens.
sub _start
{
	my ($self, $name, $section, $port, @under) = @_;
	my $log = "$self->{dir}/$name.log";
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		%children = ();
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec(@under, 'python3', "$self->{dir}/launch.py", $self->{dir}, $name, $section)
		  or POSIX::_exit(1);
	}
	$children{$pid} = 1;

	for (1 .. 300)
	{
		return if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		if (waitpid($pid, POSIX::WNOHANG) > 0)
		{
			delete $children{$pid};
			last;
		}
		sleep 0.1;
	}
	open(my $fh, '<', $log) or die "$log: $!";
	local $/;
	die "Swift's $name did not start: " . <$fh>;
}

sub _free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
	  or die "could not listen: $!";

	return $socket->sockport;
}

sub _write
{
	my ($file, $text) = @_;

	open(my $fh, '>', $file) or die "$file: $!";
	print $fh $text;
	close $fh;

	return;
}

END
{
	my $status = $?;

	foreach my $pid (keys %children)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	$? = $status;
}

1;
