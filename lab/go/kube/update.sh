#!/usr/bin/env bash
# Writes go.mod and go.sum anew for another Kubernetes: lab/go/kube/update.sh 1.37.2
#
# Kubernetes requires its own libraries (k8s.io/api and the like) at v0.0.0 and replaces them by folders of its
# repository. An importer has to replace them by the released modules of the same number, 1.X.Y as v0.X.Y.
set -euo pipefail
cd "$(dirname "$0")"
wanted=${1:?the Kubernetes version, such as 1.37.2}
library=v0.${wanted#1.}
go=$(awk '$1 == "go" {print $2}' go.mod)
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod

upstream=$(go mod download -json "k8s.io/kubernetes@v$wanted" | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
required() { awk -v version="$1" '$2 == version || ($1 == "require" && $3 == version) {print ($1 == "require") ? $2 : $1}' "$upstream"; }
etcd=$(awk '$1 == "go.etcd.io/etcd/client/v3" {print $2}' "$upstream")

rm -f go.mod go.sum
go mod init grpcbalance.dev/lab/kube
go mod edit -go="$go" -require="k8s.io/kubernetes@v$wanted" -require="go.etcd.io/etcd/server/v3@$etcd"
for module in $(required v0.0.0 | grep '^k8s\.io/'); do
  go mod edit -replace="$module=$module@$library"
done
go mod tidy
