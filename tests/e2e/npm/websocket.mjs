// node websocket.mjs URL TO FROM: an MSRP session by the WebSocket of the package ws (RFC 7977).
// Says one thing, prints what comes, answers 200.
import WebSocket from 'ws'

const [url, to, from] = process.argv.slice(2)
const socket = new WebSocket(url, 'msrp')

socket.on('open', () => {
	const body = 'grüße from node'
	const length = Buffer.byteLength(body)

	socket.send(`MSRP node1234 SEND\r\nTo-Path: ${to}\r\nFrom-Path: ${from}\r\n` +
		`Message-ID: node5678\r\nByte-Range: 1-${length}/${length}\r\n` +
		`Content-Type: text/plain\r\n\r\n${body}\r\n-------node1234$\r\n`)
})

socket.on('message', data => {
	const frame = data.toString()
	const [, tid, what] = frame.split(/[ \r]/)
	const body = /\r\n\r\n([^]*)\r\n-------/.exec(frame)

	if (what !== 'SEND')
		return
	if (body)
		console.log(`got ${body[1]}`)
	socket.send(`MSRP ${tid} 200 OK\r\nTo-Path: ${to}\r\nFrom-Path: ${from}\r\n` +
		`-------${tid}$\r\n`)
})

socket.on('error', error => {
	console.log(error.message)
	process.exit(1)
})
