# Sourced by each finding: pinned packages of Debian 12 in a folder of their own, and the judgement.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
arch=$(gcc -print-multiarch)

# unpack NAME=VERSION...: below $tmp/root, where loader and compiler look first.
unpack() {
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$@")
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$tmp/root"
	done
	export LD_LIBRARY_PATH="$tmp/root/usr/lib/$arch"
	echo "With $*:"
}

# compile LIBRARY...: $tmp/finding of the C program on standard input.
compile() {
	gcc -x c -o "$tmp/finding" - -I"$tmp/root/usr/include" -I"$tmp/root/usr/include/sofia-sip-1.12" \
		-L"$tmp/root/usr/lib/$arch" $(printf ' -l%s' "$@")
}

# judge EXPECTED: standard input is what was seen.
judge() {
	seen=$(cat)
	printf '%s\n' "$seen" | sed 's/^/    /'
	[ "$seen" = "$1" ] && return
	printf 'CHANGED, it was:\n%s\n' "$1" >&2
	exit 1
}
