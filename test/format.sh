#!/bin/bash
#
# test/format.sh [-n] [FILE...]
#	Indent the sources as PostgreSQL does: pg_bsd_indent with its options.
#	Prints the files that change; with -n they are left as they are.
#
# Names of types decide how a declaration is read; ours are found in src/,
# PostgreSQL's that we use are listed in test/typedefs.

. "$(dirname "$0")/lib.sh"

need_packages pg-bsd-indent
cd "$TOP"
write=yes
if [ "${1:-}" = -n ]; then
	write=
	shift
fi
[ $# -gt 0 ] || set -- src/*.c src/*.h

typedefs=$(mktemp)
trap 'rm -f "$typedefs"' EXIT
{
	grep -v '^#' test/typedefs
	sed -nE 's/^\} (\w+);$/\1/p; s/^typedef .*\(\*(\w+)\).*/\1/p;
		s/^typedef (struct|enum|union) \w+ (\w+);$/\2/p' src/*.[ch]
} | sort -u >"$typedefs"

for file in "$@"; do
	formatted=$(
		pg_bsd_indent -bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 \
			-nfc1 -i4 -l79 -lp -lpl -nip -npro -sac -tpg -ts4 -U"$typedefs" \
			<"$file" | sed -E 's/^(\w+)[ \t]+\*$/\1 */;
			s/\btext \* (\w)/text *\1/' && echo .
	) || die "pg_bsd_indent could not read $file"
	formatted=${formatted%.}
	if ! printf '%s' "$formatted" | cmp -s - "$file"; then
		[ -z "$write" ] || printf '%s' "$formatted" >"$file"
		echo "$file"
	fi
done
