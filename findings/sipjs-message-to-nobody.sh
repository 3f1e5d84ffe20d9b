#!/bin/sh
# SIP.js answers 200 to a MESSAGE although nobody in the page takes messages: without an onMessage in
# the delegate it accepts and drops them.  JsSIP says 405 in the same place.
. "$(dirname "$0")/lib.sh"
cd "$tmp"
npm install --silent --ignore-scripts --no-audit --no-fund sip.js@0.21.2 jssip@3.13.8 ws@8.23.0
echo "With sip.js@0.21.2 jssip@3.13.8 ws@8.23.0:"
cat >finding.mjs <<'J'
import WebSocket, { WebSocketServer } from 'ws';
import * as sip from 'sip.js';
import jssip from 'jssip';

globalThis.WebSocket = WebSocket;
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'sip' });
await new Promise((done) => server.on('listening', done));
const url = `ws://127.0.0.1:${server.address().port}`;

// A MESSAGE to whoever connects; the status of its answer.
function answer() {
	return new Promise((done) => server.once('connection', (socket) => {
		socket.on('message', (data) => done(String(data).split(' ')[1]));
		socket.send('MESSAGE sip:phone@example.org SIP/2.0\r\n' +
			'Via: SIP/2.0/WS 127.0.0.1;branch=z9hG4bKfinding\r\nMax-Forwards: 70\r\n' +
			'From: <sip:a@example.org>;tag=a\r\nTo: <sip:phone@example.org>\r\nCall-ID: finding\r\n' +
			'CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello');
	}));
}

let seen = answer();
const agent = new sip.UserAgent({
	uri: sip.UserAgent.makeURI('sip:phone@example.org'), transportOptions: { server: url },
	logBuiltinEnabled: false,
});
agent.start();
console.log(`SIP.js without onMessage: ${await seen}`);

seen = answer();
new jssip.UA({
	uri: 'sip:phone@example.org', sockets: [new jssip.WebSocketInterface(url)], register: false,
}).start();
console.log(`JsSIP without newMessage: ${await seen}`);
process.exit(0);
J
timeout 60 node finding.mjs | judge "SIP.js without onMessage: 200
JsSIP without newMessage: 405"
