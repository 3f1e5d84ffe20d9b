#!/bin/sh
# tshark ends an MSRP frame at the first line of its body that begins like an end-line, whatever
# transaction it names, and be the line before it ended by a bare LF: of a chunk that goes on (+) and
# quotes another frame's last line it says that it is the last one ($).
. "$(dirname "$0")/lib.sh"
unpack_tshark
{
	printf '%s\r\n' 'MSRP first111 SEND' 'To-Path: msrp://127.0.0.2:2855/b;tcp' \
		'From-Path: msrp://127.0.0.1:9/a;tcp' 'Message-ID: message1' 'Byte-Range: 1-*/100' \
		'Content-Type: text/plain' ''
	printf 'It ended so:\n-------another1$\nand I wonder why.\r\n-------first111+\r\n'
} | dissect msrp.transaction.id msrp.cnt.flg |
	sed 's/^/of first111, which ends by +: /' |
	judge "of first111, which ends by +: first111,another1 \$"
