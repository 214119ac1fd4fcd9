#!/usr/bin/env bash
# Asks a process of Lucida in the same container: healthcheck.sh [PORT [PATH]], by default 8080 and /healthz.
# Bash speaks TCP itself, so that the image needs no HTTP client.
set -euo pipefail
port=${1:-8080}
path=${2:-/healthz}

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$path" >&3
IFS= read -r -t 8 status <&3
[[ $status == HTTP/1.?" 200 "* ]] || { echo "$path: $status" >&2; exit 1; }
