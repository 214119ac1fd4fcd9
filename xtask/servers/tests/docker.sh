#!/bin/sh
# A `docker` without an engine: records how it is called next to the link that it is called by. There are the commands that
# `run` runs, and the port that its container publishes.
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case $1 in
run) . "$here/run" ;;
port) echo "127.0.0.1:$(cat "$here/port")" ;;
esac
