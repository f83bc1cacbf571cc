#!/usr/bin/env bash
# requirements/*.in -> *.txt: versions and hashes for every platform, no addresses of an index, so that the
# same files install from any mirror. dev.txt first; the services are then held to its versions.
# Usage: lock.sh UV [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/../.."
uv=$1
shift

compile() {
  local name=$1
  shift
  echo "  requirements/$name.txt"
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make lock" "requirements/$name.in" -o "requirements/$name.txt" "$@"
}

compile dev "$@"
for name in token asr llm tts egress motion_sim model_server; do
  compile "$name" -c requirements/dev.txt
done
for name in uv caller_voice eval_voices livekit_build node podman_compose; do
  compile "$name" "$@"
done
for name in peers_livekit peers_pipecat; do
  compile "$name" --config-file requirements/peers.uv.toml "$@"
done
