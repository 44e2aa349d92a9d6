#!/bin/bash
# certs.sh DIR NODE NODE_IP API_IP: the certificate authorities, certificates and kubeconfigs of a cluster.
set -eu
D=$1 NODE=$2 NODE_IP=$3 API_IP=$4
[ -e "$D/complete" ] && exit 0
rm -rf "$D" && mkdir -p "$D" && chmod 0700 "$D" && cd "$D"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }
# Python from 3.13 on verifies strictly: an authority needs keyUsage, what it signs an authority key identifier.
authority() { key "$1" && openssl req -x509 -new -key "$1.key" -days 3650 -subj "/CN=$2" -addext keyUsage=critical,keyCertSign,cRLSign -out "$1.crt"; }
sign() { # name subject authority usage [names]
        key "$1"
        openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
        openssl x509 -req -in "$1.csr" -CA "$3.crt" -CAkey "$3.key" -set_serial "0x$(openssl rand -hex 8)" -days 3650 -out "$1.crt" -extfile <(
                printf '%s\n' "extendedKeyUsage=$4" keyUsage=digitalSignature,keyEncipherment basicConstraints=CA:FALSE subjectKeyIdentifier=hash authorityKeyIdentifier=keyid ${5:+"subjectAltName=$5"}
        ) 2>/dev/null
        rm "$1.csr"
}
authority ca kubernetes
authority front-ca front-proxy-ca
openssl genrsa -out sa.key 2048 2>/dev/null && openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
service=kubernetes.default.svc
sign apiserver /CN=kube-apiserver ca serverAuth "DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$API_IP,IP:$NODE_IP"
sign kubelet-server "/CN=$NODE" ca serverAuth "DNS:$NODE,IP:$NODE_IP,IP:127.0.0.1"
sign front-client /CN=front-proxy-client front-ca clientAuth
sign admin /O=system:masters/CN=admin ca clientAuth
sign kcm /CN=system:kube-controller-manager ca clientAuth
sign scheduler /CN=system:kube-scheduler ca clientAuth
sign kubelet "/O=system:nodes/CN=system:node:$NODE" ca clientAuth
sign proxy /CN=system:kube-proxy ca clientAuth
text() { base64 -w0 "$1"; }
for user in admin kcm scheduler kubelet proxy; do
        cat >"$user.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: testbed, cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(text ca.crt)}}]
users: [{name: $user, user: {client-certificate-data: $(text $user.crt), client-key-data: $(text $user.key)}}]
contexts: [{name: testbed, context: {cluster: testbed, user: $user}}]
current-context: testbed
K
done
touch complete
