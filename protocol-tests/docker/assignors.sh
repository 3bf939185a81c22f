#!/bin/bash
# Runs Java's assignors on random groups and writes their results to protocol-tests/golden. Needs a JDK and the jars of jars.sh.
#   assignors.sh           writes the golden rows, for the release in $VERSION (4.3.1)
#   assignors.sh show 17   prints what group 17 goes through
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=${VERSION:-4.3.1}
cache=${OTTLA_CACHE:-$HOME/.cache/ottla}
"$here/jars.sh" "$version"
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac -nowarn -encoding UTF-8 -cp "$cache/jars/$version/*" -d "$classes" "$here/assignors/Assignors.java" 2>/dev/null
run() { java -cp "$classes:$cache/jars/$version/*" Assignors "$@"; }
if [ $# -gt 0 ]; then
  run "$@"
  exit
fi
golden=$here/../golden
run hashes 12000 >"$classes/hashes"
run whole 120 >"$classes/whole"
mv "$classes/hashes" "$golden/assignors-$version.tsv"
mv "$classes/whole" "$golden/assignors-whole-$version.tsv"
