# shellcheck shell=bash
#
# test/lib.sh
#	Throw-away machinery of `make check` and `make demo`; to be sourced.
#
# Everything happens below one scratch folder: a copy of this tree, a private
# copy of the PostgreSQL installation that the extension is installed into,
# and the servers' data.  At exit, however it comes, whatever still runs from
# there is stopped and the folder removed.  The system and the work tree stay
# as they were, except for the packages that need_packages() installs.

set -euo pipefail
umask 022

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_MAJOR=${PG_MAJOR:-15}
SCRATCH=
GROUP=

# Say something to the person, even when a command's output is redirected.
say() { printf '%s\n' "$*" >&3; }
die() { printf '%s\n' "$*" >&3; exit 1; }
exec 3>&1

# Show the last lines of a file that explains a failure.
show() { printf -- '--- %s\n' "$1" >&3; tail -n "${2:-60}" "$1" >&3; }

# Install the Debian packages that are missing, or say how.
need_packages()
{
	local missing=() p log policy=
	local conf=/etc/postgresql-common/createcluster.d/pg_warehouse.conf

	command -v dpkg-query >/dev/null ||
		die "this needs Debian 12 or another system with dpkg and apt"
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ "$(id -u)" -ne 0 ]; then
		say "Packages are missing. As root:"
		die "apt-get install --no-install-recommends ${missing[*]}"
	fi

	# The server package must not make and start a cluster of its own, nor
	# any other package a service.
	say "installing ${missing[*]}"
	log=$(mktemp)
	[ -e /usr/sbin/policy-rc.d ] || policy=/usr/sbin/policy-rc.d
	trap 'rm -f "'"$log"'" '"$conf $policy" EXIT
	mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' >"$conf"
	[ -z "$policy" ] || install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101'
	if ! { apt-get -qq update &&
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
			install --no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1 </dev/null; then
		show "$log" 20
		die "apt-get could not install ${missing[*]}"
	fi
	rm -f "$log" "$conf" ${policy:+"$policy"}
	trap - EXIT
}

# What a build and a server need, and more if asked.
need_server_packages()
{
	need_packages "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" \
		"postgresql-$PG_MAJOR-cron" libpq-dev libsodium-dev libc-ares-dev libzstd-dev zstd \
		libcurl4-openssl-dev gcc libc6-dev make "$@"
}

# Make the scratch folder, and see to its end.
begin_scratch()
{
	SCRATCH=$(mktemp -d /tmp/pg_warehouse.XXXXXX)
	trap end_scratch EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$SCRATCH"
	mkdir "$SCRATCH"/{src,run,out}

	PGROOT=$SCRATCH/usr/lib/postgresql/$PG_MAJOR
	PGBIN=$PGROOT/bin
	PGXS_DIR=$PGROOT/lib/pgxs
	AS=(env -i PATH="$PGBIN:/usr/bin:/bin" HOME="$SCRATCH" LC_ALL=C.UTF-8
		PG_CONFIG="$PGBIN/pg_config" WH_LONG="${WH_LONG:-}")
	[ "$(id -u)" -ne 0 ] ||
		AS=(setpriv --reuid postgres --regid postgres --init-groups "${AS[@]}")
	own

	# The work tree may be closed to that user.
	cd "$SCRATCH"
}

end_scratch()
{
	local status=$? pidfile pid

	trap '' INT TERM HUP
	if [ -n "$GROUP" ]; then
		kill -TERM -- "-$GROUP" 2>/dev/null || true
		wait "$GROUP" || true
	fi
	if [ -n "${KEEP:-}" ]; then
		say_kept
		exit "$status"
	fi
	find "$SCRATCH" -name postmaster.pid | while read -r pidfile; do
		pid=$(head -n 1 "$pidfile")
		kill -QUIT "$pid" 2>/dev/null || continue
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	done
	rm -rf "$SCRATCH"
	exit "$status"
}

# Say what KEEP=1 left there, how to look at it and how to end it.
say_kept()
{
	local pidfile

	say
	say "Kept below $SCRATCH:"
	for pidfile in "$SCRATCH"/*/postmaster.pid; do
		[ -e "$pidfile" ] || continue
		say "  psql -h $SCRATCH/run -p $(sed -n 4p "$pidfile") -U postgres" \
			"  # server \"$(basename "$(dirname "$pidfile")")\""
	done
	say "To end it: kill \$(sed -sn 1p $SCRATCH/*/postmaster.pid) && rm -rf $SCRATCH"
}

# Give the scratch folder to the user that the servers run as.
own() { [ "$(id -u)" -ne 0 ] || chown -R postgres: "$SCRATCH"; }

# Run a command as that user, never root, in a bare environment.
as_server() { "${AS[@]}" "$@"; }

# The same for a long one: in a process group that end_scratch() can end.
as_server_group()
{
	local status=0

	"${AS[@]}" setsid "$@" <&0 &
	GROUP=$!
	wait "$GROUP" || status=$?
	GROUP=
	return "$status"
}

# Build this tree with every warning an error and install it privately; or
# take what another script has built (BUILT: its $SCRATCH/usr).
build()
{
	local system=/usr/lib/postgresql/$PG_MAJOR

	if [ -n "${BUILT:-}" ]; then
		cp -a "$BUILT" "$SCRATCH/"
		return
	fi

	mkdir -p "$SCRATCH"/usr/{lib,share}/postgresql
	cp -a "$system" "$SCRATCH/usr/lib/postgresql/"
	cp -a "/usr/share/postgresql/$PG_MAJOR" "$SCRATCH/usr/share/postgresql/"
	ln -s /usr/include "$SCRATCH/usr/include"
	tar -C "$TOP" --exclude=.git --exclude='*.o' --exclude='*.so' \
		--exclude='*.bc' --exclude=tmp_check --exclude=results -cf - . |
		tar -C "$SCRATCH/src" -xf -
	own

	if ! { as_server_group make -s -j2 -C "$SCRATCH/src" with_llvm=no \
			PG_CFLAGS='-Wall -Wextra -Wno-unused-parameter -Werror' all &&
		as_server_group make -s -C "$SCRATCH/src" with_llvm=no install; } \
		>"$SCRATCH/out/build.log" 2>&1; then
		show "$SCRATCH/out/build.log"
		die "the build failed"
	fi
}

# Find a TCP port that nobody listens on.
free_port()
{
	local port

	while :; do
		port=$((20000 + RANDOM % 12000))
		(exec 4<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# Make a server: its data lies in $SCRATCH/NAME, its socket in $SCRATCH/run.
# Lines of postgresql.conf come from standard input.
init_server()
{
	local name=$1 port=$2

	as_server initdb -D "$SCRATCH/$name" -U postgres -A trust -N \
		--no-locale -E UTF8 >"$SCRATCH/out/initdb.$name.log" 2>&1 ||
		{ show "$SCRATCH/out/initdb.$name.log"; die "initdb failed"; }
	{
		echo "port = $port"
		echo "listen_addresses = '127.0.0.1'"
		echo "unix_socket_directories = '$SCRATCH/run'"
		echo "fsync = off"
		cat
	} >>"$SCRATCH/$name/postgresql.conf"
}

# Start a server; NAME=VALUE arguments join its environment.
start_server()
{
	local name=$1

	shift
	as_server env "$@" pg_ctl -s -w -D "$SCRATCH/$name" \
		-l "$SCRATCH/out/$name.log" start >/dev/null ||
		{ show "$SCRATCH/out/$name.log"; die "server \"$name\" did not start"; }
}

stop_server() { as_server pg_ctl -s -w -m fast -D "$SCRATCH/$1" stop; }
