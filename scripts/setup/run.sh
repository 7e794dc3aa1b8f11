#!/usr/bin/env bash
# Runs a command in .venv, with this workspace's overlay when it was built against a sourced ROS 2.
set -eo pipefail
cd "$(dirname "$0")/../.."
if [ -f install/setup.bash ]; then . install/setup.bash; fi
PATH=$PWD/.venv/bin:$PATH exec "$@"
