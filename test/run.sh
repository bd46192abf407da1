#!/bin/bash
#
# test/run.sh [SUITE [TEST...]]
#	Build the extension and run its tests on throw-away servers.
#
# Suites: lint, regress, isolation, tap; without one all of them.  TEST is a
# file's name without its ending (sql/gate.sql: gate).  Prints one line per
# test, what failed in full, and last "N passed, N failed"; the status is 1
# unless something ran in every suite and everything passed.  A TAP file that
# cannot run here says why and counts as neither.  WH_LONG=1 has the TAP files
# that read it take their time (make check-all).

. "$(dirname "$0")/lib.sh"

SUITES=(lint regress isolation tap)
TESTS=()
if [ $# -gt 0 ]; then
	[[ " ${SUITES[*]} " = *" $1 "* ]] || die "no such suite: $1 (${SUITES[*]})"
	SUITES=("$1")
	shift
	TESTS=("$@")
fi
PASSED=0
FAILED=0

# Count one test: SUITE NAME STATUS, the rest says what to look at.
result()
{
	local word=ok

	if [ "$3" -eq 0 ]; then
		PASSED=$((PASSED + 1))
	else
		FAILED=$((FAILED + 1))
		word=FAILED
	fi
	printf '%-10s %-64s %s\n' "$1" "$2" "$word"
}

# List the tests of a suite: those asked for, else those found.
wanted()
{
	local f

	if [ ${#TESTS[@]} -gt 0 ]; then
		printf '%s\n' "${TESTS[@]}"
		return
	fi
	for f in "$@"; do
		[ ! -e "$f" ] || basename "${f%.*}"
	done
}

run_lint()
{
	local rule status

	as_server psql -XqAt -v ON_ERROR_STOP=1 -h "$SCRATCH/run" -p "$PORT" \
		-U postgres -d postgres -f test/lint/comments.sql \
		>"$SCRATCH/out/uncommented" 2>&1 || true
	as_server perl test/lint/lint.pl pg_warehouse.so "$SCRATCH/out/uncommented" \
		>"$SCRATCH/out/lint.log" || true
	while IFS=$'\t' read -r status rule; do
		case $status in
		ok) result lint "$rule" 0 ;;
		failed) result lint "$rule" 1 ;;
		*) printf '    %s\n' "$status${rule:+	$rule}" ;;
		esac
	done <"$SCRATCH/out/lint.log"
}

# Run pg_regress or pg_isolation_regress and read which tests it says passed,
# in the words of PostgreSQL 15 ("test x ... ok") or later ("ok 1 - x").
run_pg_regress()
{
	local suite=$1 program=$2 db=$3 inputdir=$4 t
	local log=$SCRATCH/out/$suite.log dir=$SCRATCH/out/$suite

	shift 4
	as_server mkdir -p "$dir"

	# A test without expected output fails alone; else it would end the run.
	for t in "$@"; do
		[ -e "$inputdir/expected/$t.out" ] ||
			as_server touch "$inputdir/expected/$t.out"
	done
	as_server_group env PGUSER=postgres "$program" --inputdir="$inputdir" \
		--outputdir="$dir" --bindir="$PGBIN" --host="$SCRATCH/run" \
		--port="$PORT" --dbname="$db" --dlpath="$PGROOT/lib" \
		"$@" >"$log" 2>&1 || true
	for t in "$@"; do
		if grep -Eq "^(test $t +\.\.\. ok|ok [0-9]+ +[-+] $t )" "$log"; then
			result "$suite" "$t" 0
		else
			result "$suite" "$t" 1
			SHOW+=("$log")
		fi
	done
	[ ! -s "$dir/regression.diffs" ] || SHOW+=("$dir/regression.diffs")
}

run_regress()
{
	local tests

	mapfile -t tests < <(wanted sql/*.sql | grep -vx setup)
	run_pg_regress regress "$PGXS_DIR/src/test/regress/pg_regress" \
		contrib_regression . setup "${tests[@]}"
}

run_isolation()
{
	local tests

	mapfile -t tests < <(wanted test/isolation/specs/*.spec)
	[ ${#tests[@]} -gt 0 ] || return 0
	run_pg_regress isolation \
		"$PGXS_DIR/src/test/isolation/pg_isolation_regress" \
		isolation_regression test/isolation "${tests[@]}"
}

# Three TAP files at a time, each with a folder and servers of its own: they wait
# more than they work.
run_tap()
{
	local tests t log

	mapfile -t tests < <(wanted test/t/*.pl)
	[ ${#tests[@]} -gt 0 ] || return 0
	as_server_group env \
		PERL5LIB="$PGXS_DIR/src/test/perl:test/perl" \
		PG_REGRESS="$PGXS_DIR/src/test/regress/pg_regress" \
		PG_TEST_PORT_DIR="$SCRATCH/out/ports" PGPORT=65432 TAP="$SCRATCH/out/tap" \
		xargs -P 3 -I{} sh -c '
			export TESTDIR="$TAP/{}" TESTDATADIR="$TAP/{}/data" \
				TESTLOGDIR="$TAP/{}/log"
			mkdir -p "$TESTDIR"
			prove -v "test/t/{}.pl" >"$TESTDIR/prove.log" 2>&1
			echo $? >"$TESTDIR/status"' \
		< <(printf '%s\n' "${tests[@]}") || true
	for t in "${tests[@]}"; do
		log=$SCRATCH/out/tap/$t/prove.log
		if [ "$(cat "$SCRATCH/out/tap/$t/status" 2>/dev/null)" = 0 ]; then
			if grep -q '^Result: NOTESTS' "$log"; then
				printf '%-10s %-64s %s\n' tap "$t" \
					"$(sed -n 's/.* \(skipped\)/\1/p' "$log")"
			else
				result tap "$t" 0
			fi

			# Figures that a test took by the way.
			sed -n 's/^# measured: /           /p' "$log"
		else
			result tap "$t" 1
			SHOW+=("$log" "${log%/*}"/tmp_check/log/* "${log%/*}"/log/*)
		fi
	done
}

# Debian has the indenter as a package of its own for PostgreSQL 15 only; lint
# leaves that rule out where it is missing.
packages=(binutils perl libipc-run-perl openssl faketime)
[ "$PG_MAJOR" -gt 15 ] || packages+=(pg-bsd-indent)

# What people look at a warehouse with, for 150_monitoring; geometry, for
# 160_archive; and an S3 server, for 161_s3.
[ -z "${WH_LONG:-}" ] || packages+=(prometheus prometheus-postgres-exporter
	prometheus-sql-exporter chromium "postgresql-$PG_MAJOR-postgis-3"
	python3-swift)
need_server_packages "${packages[@]}"
begin_scratch
build
cd "$SCRATCH/src"

PORT=$(free_port)
SHOW=()
init_server main "$PORT" <<-END
	shared_preload_libraries = 'pg_cron'
	cron.database_name = 'postgres'
	cron.host = '$SCRATCH/run'
	max_worker_processes = 16
END
start_server main

for suite in "${SUITES[@]}"; do
	before=$((PASSED + FAILED))
	"run_$suite"
	[ $((PASSED + FAILED)) -gt $before ] ||
		result "$suite" "(no test at all)" 1
done

if [ ${#SHOW[@]} -gt 0 ]; then
	mapfile -t SHOW < <(printf '%s\n' "${SHOW[@]}" | awk '!seen[$0]++')
	for log in "${SHOW[@]}"; do
		[ ! -f "$log" ] || show "$log" 200
	done
fi
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
