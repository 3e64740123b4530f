# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by vm: a QEMU whose VT-d has first-stage tables, in $qemu. That is
# QEMU 10; where the installed one is older, Debian's backport of it is
# unpacked into the cache, not installed.

has_first_stage() { "$@" -device intel-iommu,help 2>/dev/null | grep -q x-flts; }

fetch_qemu10() {
	local codename mirror conf=$1.conf

	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016 # apt's own $()
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk -v c="$codename" '$2 == c { print $1; exit }')
	[ -n "$mirror" ] || die "no mirror of Debian $codename known to apt"
	say "fetching QEMU 10 from $codename-backports"
	rm -rf "$1.new" "$conf"
	mkdir -p "$1.new" "$conf"/{lists/partial,archives/partial}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $codename-backports main" \
		>"$conf/sources.list"
	(
		cd "$conf" || exit
		apt=(apt-get -qq -o Dir::Etc::SourceList="$conf/sources.list" -o Dir::Etc::SourceParts=/dev/null
			-o Dir::State::Lists="$conf/lists" -o Dir::Cache="$conf" -o APT::Sandbox::User=root
			-o APT::Get::List-Cleanup=0)
		"${apt[@]}" update
		"${apt[@]}" -t "$codename-backports" download qemu-system-x86 qemu-system-common qemu-system-data
		for deb in *.deb; do dpkg -x "$deb" "$1.new"; done
	) </dev/null >&2
	rm -rf "$conf" "$1"
	mv "$1.new" "$1"
}

# shellcheck disable=SC2154 # of lib.sh
qemu10=$cache/qemu10
if has_first_stage "$qemu"; then
	:
else
	mkdir -p "$cache"
	(
		flock 9
		[ -x "$qemu10/usr/bin/qemu-system-x86_64" ] || fetch_qemu10 "$qemu10"
	) 9>"$cache/qemu10.lock"
	qemu=$qemu10/usr/bin/qemu-system-x86_64
	args+=(-L /usr/share/seabios -L "$qemu10/usr/share/qemu" -L "$qemu10/usr/share/seabios")
	need ldd=libc-bin
	if ldd "$qemu" | grep 'not found' >&2; then die "$qemu lacks libraries"; fi
fi
