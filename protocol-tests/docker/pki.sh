#!/bin/bash
# Makes the keys and certificates of the secured broker in a folder, all PEM: pki.sh DIR. Needs openssl 3.
# NAME.pem is a private key with its chain, as a keystore of a broker or of a client; NAME.crt and NAME.key are its parts.
# Keys that this script has made before are kept, because brokers that run use them.
set -eu
made=$(sha256sum <"$0")
mkdir -p "$1"; cd "$1"
[ "$(cat made 2>/dev/null)" != "$made" ] || exit 0
# The folder itself stays: a container may have it mounted.
rm -rf ./*
day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

# ca NAME: a CA of its own, in NAME.pem.
ca() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout "$1.key" -out "$1.pem" -subj "/CN=ottla $1" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
  : >"$1.index"
  cat >"$1.cnf" <<C
[ca]
default_ca = it
[it]
database = $1.index
new_certs_dir = .
certificate = $1.pem
private_key = $1.key
default_md = sha256
rand_serial = yes
policy = any
email_in_dn = no
unique_subject = no
[any]
commonName = supplied
C
}

# leaf NAME CA CN SAN FIRST LAST [keyAlgorithm…]: a certificate for a broker or a client.
leaf() {
  local name=$1 ca=$2 cn=$3 san=$4 first=$5 last=$6
  shift 6
  [ $# -gt 0 ] || set -- rsa:2048
  openssl req -newkey "$@" -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$cn"
  printf 'extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n%s\n' "${san:+subjectAltName=$san}" >"$name.ext"
  openssl ca -batch -notext -config "$ca.cnf" -in "$name.csr" -out "$name.crt" -extfile "$name.ext" \
    -startdate "$(day "$first")" -enddate "$(day "$last")"
  cat "$name.key" "$name.crt" "$ca.pem" >"$name.pem"
}

{
  ca ca
  ca other
  here="DNS:localhost,IP:127.0.0.1"
  leaf broker ca broker "$here" "1 hour ago" "10 years"
  leaf wronghost ca wronghost "DNS:broker.elsewhere.example" "1 hour ago" "10 years"
  leaf expired ca expired "$here" "2 years ago" "1 year ago"
  leaf future ca future "$here" "5 years" "10 years"
  leaf othersigned other othersigned "$here" "1 hour ago" "10 years"
  leaf client ca client "" "1 hour ago" "10 years"
  leaf client-ec ca client-ec "" "1 hour ago" "10 years" ec -pkeyopt ec_paramgen_curve:P-256
  leaf guest ca guest "" "1 hour ago" "10 years"
  leaf client-expired ca client "" "2 years ago" "1 year ago"
  leaf stranger other stranger "" "1 hour ago" "10 years"
  openssl pkcs8 -topk8 -v2 aes-256-cbc -in client.key -out client-encrypted.key -passout pass:client-secret
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout selfsigned.key -out selfsigned.crt -subj "/CN=selfsigned" \
    -addext "subjectAltName=$here"
  cat selfsigned.key selfsigned.crt >selfsigned.pem

  # The keys of a token server, for tokens that are signed: jwt.key, and jwks.json for the broker.
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out jwt.key
  modulus=$(openssl rsa -in jwt.key -noout -modulus | cut -d= -f2)
  n=$(perl -e 'print pack("H*", $ARGV[0])' "$modulus" | base64 -w0 | tr '+/' '-_' | tr -d '=')
  printf '{"keys":[{"kty":"RSA","kid":"ottla","use":"sig","alg":"RS256","n":"%s","e":"AQAB"}]}\n' "$n" >jwks.json
  rm -f ./*.csr ./*.ext ./*.cnf ./*.index* ./????????????????????????????????????????.pem
} >make.log 2>&1 || { tail -n 5 make.log >&2; exit 1; }
echo "$made" >made
# Containers may run as somebody else.
chmod a+r ./*
