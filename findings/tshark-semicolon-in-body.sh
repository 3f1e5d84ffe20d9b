#!/bin/sh
# tshark looks for the parameters of an MSRP Content-Type that has none in the body, as many bytes into
# it as the header's name is longer than the blank line: a short text with a semicolon in its first
# ten bytes it calls malformed, and shows neither it nor the frame's end.  With a parameter in the
# header, or the semicolon one byte on, all is well.
. "$(dirname "$0")/lib.sh"
unpack_tshark

show() {
	printf '%s\r\n' 'MSRP first111 SEND' 'To-Path: msrp://127.0.0.2:2855/b;tcp' \
		'From-Path: msrp://127.0.0.1:9/a;tcp' 'Message-ID: message1' 'Byte-Range: 1-14/14' \
		"Content-Type: $1" '' "$2" '-------first111$' |
		dissect msrp.transaction.id msrp.cnt.flg _ws.expert.message | sed "s|^|$1, $2: |"
}

{
	show text/plain 'Of course; yes'
	show text/plain 'I shall do; ok'
	show 'text/plain;charset=utf-8' 'Of course; yes'
} | judge "text/plain, Of course; yes: first111  Malformed Packet (Exception occurred)
text/plain, I shall do; ok: first111,first111 \$ 
text/plain;charset=utf-8, Of course; yes: first111,first111 \$ "
