# The archive under fire: killed after the upload, the load fails, disk full,
# folder gone, a file or a link in the way, killed at any moment.  What was read
# is loaded or is in the archive, the log says which, and the next run makes good.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use SmallDisk megabytes => 8;
use Cwd 'abs_path';
use Digest::SHA;
use File::Find;
use File::Path qw(make_path remove_tree);
use IPC::Run;
use POSIX 'strftime';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';
use WarehouseTest;

my $seed = $ENV{WH_SEED} // time;
my $rounds = $ENV{WH_LONG} ? 40 : 4;
srand($seed);
diag("WH_SEED=$seed");

my $place = $SmallDisk::why_not ? scratch_dir() : $SmallDisk::dir;
my $archive = "$place/archive";
make_path($archive, { mode => 0700 });
my $node = loopback_node('archive', conf => qq{
pg_warehouse.archive_directory = '$archive'
restart_after_crash = on
log_min_messages = warning
});

sub query { return $node->safe_psql('postgres', $_[0]) }

# The files below a folder of the archive, without what differs each time.
sub files
{
	my @found;

	find(sub { push @found, $File::Find::name if -f || -l }, $archive);
	return join ' ', sort map { s{^\Q$archive/\E}{}r =~ s/\d{8}T\d{6}Z_\d+/RUN/r } @found;
}

# The last run: what became of it and of its extract.
sub last_run
{
	my ($template) = @_;

	return query(qq{SELECT status, attempt, sqlstate, rows_extracted, rows_loaded, split_part(csv_path, '/', 1)
FROM _wh.extract_runs WHERE template_name = '$template' ORDER BY run_id DESC LIMIT 1});
}

# Start a statement in the background.
sub start
{
	my ($sql, $as) = @_;

	return IPC::Run::start([ 'psql', '-Xqc', $sql, $node->connstr('postgres') . ($as // '') ], '<', \undef, '>', '/dev/null', '2>', '/dev/null', IPC::Run::timeout(120));
}

# Every run that has an extract has it where it says, with the sum that it says.
sub unsound
{
	my @wrong;

	for (split /\n/, query('SELECT run_id, csv_path, csv_sha256 FROM _wh.extract_runs WHERE csv_path IS NOT NULL'))
	{
		my ($run, $path, $sum) = split /\|/;
		my $file = "$archive/$path";

		push @wrong, "run $run: $path" if !-f $file || Digest::SHA->new(256)->addfile($file)->hexdigest ne $sum;
	}
	return join ', ', @wrong;
}

loopback_tenant($node, 't', 'UTC', q{
CREATE TABLE events (id integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), note text);
CREATE INDEX ON events (at);
CREATE TABLE days (id integer, at timestamptz, note text);
INSERT INTO events SELECT i, now() - interval '1 hour', 'event ' || i FROM generate_series(1, 10) AS i;
INSERT INTO days SELECT i, '2024-05-01 12:00+00', repeat('day ', 20) || i FROM generate_series(1, 1000) AS i});
query(q{
ALTER ROLE wh_src IN DATABASE src_t SET statement_timeout = 0;
SELECT _wh.add_template('events', 'SELECT id, at, note FROM events', 'id integer, at timestamptz, note text',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'at', options => '{"archive": true}');
SELECT _wh.add_template('days', 'SELECT id, at, note FROM days WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz, note text',
    time_column => 'at', options => '{"archive": true}');
SELECT _wh.add_template('must', 'SELECT id, at, note FROM days WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz, note text',
    time_column => 'at', options => '{"archive": true, "archive_required": true}')});
my $events = q{SELECT status, rows FROM _wh.wh_refresh('events', 't')};
my $day = q{'t', '2024-05-01', '2024-05-01'};

is(query($events), 'loaded|10', 'a first load');
is(last_run('events'), 'loaded|1||10|10|processed', 'is archived');
is(files(), 'processed/t/events/RUN.csv.zst', 'and moved');

# The load fails after the upload: at the row, and at the commit.
query(q{SET ROLE whadmin;
CREATE FUNCTION t.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON t.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.note LIKE 'bad%') EXECUTE FUNCTION t.refuse()});
$node->safe_psql('src_t', q{INSERT INTO events (id, note) VALUES (11, 'bad 11')});
is(query($events), 'failed|', 'the target refuses');
is(last_run('events'), 'failed|1|P0001|1||exports', 'the extract is kept, and the log knows where');
is(files(), 'exports/t/events/RUN.csv.zst processed/t/events/RUN.csv.zst', 'it waits');
my $waiting = query('SELECT max(run_id) FROM _wh.extract_runs WHERE csv_path IS NOT NULL');
like(query(q{SELECT detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'archive'}),
	qr/^the extract of run $waiting, template "events" and tenant "t", was not loaded: exports.*\|SELECT _wh\.replay\($waiting\);$/, 'the doctor knows');
is(query('SELECT table_name, split_part(csv_path, \'/\', 1) FROM _wh.v_recent_failures'), 't.events|exports', 'as does who asks for failures');
is(query(qq{SELECT count(*) FROM t.events}), '10', 'nothing is half loaded');

# The row is gone at the source: only the archive has it.
$node->safe_psql('src_t', 'DELETE FROM events WHERE id = 11');
is(query($events), 'loaded|0', 'the target refuses still: the source is read all the same');
is(query("SELECT status, attempt FROM _wh.extract_runs WHERE run_id = $waiting"), 'failed|2', 'and the extract was tried');
$node->safe_psql('src_t', q{INSERT INTO events (id, note) VALUES (12, 'bad 12')});
is(query($events), 'failed|', 'one more');
$node->safe_psql('src_t', 'DELETE FROM events WHERE id = 12');
query('SET ROLE whadmin; DROP TRIGGER refuse ON t.events');
is(query($events), 'loaded|0', 'the target is mended: nothing is new at the source');
is(query('SELECT id, note FROM t.events WHERE id > 10'), '12|bad 12', 'but what waited is there');
is(query(q{SELECT status, attempt, error_message, rows_loaded, split_part(csv_path, '/', 1) FROM _wh.extract_runs WHERE rows_extracted = 1 ORDER BY run_id DESC LIMIT 1}),
	'loaded|2||1|processed', 'its run is loaded, and its extract moved');
is(query("SELECT _wh.replay($waiting) ->> 'status'"), 'loaded', 'the one that a later run has passed is loaded when asked for');
is(query('SELECT count(*) FROM t.events WHERE id > 10'), '2', 'and is there');
query($events);
is(files() =~ s{processed/t/events/RUN.csv.zst ?}{}gr, '', 'nothing waits');
is(query(q{SELECT status FROM _wh.wh_doctor() WHERE check_name = 'archive'}), 'ok', 'the doctor is content');

# Killed between the upload and the commit: the trigger stops us there.
query(q{SET ROLE whadmin;
CREATE FUNCTION t.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(1); PERFORM pg_advisory_unlock(1); RETURN NEW; END $$;
CREATE TRIGGER wait BEFORE INSERT ON t.events FOR EACH ROW EXECUTE FUNCTION t.wait()});
for my $way ([ "SELECT * FROM _wh.wh_refresh('events', 't')" ],
	[ "CALL _wh.run_refresh('events', 't')", " user=whadmin options='-c pg_warehouse.max_workers=0'" ])
{
	my $id = 100 + int rand 1_000_000;
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	$node->safe_psql('src_t', "INSERT INTO events (id, note) VALUES ($id, 'only once')");
	my $run = start(@$way);
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 1}), 'the load has begun') or last;
	$node->safe_psql('src_t', "DELETE FROM events WHERE id = $id");
	like(files(), qr{exports/t/events/RUN}, 'the extract is there');
	kill 'KILL', query(q{SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 1});
	eval { $run->finish };
	eval { $holder->quit };
	$node->poll_query_until('postgres', 'SELECT true');
	is(last_run('events'), 'extracting|1||||', 'the server is back, and the log has not heard of it');
	is(query($events), 'loaded|0', 'the next run');
	is(query("SELECT note FROM t.events WHERE id = $id"), 'only once', 'loads what only the archive had');
	is(query(q{SELECT status, attempt, rows_extracted, rows_loaded, split_part(csv_path, '/', 1) FROM _wh.extract_runs WHERE template_name = 'events' ORDER BY run_id DESC OFFSET 1 LIMIT 1}),
		'loaded|2|1|1|processed', 'as the log says');
	unlike(files(), qr/exports/, 'nothing waits');
}
query('SET ROLE whadmin; DROP TRIGGER wait ON t.events');

# Killed between the move and its row of the log.
$node->safe_psql('src_t', q{INSERT INTO events (id, note) VALUES (13, 'moved')});
query($events);
query(q{UPDATE _wh.extract_runs SET csv_path = replace(csv_path, 'processed/', 'exports/') WHERE run_id = (SELECT max(run_id) FROM _wh.extract_runs WHERE csv_path IS NOT NULL)});
query($events);
is(query(q{SELECT count(*) FROM _wh.extract_runs WHERE csv_path ^@ 'exports/'}), '0', 'a move that the log had not heard of');
is(unsound(), '', 'every extract is where the log says, and what it says');

# In a transaction of the user's there is one commit, his.
my $inline = "SET pg_warehouse.max_workers = 0; BEGIN; SELECT status FROM _wh.wh_refresh('days', $day)";
is(query("$inline; ROLLBACK"), 'loaded', 'a transaction that is rolled back');
is(files() =~ s{ ?processed/t/events/RUN.csv.zst}{}gr, 'exports/t/days/RUN.csv.zst', 'leaves a file');
my ($stranger) = glob "$archive/exports/t/days/*";
utime time - 7200, time - 7200, $stranger;
like(query(q{SELECT detail FROM _wh.wh_doctor() WHERE check_name = 'archive'}), qr/^1 files in .* are of no run that the log knows: .* the first is exports/, 'of which the doctor tells');
unlink $stranger;
is(query("$inline; COMMIT"), 'loaded', 'one that commits');
is(last_run('days'), 'loaded|1||1000|1000|exports', 'has it in exports');
is(query("SELECT status FROM _wh.wh_refresh('days', $day)"), 'loaded', 'until the next run');
unlike(files(), qr/exports/, 'which moves both');

# The folder is gone, or is not ours to write.
rename $archive, "$archive.away";
my ($rc, $out, $err) = $node->psql('postgres', "SELECT status FROM _wh.wh_refresh('days', $day)");
is($out, 'loaded', 'no folder: loaded');
like($err, qr/WARNING:  rows are loaded and not archived: could not open archive directory .*No such file/, 'with a warning');
is(query(q{SELECT context ->> 'not_archived' LIKE 'could not open archive directory%' FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1}), 't', 'that the log has');
is(query("SELECT status, sqlstate FROM _wh.wh_refresh('must', $day)"), 'failed|58P01', 'no folder, archive_required: not loaded');
is(query(q{SELECT to_regclass('t.must_2024_05_01') IS NULL}), 't', 'at all');
rename "$archive.away", $archive;
is(query("SELECT status FROM _wh.wh_refresh('must', $day)"), 'loaded', 'it is back');

# Links lead nowhere, and a file that is there stays as it is.
my $elsewhere = scratch_dir();
remove_tree("$archive/exports/t");
symlink $elsewhere, "$archive/exports/t";
is(query("SELECT status, sqlstate FROM _wh.wh_refresh('must', $day)"), 'failed|42809', 'a link in place of a folder');
is(join(' ', glob "$elsewhere/*"), '', 'is not followed');
unlink "$archive/exports/t";
make_path("$archive/exports/t/must");
my $next = 1 + query('SELECT max(run_id) FROM _wh.extract_runs');
my $name = sub { return sprintf '%s/exports/t/must/%s_%09d.csv.zst', $archive, strftime('%Y%m%dT%H%M%SZ', gmtime(time + $_[0])), $next };
append_to_file($name->($_), 'somebody else') for 0 .. 60;
is(query("SELECT status, sqlstate FROM _wh.wh_refresh('must', $day)"), 'failed|58P02', 'a file of that name');
is(join(' ', map { slurp_file($_) } glob "$archive/exports/t/must/*"), join(' ', ('somebody else') x 61), 'is not touched');
unlink glob "$archive/exports/t/must/*";
$next++;
symlink "$elsewhere/target", $name->($_) for 0 .. 60;
is(query("SELECT status, sqlstate FROM _wh.wh_refresh('must', $day)"), 'failed|42809', 'a link of that name');
ok(!-e "$elsewhere/target", 'is not written through');
remove_tree("$archive/exports/t");
is(query("SELECT status FROM _wh.wh_refresh('must', $day)"), 'loaded', 'out of the way: loaded');

# No room: nothing of it is left, the data is loaded or not.
SKIP:
{
	skip $SmallDisk::why_not, 9 if $SmallDisk::why_not;

	$node->safe_psql('src_t', q{TRUNCATE days; INSERT INTO days SELECT i, '2024-05-01 12:00+00', md5(i::text) || md5(random()::text) FROM generate_series(1, 300000) AS i});
	my $before = files();
	($rc, $out, $err) = $node->psql('postgres', "SELECT status FROM _wh.wh_refresh('days', $day)");
	is($out, 'loaded', 'no room: loaded');
	like($err, qr/rows are loaded and not archived: could not write archive file "exports.*No space left on device/, 'with a warning');
	is(query('SELECT count(*) FROM t.days_2024_05_01'), '300000', 'all of it');
	is(query("SELECT status, sqlstate FROM _wh.wh_refresh('must', $day)"), 'failed|53100', 'no room, archive_required: not loaded');
	is(query('SELECT count(*) FROM t.must_2024_05_01'), '1000', 'at all');
	is(files(), $before, 'no file is left');

	# The file that the extract is written to first.
	mkdir "$place/space";
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$place/space'");
	query('GRANT CREATE ON TABLESPACE small TO PUBLIC');
	my $small = 'SET pg_warehouse.max_workers = 0; SET temp_tablespaces = small; SELECT status, sqlstate FROM _wh.wh_refresh';
	($rc, $out, $err) = $node->psql('postgres', "$small('days', $day)");
	is($out, 'loaded|', 'no room for the temporary file: loaded');
	like($err, qr/rows are loaded and not archived: could not write the extract to a temporary file: No space left on device/, 'with a warning');
	is(query("$small('must', $day)"), 'failed|53100', 'archive_required: not loaded');
	$node->safe_psql('src_t', q{TRUNCATE days; INSERT INTO days SELECT i, '2024-05-01 12:00+00', repeat('day ', 20) || i FROM generate_series(1, 1000) AS i});
}

# A purged source: what the archive has is loaded again.
my $kept = query(q{SELECT run_id FROM _wh.extract_runs WHERE template_name = 'must' AND status = 'loaded' ORDER BY run_id LIMIT 1});
$node->safe_psql('src_t', 'TRUNCATE days');
like(query("SELECT status, message FROM _wh.wh_refresh('must', $day)"), qr/^failed\|a closed day came back with 0 of its 1000 rows$/, 'an empty source changes nothing');
query('SET ROLE whadmin; DROP MATERIALIZED VIEW t.must_2024_05_01 CASCADE');
is(query("SELECT _wh.replay($kept) - '{run_id,replays}'::text[]"),
	'{"date": "2024-05-01", "rows": 1000, "method": "first_fill", "status": "loaded", "tenant": "t", "template": "must", "rows_deleted": 0, "rows_updated": 0, "rows_inserted": 1000, "rows_unchanged": 0}',
	'a dropped day is made from the archive');
is(query('SELECT count(DISTINCT id) FROM t.must_2024_05_01'), '1000', 'whole');

# Killed at any moment: what is in the table is what was at the source once, no
# row is lost, and each extract is where the log says.
query("SELECT _wh.drop_template('days', drop_data => true)");
my $lost = 0;
for my $round (1 .. $rounds)
{
	$node->safe_psql('src_t', "INSERT INTO events (id, note) SELECT 2000000 + $round * 3000 + i, repeat('x', 100) FROM generate_series(1, 3000) AS i");
	my $run = start("SELECT * FROM _wh.wh_refresh('events', 't')");
	usleep(rand 500_000);
	$node->stop('immediate');
	$node->start;
	eval { $run->finish };
	query($events);
	query($events);
	my $rows = query('SELECT count(*) FROM t.events WHERE id > 2000000');
	my $wrong = unsound();
	my $left = files() =~ /exports/;
	my $open = query(q{SELECT count(*) FROM _wh.extract_runs WHERE status IN ('extracting', 'uploaded')});
	next if $rows == 3000 * $round && $wrong eq '' && !$left && $open eq '0';
	$lost++;
	diag("round $round of seed $seed: $rows rows, wrong: $wrong, left: " . files() . ", open: $open");
	last;
}
is($lost, 0, "$rounds kills, nothing lost");

# PostGIS at both ends.
SKIP:
{
	my $there = query(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'});

	skip 'PostGIS is not installed (make check-all installs it)', 4 if $there eq '0';
	$node->safe_psql('src_t', q{CREATE EXTENSION postgis;
CREATE TABLE places (id integer PRIMARY KEY, geom geometry, geog geography(Point, 4326));
INSERT INTO places VALUES (1, 'SRID=4326;POINT(36.8219462 -1.2920659)', 'POINT(36.8219462 -1.2920659)'),
	(2, NULL, NULL), (3, 'SRID=4326;LINESTRING(0 0, 0.1 0.2, 1e-9 3)', NULL), (4, 'SRID=4326;POLYGON EMPTY', NULL), (5, ST_SetSRID(ST_MakePoint(1/3.0::float8, pi()), 4326), NULL),
	(6, 'SRID=4326;POINT ZM (1 2 3 4)', NULL);
GRANT SELECT ON places TO wh_src});
	query(q{CREATE EXTENSION postgis;
SELECT _wh.add_template('places', 'SELECT id, geom, geog FROM places', 'id integer, geom public.geometry, geog public.geography(Point, 4326)',
    materialization => 'snapshot', options => '{"archive": true}')});
	is(query("SELECT status, rows FROM _wh.wh_refresh('places', 't')"), 'loaded|6', 'geometry is loaded');
	my $file = "$archive/" . query("SELECT csv_path FROM _wh.extract_runs WHERE template_name = 'places'");
	like(qx{zstd -dc '$file'}, qr/^id,geom,geog\n1,SRID=4326;POINT\(36\.8219462 -1\.2920659\),SRID=4326;POINT\(36\.8219462 -1\.2920659\)\n2,,\n3,"SRID=4326;LINESTRING\(0 0,0\.1 0\.2,/, 'and archived as EWKT, NULLs kept');
	my $all = q{SELECT md5(string_agg(concat(id, ST_AsEWKB(geom), ST_AsBinary(geog)), ',' ORDER BY id)) FROM t.places};
	my $was = query($all);
	$node->safe_psql('src_t', 'TRUNCATE places');
	query("SELECT status FROM _wh.wh_refresh('places', 't')");
	is(query("SELECT _wh.replay(min(run_id)) ->> 'rows' FROM _wh.extract_runs WHERE template_name = 'places' AND csv_path IS NOT NULL"), '6', 'it is loaded again');
	is(query($all), $was, 'to the last bit');
}

$node->stop;
done_testing();
