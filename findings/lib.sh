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

# listen_kamailio PORT: Kamailio with the event_route[msrp:frame-in] on standard input; its log is $tmp/log.
listen_kamailio() {
	cat >"$tmp/kamailio.cfg" <<-C
		#!KAMAILIO
		debug=0
		log_stderror=yes
		children=1
		tcp_children=1
		auto_aliases=no
		listen=tcp:127.0.0.1:$1
		tcp_accept_no_cl=yes
		loadmodule "pv.so"
		loadmodule "xlog.so"
		loadmodule "msrp.so"
		request_route {
			exit;
		}
		event_route[msrp:frame-in] {
		$(cat)
			exit;
		}
	C
	"$tmp/root/usr/sbin/kamailio" -DD -E -m 32 -M 8 -w "$tmp" -Y "$tmp" \
		-L "$tmp/root/usr/lib/$arch/kamailio/modules" -f "$tmp/kamailio.cfg" >"$tmp/out" 2>"$tmp/log" &
	daemon=$!
	trap 'kill "$daemon" 2>/dev/null || true; rm -rf "$tmp"' EXIT
	python3 - "$1" <<-P
		import socket, sys, time
		deadline = time.monotonic() + 20
		while socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))):
		    if time.monotonic() > deadline:
		        sys.exit('kamailio does not listen')
		    time.sleep(0.1)
	P
}
