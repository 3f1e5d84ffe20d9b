#!/bin/sh
# tshark shows the first MSRP frame of a TCP segment only: what is pipelined behind it is neither
# listed nor counted, so a capture seems to lack requests and responses that were sent.
. "$(dirname "$0")/lib.sh"
unpack_tshark
for tid in first111 second22 third333; do
	printf '%s\r\n' "MSRP $tid SEND" 'To-Path: msrp://127.0.0.2:2855/b;tcp' \
		'From-Path: msrp://127.0.0.1:9/a;tcp' "Message-ID: $tid" 'Byte-Range: 1-2/2' \
		'Content-Type: text/plain' '' hi "-------$tid\$"
done | dissect msrp.messageid |
	sed 's/^/of first111, second22 and third333 in one segment: /' |
	judge "of first111, second22 and third333 in one segment: first111"
