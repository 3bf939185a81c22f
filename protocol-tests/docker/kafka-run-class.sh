#!/bin/sh
# The entry that images of apache/kafka have too, so that start.sh runs in both.
exec java ${KAFKA_HEAP_OPTS:--Xmx512m -Xms128m} -XX:+UseSerialGC $KAFKA_OPTS -cp "/opt/kafka/libs/*" "$@"
