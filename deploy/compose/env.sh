#!/bin/sh
# Prints .env.example with a fresh secret in the place of every GENERATE. Usage: env.sh > .env
set -eu
umask 077
secret() { printf 'v%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }
while IFS= read -r line; do
  case $line in
    '#'*) printf '%s\n' "$line" ;;
    *GENERATE*) printf '%s%s%s\n' "${line%%GENERATE*}" "$(secret)" "${line#*GENERATE}" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <"$(dirname "$0")/../../.env.example"
