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

# unpack_tshark: Debian 12's, for dissect.
unpack_tshark() {
	version=4.0.17-0+deb12u3
	unpack tshark=$version libwireshark16=$version libwireshark-data=$version \
		libwiretap13=$version libwsutil14=$version
}

# dissect FIELD...: of the MSRP on standard input, as one segment of TCP, what tshark finds.
dissect() {
	python3 -c '
import struct
import sys

data = sys.stdin.buffer.read()
tcp = struct.pack("!HHIIBBHHH", 9, 2855, 1, 1, 5 << 4, 0x18, 65535, 0, 0)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 1, 0, 64, 6, 0,
                 bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2)))
packet = ip + tcp + data
sys.stdout.buffer.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
sys.stdout.buffer.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
' >"$tmp/capture"
	HOME=$tmp WIRESHARK_DATA_DIR="$tmp/root/usr/share/wireshark" "$tmp/root/usr/bin/tshark" \
		-r "$tmp/capture" -d tcp.port==2855,msrp -T fields -E separator=' ' $(printf ' -e %s' "$@") \
		2>/dev/null
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
