# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Functions that the scripts share; to be sourced.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${IOASID_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ioasid}
me=${0##*/}

# Patterns that a kernel log must not contain.
# shellcheck disable=SC2034 # used by the scripts that source this
bad_in_log='WARNING: |BUG: |BUG at |Oops|KASAN: |UBSAN: |kmemleak: [0-9]+ new|unreferenced object|Kernel panic|general protection'
bad_in_log+='|refcount_t: |ODEBUG: |INFO: (task|rcu|trying|possible)|list_(add|del) corruption|soft lockup|workqueue lockup|init: timeout'

say() { echo "$me: $*" >&2; }
die() { say "$*"; exit 1; }

# need COMMAND=PACKAGE... - install the Debian packages of missing commands
# (or of missing files, where COMMAND is a path).  Tells, unless QUIET is set.
need() {
	local pair missing=() sudo=()

	for pair; do
		case $pair in
		/*) [ -e "${pair%%=*}" ] ;;
		*) PATH=$PATH:/sbin:/usr/sbin command -v "${pair%%=*}" >/dev/null ;;
		esac || missing+=("${pair#*=}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "please install: ${missing[*]}"
	[ "$(id -u)" = 0 ] || sudo=(sudo)
	[ -n "${QUIET:-}" ] || say "installing ${missing[*]}"
	mkdir -p "$cache"
	# One at a time: apt fails when its own lock is taken.
	(
		flock 9
		apt_quiet "${sudo[@]}" -- install -y --no-install-recommends "${missing[@]}"
	) 9>"$cache/apt.lock"
}

# apt_quiet [sudo] -- ARGS... - run apt-get, and print its output only if it fails;
# fetch package lists anew when the first try fails.
apt_quiet() {
	local pre=() log try

	while [ "$1" != -- ]; do pre+=("$1"); shift; done
	shift
	log=$(mktemp)
	for try in 1 2; do
		if "${pre[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
			-o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null; then
			rm -f "$log"
			return 0
		fi
		[ "$try" = 2 ] ||
			"${pre[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 </dev/null || true
	done
	cat "$log" >&2
	rm -f "$log"
	die "apt-get failed"
}

archive_keys=/usr/share/keyrings/debian-archive-keyring.gpg

# archive_of main|security - where the machine's own apt has Debian's archive from
archive_of() {
	local main

	# shellcheck disable=SC2016 # apt's own $()
	apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
		awk -v part="$1" '($1 ~ /-security$/) == (part == "security") && !n++ { print $2 }' | grep . && return
	[ "$1" = security ] || die "apt knows no mirror of Debian"
	main=$(archive_of main)
	echo "${main%/}-security"
}

# sources_of SUITE - what apt needs to install packages of that Debian from there
sources_of() {
	local main security

	main=$(archive_of main)
	security=$(archive_of security)
	echo "deb [signed-by=$archive_keys] $main $1 main"
	echo "deb [signed-by=$archive_keys] $security $1-security main"
}

# our_files - every file of the repository that lies at a kernel path
our_files() {
	(
		cd "$repo" || exit
		if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
			git -c safe.directory='*' ls-files -co --exclude-standard -- \
				include drivers tools Documentation
		else
			find include drivers tools Documentation -type f 2>/dev/null || true
		fi | sort -u | while read -r f; do
			if [ -f "$f" ]; then echo "$f"; fi
		done
	)
}

# A script that has no usage() of its own shows its head.
case ${1:-} in
-h | --help)
	if ! grep -q '^usage()' "$0"; then
		sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0"
		exit
	fi
	;;
esac
