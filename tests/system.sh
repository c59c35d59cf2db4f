#!/usr/bin/env bash
# Brings the Debian packages that are named: root installs what is missing, anybody else is told how to.
# Missing is what has no program of the package's main name: a browser or a node from elsewhere serves as well.
set -euo pipefail

declare -A programs=([nodejs]=node [rabbitmq-server]=rabbitmqctl [gcc]=cc [libc6-dev]=gencat)
missing=()
for package in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${programs[$package]:-$package}" > /dev/null || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "not here: ${missing[*]}. Tests that need them are skipped; to have them: sudo apt-get install ${missing[*]}"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
quietly=(-qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

attempt() {
    for pause in 2 10 30 0; do
        "$@" > "$log" 2>&1 && return 0
        sleep "$pause"
    done
    cat "$log" >&2
    return 1
}

echo "installing ${missing[*]}"
attempt apt-get "${quietly[@]}" update
attempt apt-get "${quietly[@]}" install -y --no-install-recommends "${missing[@]}"
