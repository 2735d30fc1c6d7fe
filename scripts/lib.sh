# Shared by the scripts in this directory: where things live, and how to say what is wrong.
# Source it; it defines names and changes nothing.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${CAMBRIAN_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/cambrian}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# All packages of deploy/packages.txt, or only those of the sets named, one a line.
packages() {
  awk -v sets=" $* " '!/^#/ && NF { if (sets == "  " || index(sets, " " $1 " ")) print $2 }' \
    "$repo/deploy/packages.txt" | sort -u
}

# The private Debian 13 root that belongs to this package list. A changed list makes a new root.
root_directory() {
  printf '%s/root-%s\n' "$cache" "$(packages | sha256sum | cut -c1-12)"
}

# True where the host itself is Debian 13 with every package of the list: no private root is needed.
host_is_ready() {
  [ "$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" = trixie ] || return 1
  local listed installed
  mapfile -t listed < <(packages)
  # One question for all: scripts/dev asks it each time.
  installed=$(dpkg-query -W -f='${db:Status-Status}\n' "${listed[@]}" 2>/dev/null |
    grep -c '^installed$')
  [ "$installed" -ge ${#listed[@]} ]
}
