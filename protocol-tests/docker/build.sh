#!/bin/bash
# Builds the images ottla-kafka:VERSION from the released jars, without any image registry. Needs root, a JDK 17 and Maven.
# The root file system, the runtime and the jars are kept in $OTTLA_CACHE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${OTTLA_CACHE:-$HOME/.cache/ottla}
mkdir -p "$cache"

"$here/jars.sh" "$@"

if ! docker image inspect ottla-base:local >/dev/null 2>&1; then
  if [ ! -f "$cache/root.tar" ]; then
    # The mirror that apt itself uses here.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    rm -rf "$cache/root"
    debootstrap --variant=minbase bookworm "$cache/root" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
      { tail -n 5 "$cache/debootstrap.log" >&2; exit 1; }
    tar -C "$cache/root" -cf "$cache/root.tar.part" . && mv "$cache/root.tar.part" "$cache/root.tar"
    rm -rf "$cache/root"
  fi
  docker import "$cache/root.tar" ottla-base:local >/dev/null
fi
if [ ! -d "$cache/jre" ]; then
  jlink --add-modules java.se,jdk.unsupported,jdk.crypto.ec,jdk.management --strip-debug --no-header-files --no-man-pages \
    --output "$cache/jre.part" && mv "$cache/jre.part" "$cache/jre"
fi
for version in "$@"; do
  docker image inspect "ottla-kafka:$version" >/dev/null 2>&1 && continue
  context=$(mktemp -d "$cache/context.XXXXXX")
  cp -r "$cache/jre" "$context/jre"
  cp -r "$cache/jars/$version" "$context/libs"
  cp "$here/kafka-run-class.sh" "$here/Dockerfile" "$context/"
  chmod +x "$context/kafka-run-class.sh"
  DOCKER_BUILDKIT=0 docker build -q -t "ottla-kafka:$version" "$context" >/dev/null 2>"$cache/build.log" || { cat "$cache/build.log" >&2; exit 1; }
  rm -rf "$context"
done
