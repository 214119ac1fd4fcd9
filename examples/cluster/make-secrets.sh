#!/usr/bin/env bash
# Makes the secrets of this set-up in ./secrets, which only you can enter; what is there already stays as it is.
#
# The files themselves can be read by all: each is mounted by itself into containers whose users have other numbers.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# put NAME: writes the standard input into a new file, whole or not at all.
put() {
    [ -e "$1" ] && { cat >/dev/null; return; }
    cat >".$1.new"
    chmod 444 ".$1.new"
    mv ".$1.new" "$1"
    echo "made secrets/$1"
}

# Keys of Lucida's own API: for applications, and for Prometheus.
random | put lucida_key_app
random | put lucida_key_prometheus

# MinIO: the administrator, and the user that Lucida is (storage.s3.access_key_id).
printf minio-admin | put minio_root_user
random | put minio_root_password
random | put s3_secret_access_key

# MongoDB: the administrator, what members of the replica set know each other by, and the user that Lucida is.
random | put mongodb_root_password
random | put mongodb_keyfile
random | put mongodb_password
printf 'mongodb://lucida:%s@mongodb:27017/?replicaSet=rs0&authSource=lucida' "$(cat mongodb_password)" | put mongodb_uri

# Qdrant reads its key from a configuration file.
random | put qdrant_api_key
printf 'service:\n  api_key: %s\n' "$(cat qdrant_api_key)" | put qdrant.yaml

# RabbitMQ reads its first user from a configuration file.
random | put rabbitmq_password
printf 'default_user = lucida\ndefault_pass = %s\n' "$(cat rabbitmq_password)" | put rabbitmq.conf
printf 'amqp://lucida:%s@rabbitmq:5672/%%2f' "$(cat rabbitmq_password)" | put rabbitmq_uri

random | put grafana_admin_password
