#!/bin/bash
# Prints the listeners of a secured node as properties: secure.sh PKI_DIR BASE_PORT. Their ports count from the base.
# Nothing between nodes is plain: controllers show certificates, brokers log in by SCRAM over TLS. Nobody may do anything without an entry
# of access control, except the super users: admin, alice, and who shows a certificate of `client` or `client-ec`. The user `guest` and
# the certificate of that name have no rights.
set -eu
pki=$1 base=$2
port() { echo $((base + $1)); }
names= map= advertised=
listener() {
  names+="${names:+,}$1://127.0.0.1:$(port "$2")"
  advertised+="${advertised:+,}$1://localhost:$(port "$2")"
  map+="${map:+,}$1:$3"
}
listener TLS 0 SSL; listener MTLS 1 SSL; listener WRONGHOST 2 SSL; listener EXPIRED 3 SSL; listener SELFSIGNED 4 SSL
listener OTHERCA 5 SSL; listener TLS12 6 SSL; listener TLS13 7 SSL; listener FUTURE 8 SSL
listener SCRAM 10 SASL_SSL; listener OAUTHU 11 SASL_SSL; listener OAUTHJ 12 SASL_SSL
listener CLEAR 13 SASL_PLAINTEXT; listener REAUTH2 14 SASL_PLAINTEXT; listener REAUTH30 15 SASL_SSL; listener TOKEN 16 SASL_SSL
listener REAUTH2TLS 17 SASL_SSL
listener PLAIN 20 PLAINTEXT
cat <<P
listeners=$names,CONTROLLER://127.0.0.1:$(port 99)
advertised.listeners=$advertised
listener.security.protocol.map=$map,CONTROLLER:SSL
inter.broker.listener.name=SCRAM
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
num.network.threads=1
ssl.keystore.type=PEM
ssl.keystore.location=$pki/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$pki/ca.pem
ssl.enabled.protocols=TLSv1.3,TLSv1.2
listener.name.controller.ssl.client.auth=required
listener.name.mtls.ssl.client.auth=required
listener.name.tls12.ssl.enabled.protocols=TLSv1.2
listener.name.tls12.ssl.protocol=TLSv1.2
listener.name.tls13.ssl.enabled.protocols=TLSv1.3
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:CN=broker;User:admin;User:alice;User:CN=client;User:CN=client-ec
delegation.token.secret.key=ottla-test
P
for pair in wronghost:wronghost expired:expired selfsigned:selfsigned otherca:othersigned future:future; do
  printf 'listener.name.%s.ssl.keystore.type=PEM\nlistener.name.%s.ssl.keystore.location=%s/%s.pem\n' \
    "${pair%:*}" "${pair%:*}" "$pki" "${pair#*:}"
done
module=org.apache.kafka.common.security
for name in scram clear reauth2 reauth30 token reauth2tls; do
  cat <<P
listener.name.$name.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.$name.scram-sha-256.sasl.jaas.config=$module.scram.ScramLoginModule required;
listener.name.$name.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required username="admin" password="admin-secret";
listener.name.$name.plain.sasl.jaas.config=$module.plain.PlainLoginModule required user_alice="alice-secret" user_admin="admin-secret" user_guest="guest-secret";
P
done
for mechanism in scram-sha-256 scram-sha-512 plain; do
  echo "listener.name.reauth2.$mechanism.connections.max.reauth.ms=2000"
  echo "listener.name.reauth2tls.$mechanism.connections.max.reauth.ms=2000"
  echo "listener.name.reauth30.$mechanism.connections.max.reauth.ms=30000"
done
# Tokens without a signature, and tokens signed by jwt.key. The validator's line must not have the prefix of the mechanism.
cat <<P
listener.name.oauthu.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauthu.oauthbearer.sasl.jaas.config=$module.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker" unsecuredValidatorAllowableClockSkewMs="3000";
listener.name.oauthu.oauthbearer.sasl.server.callback.handler.class=$module.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler
listener.name.oauthj.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauthj.oauthbearer.sasl.jaas.config=$module.oauthbearer.OAuthBearerLoginModule required;
listener.name.oauthj.oauthbearer.sasl.server.callback.handler.class=$module.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.oauthj.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://$pki/jwks.json
listener.name.oauthj.sasl.oauthbearer.jwt.validator.class=$module.oauthbearer.BrokerJwtValidator
listener.name.oauthj.oauthbearer.sasl.oauthbearer.expected.audience=kafka
listener.name.oauthj.oauthbearer.sasl.oauthbearer.expected.issuer=https://issuer.example
P
