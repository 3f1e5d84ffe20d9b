// A desk for several callers at once, in a terminal:
//
//     npm install ws
//     MSRPD_TOKEN=… node support-desk.mjs ws://127.0.0.1:8080
//
// Callers are numbered; "2 hello" says hello to the second one, "2" alone ends it.
import readline from 'node:readline'
import WebSocket from 'ws'

const url = `${process.argv[2]}/api`
const headers = { Authorization: `Bearer ${process.env.MSRPD_TOKEN}` }
const socket = new WebSocket(url, 'jsonrpc', { headers })
const callers = new Map()   // by number: the session
const waiting = new Map()   // by id: who waits for the answer
let last = 0

function call(method, params = {}) {
	const id = waiting.size + Math.random()

	socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
	return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }))
}

function numberOf(session) {
	return [...callers].find(([, id]) => id === session)?.[0]
}

const events = {
	E_MSRP_SESSION_NEW({ session_id, from_uri }) {
		callers.set(++last, session_id)
		console.log(`${last} is ${from_uri}`)
		call('msrp_ua_send_message', { session_id, mime: 'text/plain',
			body: `Welcome. You are number ${last}.` }).catch(e => console.log(e.message))
	},
	E_MSRP_MSG_RECEIVED({ session_id, body }) {
		console.log(`${numberOf(session_id)}: ${body ?? '(no text)'}`)
	},
	E_MSRP_SESSION_END({ session_id, reason }) {
		const number = numberOf(session_id)

		callers.delete(number)
		console.log(`${number} has gone: ${reason}`)
	},
}

socket.on('open', async () => {
	await call('event_subscribe', { names: Object.keys(events) })
	console.log('open')
})

socket.on('message', data => {
	const message = JSON.parse(data)
	const asked = waiting.get(message.id)

	if (message.method) {
		events[message.method]?.(message.params)
	} else if (asked) {
		waiting.delete(message.id)
		message.error ? asked.reject(new Error(message.error.message)) : asked.resolve(message.result)
	}
})

socket.on('close', () => process.exit(0))
socket.on('error', error => {
	console.log(error.message)
	process.exit(1)
})

readline.createInterface({ input: process.stdin }).on('line', async line => {
	const [, number, body] = /^(\d+) ?(.*)$/.exec(line) ?? []
	const session_id = callers.get(Number(number))

	try {
		if (!session_id)
			console.log('nobody of that number')
		else if (body)
			await call('msrp_ua_send_message', { session_id, mime: 'text/plain', body })
		else
			await call('msrp_ua_end_session', { session_id })
	} catch (error) {
		console.log(error.message)
	}
})
