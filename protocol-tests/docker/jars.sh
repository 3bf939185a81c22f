#!/bin/bash
# Resolves the jars of the named Kafka releases with Maven into $OTTLA_CACHE/jars/VERSION.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${OTTLA_CACHE:-$HOME/.cache/ottla}
for version in "$@"; do
  [ -d "$cache/jars/$version" ] && continue
  profile=tools; [ "${version%%.*}" -lt 3 ] && profile=old
  rm -rf "$cache/jars/$version.part"
  mvn -q -B -f "$here/pom.xml" -P "$profile" "-Dkafka=$version" dependency:copy-dependencies \
    "-DoutputDirectory=$cache/jars/$version.part" -DincludeScope=runtime
  mv "$cache/jars/$version.part" "$cache/jars/$version"
done
