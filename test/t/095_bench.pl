# The arithmetic of `make bench`: ratios, targets, the proxy's round trips.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs python3'
  if system('python3 --version >/dev/null 2>&1') != 0;

my ($stdout, $stderr) =
  run_command([ 'python3', '-B', 'test/bench/test_bench.py' ]);
like($stderr, qr/^Ran 8 tests.*^OK$/ms, 'ratios, targets and the proxy');

done_testing();
