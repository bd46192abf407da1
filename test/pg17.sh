#!/bin/bash
#
# test/pg17.sh [SUITE [TEST...]]
#	Run test/run.sh on PostgreSQL 17, which Debian 13 has.
#
# A Debian 13 is made in a folder (debootstrap, then apt in there), with the
# mirror and the settings of this machine's apt, and the tests run inside of
# it, in namespaces of their own: when they end, processes and mounts are gone.
# So is the folder, unless PG17_ROOT names one, which is made once and used
# again.  Needs root.
#
# The test of pg_upgrade (tap 182_upgrade) wants the version before as well:
# PostgreSQL 15 comes from Debian 12's archive, the extension for it from here.

. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || die "make check-pg17 makes a Debian 13 to run in: it needs root"
need_packages debootstrap

ROOT=${PG17_ROOT:-$(mktemp -d /tmp/pg_warehouse_17.XXXXXX)}
[ -n "${PG17_ROOT:-}" ] || trap 'rm -rf "$ROOT"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The server that this machine takes Debian from, or its security updates.
mirror()
{
	apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(SITE)' 'Created-By: Packages' |
		if [ "${1:-}" = security ]; then
			sed -n 's/^Debian [^ ]*-security //p'
		else
			sed -n '/security/d; s/^Debian [^ ]* //p'
		fi | head -n 1
}

# Make the Debian; its services stay off.
make_root()
{
	local site log=$ROOT/debootstrap.out

	site=$(mirror)
	say "making a Debian 13 in $ROOT"
	mkdir -p "$ROOT"
	debootstrap --variant=minbase trixie "$ROOT" \
		"${site:-http://deb.debian.org/debian}" >"$log" 2>&1 ||
		{ show "$log" 20; die "debootstrap failed"; }
	# What 15's last minor version writes, 17's first ones do not read.
	site=$(mirror security)
	echo "deb ${site:-http://deb.debian.org/debian-security} trixie-security main" \
		>"$ROOT/etc/apt/sources.list.d/security.list"
	printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
	chmod +x "$ROOT/usr/sbin/policy-rc.d"
	touch "$ROOT/.made"
}

# Give the Debian a PostgreSQL 15 with this extension, to upgrade from.
add_old()
{
	local site safe log=$ROOT/old.out old=postgresql/15

	# The extension wants the minor version that it was built with, or later.
	site=$(mirror)
	safe=$(mirror security)
	cat >"$ROOT/etc/apt/sources.list.d/bookworm.list" <<-END
		deb ${site:-http://deb.debian.org/debian} bookworm main
		deb ${safe:-http://deb.debian.org/debian-security} bookworm-security main
	END
	mkdir -p "$ROOT/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' \
		>"$ROOT/etc/postgresql-common/createcluster.d/pg_warehouse.conf"
	chroot "$ROOT" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
		install --no-install-recommends postgresql-15 postgresql-15-cron libsodium23 libcares2' \
		>"$log" 2>&1 </dev/null || { show "$log" 20; die "apt-get could not install PostgreSQL 15"; }

	# The build's own scratch folder and its end are the subshell's.
	(
		PG_MAJOR=15
		need_server_packages
		begin_scratch
		build
		cp "$SCRATCH/usr/lib/$old/lib/pg_warehouse.so" "$ROOT/usr/lib/$old/lib/"
		cp "$SCRATCH/usr/share/$old/extension/pg_warehouse"* "$ROOT/usr/share/$old/extension/"
	)
}

[ -e "$ROOT/.made" ] || make_root
cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
cp -R /etc/apt/apt.conf.d "$ROOT/etc/apt/"
rm -rf "$ROOT/src"
mkdir "$ROOT/src"
tar -C "$TOP" --exclude=.git -cf - . | tar -C "$ROOT/src" -xf -

# All tests, all TAP tests, or just that one.
case "$*" in
'' | tap | *182_upgrade*) add_old ;;
esac

unshare --mount --pid --fork --kill-child sh -c '
	mount --bind /dev "$1/dev" && mount -t proc proc "$1/proc" &&
		mount -t tmpfs -o mode=1777 shm "$1/dev/shm" || exit 1
	root=$1
	shift
	exec chroot "$root" env PG_MAJOR=17 /src/test/run.sh "$@"' sh "$ROOT" "$@" &
wait $! || exit $?
