#!/bin/sh
# Starts Redis with the password of REDIS_PASSWORD_FILE; with `check`, asks the one that runs here.
# The password goes through standard input or the environment, never through an argument that others can list.
set -eu

password=$(cat "$REDIS_PASSWORD_FILE")
if [ "${#password}" -lt 16 ]; then
  echo "redis.sh: $REDIS_PASSWORD_FILE holds no password of 16 characters or more." >&2
  exit 2
fi

if [ "${1:-start}" = check ]; then
  REDISCLI_AUTH=$password redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping | grep -q PONG
  exit
fi

exec redis-server "$REDIS_CONFIG" - <<END
bind $REDIS_BIND
port $REDIS_PORT
dir $REDIS_FOLDER
requirepass $password
END
