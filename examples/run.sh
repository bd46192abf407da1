#!/bin/bash
#
# examples/run.sh [NAME...]
#	Run the scenarios of examples/, or those named, with one build for all.
#
# Two run at a time, since they wait more than they work (for pg_cron's next
# minute, say); they are shown one after the other.

. "$(dirname "$0")/../test/lib.sh"

[ $# -gt 0 ] || set -- "$TOP"/examples/*/run.sh
NAMES=()
for name in "$@"; do
	name=${name%/run.sh}
	NAMES+=("${name##*/}")
done
SINCE=$SECONDS

# What any of them asks for, since apt-get does not run twice at a time.
mapfile -t PACKAGES < <(cd "$TOP/examples" &&
	sed -n 's/^need_server_packages *//p' "${NAMES[@]/%//run.sh}" | xargs -rn 1)
need_server_packages ${PACKAGES[@]+"${PACKAGES[@]}"}
begin_scratch
build
export BUILT=$SCRATCH/usr OUT=$SCRATCH/out EXAMPLES=$TOP/examples
printf '%s\n' "${NAMES[@]}" | setsid xargs -P 2 -I{} sh -c '
	echo $$ >"$OUT/{}.pid"
	"$EXAMPLES/{}/run.sh" >"$OUT/{}.log" 2>&1
	echo $? >"$OUT/{}.status"' &
GROUP=$!

for name in "${NAMES[@]}"; do
	until [ -s "$OUT/$name.pid" ] && [ -e "$OUT/$name.log" ]; do sleep 0.2; done
	printf '\n==== %s\n' "$name"
	tail -n +1 -f --pid="$(cat "$OUT/$name.pid")" "$OUT/$name.log"
	[ "$(cat "$OUT/$name.status")" -eq 0 ] || exit 1
done
wait "$GROUP" || true
GROUP=
printf '\n%d scenarios, [%d s]\n' ${#NAMES[@]} $((SECONDS - SINCE))
