#!/bin/sh
# Makes the secrets of deploy/compose.yaml, once: what is there stays as it is.
set -eu
cd "${1:-$(dirname "$0")}"
mkdir -p secrets
chmod 700 secrets

word() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# The programs in the containers are other users than yours; nobody else gets into the folder.
keep() {
    [ -e "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
    chmod 644 "secrets/$1"
}

keep mysql_password "$(word)"
keep redis_password "$(word)"
keep jwt_secret "$(word)$(word)"
keep service_token "$(word)"
keep database_url "mysql://switchboard:$(cat secrets/mysql_password)@mysql:3306/switchboard"
keep redis_url "redis://:$(cat secrets/redis_password)@redis:6379"
keep redis_conf "dir /data
appendonly yes
requirepass $(cat secrets/redis_password)"
