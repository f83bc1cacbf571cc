#!/bin/sh
# Prints the Secrets of the dev overlay with fresh random values:
#   k8s/overlays/dev/secrets.sh | kubectl apply -f -
# The one to know is the API key: kubectl -n visavis get secret api-keys -o jsonpath='{.data.keys}' | base64 -d
set -eu

# Begins with a letter: NATS reads its passwords as configuration, where 123 and 5k are numbers.
random() { printf 'x%s' "$(od -An -tx1 -N20 /dev/urandom | tr -d ' \n')"; }

secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: visavis\nstringData:\n' "$1"
  shift
  for pair; do printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"; done
}

secret nats-passwords "provision=$(random)" "token=$(random)" "asr=$(random)" "llm=$(random)" \
  "tts=$(random)" "egress=$(random)"
secret livekit-keys "api-key=visavis-dev" "api-secret=$(random)"
secret api-keys "keys=dev:$(random)"
# What motion_sim and egress have to agree on.
secret spatius "api-key=$(random)" "app-id=sim-app" "avatar-id=sim-avatar"
