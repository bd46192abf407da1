# shellcheck shell=bash
#
# examples/lib.sh
#	What the running scenarios share, on top of test/lib.sh; to be sourced.
#
# A scenario sets WAREHOUSE_PORT, shows what a person would type and compares
# every claim with the source; the first difference ends it with status 1.

. "$(dirname "${BASH_SOURCE[0]}")/../test/lib.sh"

SINCE=$SECONDS

chapter() { printf '\n== %s  [%d s]\n\n' "$*" $((SECONDS - SINCE)); }

# Run SQL at a server of ours: its port, then what psql is told.
psql_at()
{
	local port=$1

	shift
	as_server psql -Xq -v ON_ERROR_STOP=1 -P pager=off -h "$SCRATCH/run" \
		-p "$port" "$@"
}
warehouse() { psql_at "$WAREHOUSE_PORT" -d postgres -U "$@"; }

# Show SQL as a person would type it and run it; "shown" shows the answer too,
# formatted by the options of psql that follow.
typed()
{
	printf '%s\n' "$2" | sed "1s/^/$1=> /; 1!s/^/    /"
	warehouse "$1" -c "$2" >/dev/null
}
shown()
{
	printf '%s\n' "$2" | sed "1s/^/$1=> /; 1!s/^/    /"
	warehouse "$1" -c "$2" "${@:3}"
}

# The answer alone, for comparing.
asked() { warehouse "$1" -At -c "$2"; }

# Show SQL that is refused, and the first line of what it is told.
refused()
{
	printf '%s\n' "$2" | sed "1s/^/$1=> /; 1!s/^/    /"
	if warehouse "$1" -v VERBOSITY=verbose -c "$2" >"$SCRATCH/out/refused" 2>&1; then
		echo "DIFFERS: this was not refused" >&2
		exit 1
	fi
	grep -E '^(psql:.*)?(ERROR|DETAIL|HINT)' "$SCRATCH/out/refused"
}

# Compare an answer with what it must be; end the scenario if it differs.
expect()
{
	if [ "$2" != "$3" ]; then
		printf 'DIFFERS: %s\nexpected: %s\nfound:    %s\n' "$1" "$3" "$2" >&2
		exit 1
	fi
	printf 'checked: %s\n' "$1"
}
