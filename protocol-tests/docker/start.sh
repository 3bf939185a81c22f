#!/bin/bash
# Starts one broker inside a container or, with HOME_DIR and RUN_CLASS set, on the host from the jars.
# Environment: NODE, PORT, CONTROLLER_PORT, VOTERS (id@host:port,…), REPLICATION, ZOOKEEPER_PORT for releases before KRaft, and
# AUTHORIZER, the class of an authorizer. With PKI, the folder of keys that pki.sh made, the broker has the listeners of secure.sh from
# PORT − 20 on, and PORT is its plain one.
set -eu
dir=${HOME_DIR:-/tmp/kafka}
run=${RUN_CLASS:-/opt/kafka/bin/kafka-run-class.sh}
mkdir -p "$dir/log"
isr=1; [ "$REPLICATION" -gt 1 ] && isr=2
cat > "$dir/server.properties" <<P
log.dirs=$dir/log
num.partitions=4
default.replication.factor=$REPLICATION
min.insync.replicas=$isr
offsets.topic.replication.factor=$REPLICATION
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$REPLICATION
transaction.state.log.min.isr=$isr
transaction.state.log.num.partitions=4
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
replica.lag.time.max.ms=5000
P
if [ -n "${PKI:-}" ]; then
  "$(dirname "$0")/secure.sh" "$PKI" $((PORT - 20)) >> "$dir/server.properties"
  scram=()
  for mechanism in 256 512; do
    scram+=(--add-scram "SCRAM-SHA-$mechanism=[name=admin,password=admin-secret]")
    scram+=(--add-scram "SCRAM-SHA-$mechanism=[name=alice,iterations=8192,password=alice-secret]")
    scram+=(--add-scram "SCRAM-SHA-$mechanism=[name=guest,password=guest-secret]")
  done
  # Without it no URL of keys is read, not even of a file.
  export KAFKA_OPTS="-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://$PKI/jwks.json"
else
  cat >> "$dir/server.properties" <<P
listeners=PLAINTEXT://127.0.0.1:$PORT${CONTROLLER_PORT:+,CONTROLLER://127.0.0.1:$CONTROLLER_PORT}
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT
P
fi
# Chaos: members that die are noticed soon.
[ "$REPLICATION" -gt 1 ] && cat >> "$dir/server.properties" <<P
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=10000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
P
# Access control entries can be stored, and nobody is locked out by them.
[ -n "${AUTHORIZER:-}" ] && cat >> "$dir/server.properties" <<P
authorizer.class.name=$AUTHORIZER
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
P
if [ -n "${ZOOKEEPER_PORT:-}" ]; then
  cat > "$dir/zookeeper.properties" <<P
dataDir=$dir/zookeeper
clientPort=$ZOOKEEPER_PORT
clientPortAddress=127.0.0.1
admin.enableServer=false
P
  cat >> "$dir/server.properties" <<P
broker.id=$NODE
zookeeper.connect=127.0.0.1:$ZOOKEEPER_PORT
P
  "$run" org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zookeeper.properties" &
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$ZOOKEEPER_PORT") 2>/dev/null && break; sleep 0.2; done
else
  cat >> "$dir/server.properties" <<P
process.roles=broker,controller
node.id=$NODE
controller.quorum.voters=$VOTERS
controller.listener.names=CONTROLLER
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
P
  [ -n "${PKI:-}" ] ||
    echo "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT" >> "$dir/server.properties"
  [ -f "$dir/log/meta.properties" ] ||
    "$run" kafka.tools.StorageTool format -t ottlaTestClusterAAAAAA -c "$dir/server.properties" ${scram[@]+"${scram[@]}"} >/dev/null
fi
exec "$run" kafka.Kafka "$dir/server.properties"
