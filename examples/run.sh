#!/bin/bash
#
# examples/run.sh [NAME...]
#	Run the scenarios of examples/, or those named, with one build for all.

. "$(dirname "$0")/../test/lib.sh"

[ $# -gt 0 ] || set -- "$TOP"/examples/*/run.sh
SINCE=$SECONDS

need_server_packages
begin_scratch
build
export BUILT=$SCRATCH/usr
for name in "$@"; do
	name=${name%/run.sh}
	name=${name##*/}
	printf '\n==== %s\n' "$name"
	"$TOP/examples/$name/run.sh"
done
printf '\n%d scenarios, [%d s]\n' $# $((SECONDS - SINCE))
