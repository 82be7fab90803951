# Shared by the scripts of this folder, which source it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
processor=$(uname -m)
built=target/packaging

# Installs the Debian packages that are missing.
debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# True if a program needs no library and no dynamic linker.
is_static() { ! readelf --wide --program-headers "$1" | grep -q INTERP; }

sizes() { du --bytes "$@" | awk '{ printf "%8.1f MiB  %s\n", $1 / 1048576, $2 }'; }
