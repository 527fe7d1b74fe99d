#!/usr/bin/env bash
# Installs the packages of tools/packages.txt that are missing; with sudo if this is not root. Says what it does.
set -euo pipefail
cd "$(dirname "$0")/.."
installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

missing=()
while IFS= read -r line; do
  [[ -z $line || $line == \#* ]] && continue
  found=
  for name in ${line//|/ }; do installed "$name" && found=1 && break; done
  [[ -n $found ]] || missing+=("$line")
done < tools/packages.txt
[[ ${#missing[@]} -eq 0 ]] && exit 0

sudo=
if [[ $(id -u) -ne 0 ]]; then
  sudo=sudo
  echo "Installing needs root: sudo will be used for apt-get only."
fi
echo "Installing: ${missing[*]}"
$sudo apt-get update -qq
chosen=()
for line in "${missing[@]}"; do
  pick=
  for name in ${line//|/ }; do
    if apt-cache show "$name" >/dev/null 2>&1; then pick=$name; break; fi
  done
  [[ -n $pick ]] || { echo "No package for '$line' here; Debian 12 and Ubuntu 24.04 have it." >&2; exit 1; }
  chosen+=("$pick")
done
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${chosen[@]}" >/dev/null
