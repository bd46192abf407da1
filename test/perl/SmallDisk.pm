# A disk that is soon full: `use SmallDisk megabytes => 16;` runs the test anew where
# $SmallDisk::dir is a file system of so many megabytes.  It is mounted in a
# namespace of the test's own, so nobody need be root and nothing is left;
# where that is not allowed, $SmallDisk::why_not says so.
package SmallDisk;

use strict;
use warnings;

use Cwd 'abs_path';
use File::Path 'make_path';

our $dir = $ENV{WH_SMALL_DISK};
our $why_not;

# To be called at compile time: the modules of PostgreSQL's tests redirect the
# output before the test begins.
sub import
{
	my ($class, %wanted) = @_;
	my $there = ($ENV{TESTDIR} // '.') . '/tmp_check/small_disk';

	return if $dir;

	make_path($there);
	$there = abs_path($there);

	# Root may mount in a namespace; servers want to be the user they were.
	my @inside = (
		'unshare', '--user', '--map-root-user', '--mount',
		'sh', '-c', 'mount -t tmpfs -o "size=$1" small_disk "$2" && user=$3 && shift 3 && exec unshare --user --map-user="$user" -- "$@"',
		'sh', "$wanted{megabytes}m", $there, $>);
	my $said = qx{@{[ quoted(@inside, 'true') ]} 2>&1};

	if ($? != 0)
	{
		$why_not = "no file system can be mounted here: $said";
		return;
	}
	$ENV{WH_SMALL_DISK} = $there;
	exec(@inside, $^X, $0, @ARGV);
}

sub quoted
{
	return join ' ', map { s/'/'\\''/gr =~ s/^|$/'/gr } @_;
}

1;
