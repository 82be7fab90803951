#!/usr/bin/env bash
# Writes docs/interop.md: unmodified third-party programs at the interfaces of `landfall euicc serve`.
#
#   docs/interop/record.sh PACKAGE > docs/interop.md
#
# PACKAGE is a profile package of TS.48 (the GSMA's test profile, NoBERTLV). On the PATH: landfall, lpac, pySim-shell.py,
# euicc_go (the program in this folder), opensc-tool, scriptor, socat, jq. pcscd must be running, with the reader vpcd and no other
# card in its slots. The script uses ports 7443, 7444 and 7480 of the loopback interface. It reports a missing program and omits its
# section.
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
    local log=$work/log.${#started[@]}
    "$@" >"$log" 2>&1 &
    started+=($!)
    for _ in $(seq 100); do
        sleep 0.1
        grep -q "$until" "$log" && return
    done
    echo "$* did not start:" >&2
    cat "$log" >&2
    exit 1
}

# Stops the server that was started last.
stop() {
    kill "${started[-1]}"
    wait "${started[-1]}" 2>/dev/null
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

# Runs a command, and writes one row into the file: the name of the operation, and what the program reported last.
# A result in JSON is that of lpac: its message, or the data that `shown` (a jq filter) selects from a success.
row() {
    local last
    last=$(timeout 60 bash -c "${*:3}" 2>&1 | grep -v '^$' | tail -n 1 | sed -E 's/^error: //; s/^bash: line 1: +[0-9]+ Aborted .*/aborts/')
    if [[ $last == \{* ]]; then
        last=$(jq -r "if .type == \"notification\" then \"a notification\" elif .payload.code != 0 then .payload.message else .payload.data | ${shown:-\"success\"} end" <<<"$last")
    fi
    printf '%s\t%s\n' "$2" "${last:-does not end}" >>"$1"
}

# Prints the rows of several files as one table. The arguments are pairs of a caption and a file.
table() {
    local captions="Command" rule="---" files=()
    while [ $# -gt 0 ]; do
        captions+=" | $1" rule+="|---" files+=("$2")
        shift 2
    done
    printf '| %s |\n|%s|\n' "$captions" "$rule"
    paste "${files[@]}" | awk -F'\t' '{ row = "| " $1; for (column = 2; column <= NF; column += 2) row = row " | " $column; print row " |" }'
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
printf '| euicc-go | %s |\n' "${EUICC_GO_COMMIT:-unknown commit}"

. "$here/sections.sh"
cat "$here/programs.md"
