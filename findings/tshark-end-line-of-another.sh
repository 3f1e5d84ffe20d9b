#!/bin/sh
# tshark ends an MSRP frame at the first line of its body that begins like an end-line, whatever
# transaction it names, and be the line before it ended by a bare LF: of a chunk that goes on (+) and
# quotes another frame's last line it says that it is the last one ($).
. "$(dirname "$0")/lib.sh"
version=4.0.17-0+deb12u3
unpack tshark=$version libwireshark16=$version libwireshark-data=$version libwiretap13=$version \
	libwsutil14=$version
python3 - "$tmp/capture" <<'P'
import struct
import sys

body = b'It ended so:\n-------another1$\nand I wonder why.'
frame = (b'MSRP first111 SEND\r\nTo-Path: msrp://127.0.0.2:2855/b;tcp\r\n'
         b'From-Path: msrp://127.0.0.1:9/a;tcp\r\nMessage-ID: message1\r\nByte-Range: 1-*/100\r\n'
         b'Content-Type: text/plain\r\n\r\n%s\r\n-------first111+\r\n' % body)
tcp = struct.pack('!HHIIBBHHH', 9, 2855, 1, 1, 5 << 4, 0x18, 65535, 0, 0)
ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40 + len(frame), 1, 0, 64, 6, 0,
                 bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2)))
packet = ip + tcp + frame
with open(sys.argv[1], 'wb') as file:
    file.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
    file.write(struct.pack('<IIII', 0, 0, len(packet), len(packet)) + packet)
P
HOME=$tmp WIRESHARK_DATA_DIR="$tmp/root/usr/share/wireshark" "$tmp/root/usr/bin/tshark" -r "$tmp/capture" \
	-d tcp.port==2855,msrp -T fields -E separator=' ' -e msrp.transaction.id -e msrp.cnt.flg 2>/dev/null |
	sed 's/^/of first111, which ends by +: /' |
	judge "of first111, which ends by +: first111,another1 \$"
