#!/bin/sh
# Makes a checkout ready to run: its npm packages (Node 24 is one of them) and, with --tests, the Debian packages that
# tests and benchmarks put beside the program. The npm scripts call it every time, so it says and changes nothing when
# nothing is missing, and two of them may run at once; ./evenkeel calls it only while there is no Node 24. All it says
# goes to standard error: standard output belongs to the program that is started next. Exit code 1: the checkout cannot
# run; a missing Debian package is no such thing, the tests that need it are skipped and say so.
#
# It must not start or enable a service, change package-lock.json, or replace a file of the machine's administrator.
set -eu
export LC_ALL=C

root=$(cd -- "$(dirname -- "$0")/.." && pwd)
state=$root/.evenkeel
log=$state/setup.log
stamp=$root/node_modules/.evenkeel-lock
node=$root/node_modules/.bin/node
policy=/usr/sbin/policy-rc.d
policy_mark='# Written by the setup of evenkeel for the time of one installation.'

# The one list of what tests and benchmarks need from Debian: command (or a file), package, services that the package
# brings, and the release that has it where the machine's own has not.
debian_packages='
nginx                                       nginx               nginx      -
/usr/lib/nginx/modules/ngx_stream_module.so libnginx-mod-stream -          -
haproxy                                     haproxy             haproxy    -
wrk                                         wrk                 -          -
curl                                        curl                -          -
ip                                          iproute2            -          -
nft                                         nftables            nftables   -
conntrack                                   conntrack           -          -
ps                                          procps              -          -
keepalived                                  keepalived          keepalived -
tshark                                      tshark              -          -
promtool                                    prometheus          prometheus -
etcd                                        etcd-server         etcd       -
nsd                                         nsd                 nsd        -
consul                                      consul              consul     bullseye
'

say() { printf 'evenkeel: %s\n' "$*" >&2; }

fail() {
  say "$1"
  if [ -s "$log" ]; then
    say "the end of $log:"
    tail -n 20 "$log" >&2
  fi
  exit 1
}

# Waits for the lock in file $1, which is held until this script ends (descriptor 9 or 8, given as $2).
lock() {
  command -v flock >/dev/null 2>&1 || return 0
  eval "exec $2>>\"\$1\""
  flock -n "$2" && return 0
  say "waiting for another setup that is at work"
  flock "$2"
}

# ---- npm packages

npm_ready() { [ -x "$node" ] && cmp -s "$root/package-lock.json" "$stamp"; }

# The Node of the machine must run npm: ours may be replaced under its feet.
without_our_bin() {
  rest=$PATH: kept=
  while [ -n "$rest" ]; do
    entry=${rest%%:*} rest=${rest#*:}
    case $entry in "$root/node_modules/.bin") ;; *) kept=${kept:+$kept:}$entry ;; esac
  done
  printf '%s' "$kept"
}

node_wanted() { sed -n 's/^ *"version": *"\([^"]*\)".*/v\1/p' "$root/node_modules/node/package.json"; }
node_works() { [ -f "$root/node_modules/node/package.json" ] && [ "$("$node" --version 2>/dev/null)" = "$(node_wanted)" ]; }

restore_lock() {
  [ -f "$state/package-lock.json" ] || return 0
  cmp -s "$state/package-lock.json" "$root/package-lock.json" || cp "$state/package-lock.json" "$root/package-lock.json"
  rm -f "$state/package-lock.json"
}

install_npm_packages() {
  cd "$root"
  PATH=$(without_our_bin)
  export PATH
  command -v npm >/dev/null 2>&1 || fail "npm is missing: install Node 20 or newer with npm (Debian: packages nodejs and npm)"
  say "installing the npm packages, Node 24 among them (seconds to a minute)"
  : >"$log"
  restore_lock # what an interrupted run left
  cp package-lock.json "$state/package-lock.json"
  rm -f "$stamp"
  # Not `npm ci`: it refuses a lock that lacks other platforms' optional packages. Not the caller's log level: under
  # `npm -s` a failure would be silent. The lock is the truth, so what npm's own taste changes in it is taken back.
  npm install --no-audit --no-fund --include=dev --include=optional --loglevel=error >>"$log" 2>&1 9>&- ||
    fail "npm install failed"
  restore_lock
  if ! node_works; then
    # An npm that is told to run no install scripts leaves the package `node` empty: do what its script does.
    say "npm ran no install script; fetching Node 24 without it"
    (cd node_modules/node && node installArchSpecificPackage) >>"$log" 2>&1 9>&- || fail "Node 24 could not be installed"
    ln -sf ../node/bin/node node_modules/.bin/node
  fi
  node_works || fail "node_modules/.bin/node should be $(node_wanted) and is '$("$node" --version 2>&1 || true)'"
  cp package-lock.json "$stamp"
  say "ready, with Node $("$node" --version)"
}

# ---- Debian packages

# All of them, or those of release $1 (`-`: the machine's own).
missing_packages() {
  printf '%s' "$debian_packages" | while read -r tool package services release; do
    [ -n "$tool" ] || continue
    [ "${1-$release}" = "$release" ] || continue
    case $tool in
      /*) [ -e "$tool" ] || printf '%s ' "$package" ;;
      *) command -v "$tool" >/dev/null 2>&1 || printf '%s ' "$package" ;;
    esac
  done
}

services_of() {
  printf '%s' "$debian_packages" | while read -r tool package services release; do
    case " $1 " in *" $package "*) [ "$services" = - ] || printf '%s ' "$services" ;; esac
  done
}

remove_policy() {
  [ "$(sed -n 2p "$policy" 2>/dev/null || true)" = "$policy_mark" ] || return 0
  rm -f "$policy"
}

# Debian's way to install a server without starting it: a policy that refuses. It is asked for the service's name and
# for the unit's; about other services ours has no opinion. One that exists is asked, not replaced.
refuse_starts() {
  names=
  for service in $(services_of "$1"); do names="$names $service $service.service"; done
  if [ -e "$policy" ]; then
    for name in $names; do
      code=0
      "$policy" "$name" start >/dev/null 2>&1 || code=$?
      [ "$code" = 101 ] || return 1
    done
    return 0
  fi
  printf '#!/bin/sh\n%s\ncase " %s " in *" $1 "*) exit 101 ;; esac\nexit 104\n' "$policy_mark" "$names" >"$policy.evenkeel"
  chmod 755 "$policy.evenkeel"
  mv "$policy.evenkeel" "$policy"
}

missing_releases() {
  printf '%s' "$debian_packages" | while read -r tool package services release; do
    [ -n "$tool" ] && [ "$release" != - ] && printf '%s\n' "$release"
  done | sort -u | while read -r release; do
    [ -z "$(missing_packages "$release")" ] || printf '%s ' "$release"
  done
}

apt_get() { apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 8>&- 9>&-; }

# Packages $2 from release $1. The machine's own lists neither name that release nor come to know of it: its list lies in a
# folder of its own for the time of this call, so no later upgrade takes anything else from it. Its archive is the one that
# the machine uses for Debian, its signatures are checked with Debian's own keys.
install_from_release() {
  keys=/usr/share/keyrings/debian-archive-keyring.gpg packages=$2 code=0
  if [ ! -r "$keys" ]; then
    echo "$keys is missing: is this no Debian?" >>"$log"
    return 1
  fi
  # shellcheck disable=SC2016 # apt's own variables
  archive=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null 8>&- 9>&- |
    sed -n 's/^Debian //p' | head -n 1)
  lists=$(mktemp -d)
  chmod 755 "$lists" # apt fetches as a user of its own
  mkdir "$lists/lists"
  printf 'deb [signed-by=%s] %s %s main\n' "$keys" "${archive:-http://deb.debian.org/debian}" "$1" >"$lists/release.list"
  set -- -o Dir::Etc::sourcelist="$lists/release.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$lists/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  # shellcheck disable=SC2086 # one word a package
  { apt_get "$@" update && apt_get "$@" install $packages; } || code=1
  rm -rf "$lists"
  lists=
  return "$code"
}

install_debian_packages() {
  missing=$1
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "missing for some tests and the benchmarks: $missing(only root on Debian can have them installed; the tests that need them are skipped)"
    return 0
  fi
  mkdir -p /run/lock
  lock /run/lock/evenkeel-setup 8
  lists=
  clean() { restore_lock && remove_policy && { [ -z "$lists" ] || rm -rf "$lists"; }; }
  remove_policy # what an interrupted run left
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if ! refuse_starts "$missing"; then
    say "not installing $missing: $policy would let their services start. Install them yourself; the tests that need them are skipped"
    return 0
  fi
  say "installing Debian packages for the tests: $missing"
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  : >"$log"
  own=$(missing_packages -)
  if [ -n "$own" ]; then
    apt_get update || say "apt-get update failed; trying with the lists that are there"
    # shellcheck disable=SC2086 # one word a package
    apt_get install $own || true
  fi
  for release in $(missing_releases); do
    install_from_release "$release" "$(missing_packages "$release")" || true
  done
  # Neither now nor after the next boot: an installed server's unit is enabled by its package.
  for service in $(services_of "$missing"); do
    if command -v update-rc.d >/dev/null 2>&1; then update-rc.d "$service" disable >>"$log" 2>&1 || true; fi
  done
  remove_policy
  missing=$(missing_packages)
  if [ -n "$missing" ]; then
    say "apt-get could not install $missing(the tests that need them are skipped); the end of $log:"
    tail -n 10 "$log" >&2
  fi
}

# ---- what is asked for

tests=no
for argument in "$@"; do
  case $argument in
    --tests) tests=yes ;;
    *) say "usage: sh tools/setup.sh [--tests]" && exit 1 ;;
  esac
done

# A user's PATH lacks the folders where Debian keeps servers.
PATH=$PATH:/usr/sbin:/sbin
npm_missing=no debian_missing=
npm_ready || npm_missing=yes
[ "$tests" = no ] || debian_missing=$(missing_packages)
[ "$npm_missing$debian_missing" != no ] || exit 0

mkdir -p "$state"
lock "$state/setup.lock" 9
# Set once the lock is ours: one that was ended while it waited must not undo another's work.
clean() { restore_lock; }
trap clean EXIT
trap 'exit 1' HUP INT TERM
npm_ready || install_npm_packages
[ -z "$debian_missing" ] || install_debian_packages "$debian_missing"
