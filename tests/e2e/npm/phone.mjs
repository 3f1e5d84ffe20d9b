// A SIP phone over WebSocket that knows MESSAGE alone, out of SIP.js or JsSIP.
// Arguments: the library, the URL of the WebSocket, the phone's URI, the URI that it writes to.
// Each line of standard input is a text to send; what happens is told on standard output.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const [library, server, own, peer] = process.argv.slice(2);
globalThis.WebSocket = WebSocket;

async function withSipJs() {
	const sip = await import('sip.js');
	const agent = new sip.UserAgent({
		uri: sip.UserAgent.makeURI(own),
		transportOptions: { server },
		logBuiltinEnabled: false,
		delegate: {
			async onMessage(message) {
				console.log(`message ${message.request.body}`);
				await message.accept();
			},
		},
	});
	await agent.start();
	await new sip.Registerer(agent).register({ requestDelegate: { onAccept: () => console.log('ready') } });
	return (text) => new sip.Messager(agent, sip.UserAgent.makeURI(peer), text).message({
		requestDelegate: {
			onAccept: ({ message }) => console.log(`answer ${message.statusCode}`),
			onReject: ({ message }) => console.log(`answer ${message.statusCode}`),
		},
	});
}

async function withJsSip() {
	const { default: jssip } = await import('jssip');
	const agent = new jssip.UA({ uri: own, sockets: [new jssip.WebSocketInterface(server)] });
	agent.on('registered', () => console.log('ready'));
	agent.on('newMessage', ({ originator, message, request }) => {
		if (originator === 'remote') {
			console.log(`message ${request.body}`);
			message.accept();
		}
	});
	agent.start();
	return (text) => agent.sendMessage(peer, text, {
		eventHandlers: {
			succeeded: ({ response }) => console.log(`answer ${response.status_code}`),
			failed: ({ response }) => console.log(`answer ${response?.status_code}`),
		},
	});
}

const send = await (library === 'sip.js' ? withSipJs() : withJsSip());
createInterface({ input: process.stdin }).on('line', send);
