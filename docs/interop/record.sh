#!/usr/bin/env bash
# Writes docs/interop.md: unmodified third-party programs at the interfaces of `landfall euicc serve`.
#
#   docs/interop/record.sh PACKAGE > docs/interop.md
#
# PACKAGE is a profile package of TS.48 (the GSMA's test profile, NoBERTLV). On the PATH: landfall, lpac, pySim-shell.py,
# opensc-tool, scriptor, socat, jq. pcscd must be running, with the reader vpcd and no other card in its slots. The script uses ports
# 7443, 7444 and 7480 of the loopback interface. It reports a missing program and omits its section.
set -uo pipefail
package=$(realpath "${1:?PACKAGE is missing}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cd "$work" || exit 1
export LANDFALL_DATA_DIR=$work/data LANDFALL_SM_DP=127.0.0.1:7443 LANDFALL_SM_DS=127.0.0.1:7444
export LANDFALL_ADMIN=none LANDFALL_NETWORK=127.0.0.1:7480 LANDFALL_SEED=landfall
unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE
started=()
trap 'kill "${started[@]}" 2>/dev/null; rm -rf "$work"' EXIT

# Starts a server, which runs in the background until the script ends.
serve() {
    "$@" >>"$work/served" 2>&1 &
    started+=($!)
    for _ in $(seq 100); do
        sleep 0.1
        grep -q "$until" "$work/served" && return
    done
    echo "$* did not start:" >&2
    cat "$work/served" >&2
    exit 1
}

# Prints a command and its output. Paths and random values of this run are replaced, and lines are cut at 160 characters.
run() {
    printf '$ %s\n' "$*"
    bash -c "$*" 2>&1 | sed -E \
        -e '/^Using reader with a card|^Using reader PCSC|^WARNING: |^INFO: |^$/d' \
        -e "s#$work/?##g" \
        -e 's/"euicc_challenge": "[0-9a-f]+"/"euicc_challenge": "(random)"/' |
        cut -c1-160 | awk -v most="${lines:-40}" 'NR <= most { print } NR == most + 1 { print "..." }'
}

section() {
    printf '\n## %s\n\n' "$1"
    fmt -w 100 <<<"$2"
    echo
}

has() {
    command -v "$1" >/dev/null || { echo "$1 is not on PATH: its section is omitted" >&2; return 1; }
}

console() {
    printf '```console\n'
    "$@"
    printf '```\n'
}

version() {
    dpkg-query -W -f '${Package} ${Version}' "$1" 2>/dev/null || echo "$1 (not from a package)"
}

cat "$here/intro.md"
printf '\n| program | from |\n|---|---|\n'
printf '| pcscd, vpcd | Debian: %s, %s |\n' "$(version pcscd)" "$(version vsmartcard-vpcd)"
printf '| opensc-tool | Debian: %s |\n' "$(version opensc)"
printf '| scriptor | Debian: %s |\n' "$(version pcsc-tools)"
printf '| socat | Debian: %s |\n' "$(version socat)"
printf '| lpac | %s |\n' "${LPAC_COMMIT:-$(lpac version 2>/dev/null | jq -r .payload.data)}"
printf '| pySim | %s |\n' "${PYSIM_COMMIT:-unknown commit}"

. "$here/sections.sh"
cat "$here/programs.md"
