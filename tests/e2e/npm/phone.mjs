// A SIP phone over WebSocket that knows MESSAGE alone, out of SIP.js or JsSIP.
// Arguments: the library, the URL of the WebSocket, the phone's URI, the URI that it writes to, and
// its password. Each line of standard input is a text to send, or "/call URI"; what happens is told
// on standard output.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const [library, server, own, peer, password] = process.argv.slice(2);
globalThis.WebSocket = WebSocket;

// In place of WebRTC: an offer of MSRP, and the path that answers it.
class Description {
	hasDescription(contentType) {
		return contentType === 'application/sdp';
	}

	async getDescription() {
		const body = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0',
			'm=message 2855 TCP/MSRP *', 'a=accept-types:text/plain', 'a=setup:active',
			'a=path:msrp://browser.invalid:2855/browser;ws', ''].join('\r\n');
		return { body, contentType: 'application/sdp' };
	}

	async setDescription(sdp) {
		console.log(`path ${/a=path:(.*)\r/.exec(sdp)[1]}`);
	}

	close() {}
}

async function withSipJs() {
	const sip = await import('sip.js');
	const agent = new sip.UserAgent({
		uri: sip.UserAgent.makeURI(own),
		authorizationUsername: sip.UserAgent.makeURI(own).user,
		authorizationPassword: password,
		sessionDescriptionHandlerFactory: () => new Description(),
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
	const call = async (uri) => {
		const inviter = new sip.Inviter(agent, sip.UserAgent.makeURI(uri));
		inviter.stateChange.addListener((state) => console.log(`session ${state}`));
		await inviter.invite();
	};
	return (text) => text.startsWith('/call ') ? call(text.slice(6)) : new sip.Messager(agent, sip.UserAgent.makeURI(peer), text).message({
		requestDelegate: {
			onAccept: ({ message }) => console.log(`answer ${message.statusCode}`),
			onReject: ({ message }) => console.log(`answer ${message.statusCode}`),
		},
	});
}

async function withJsSip() {
	const { default: jssip } = await import('jssip');
	const agent = new jssip.UA({ uri: own, password, sockets: [new jssip.WebSocketInterface(server)] });
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
