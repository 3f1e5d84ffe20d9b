import assert from 'node:assert/strict';
import { test } from 'node:test';
import { header, parseFrame, encodeFrame } from '../src/frame.ts';
import { MsrpError } from '../src/error.ts';
import { textOf, type Message } from '../src/session.ts';
import { Clock } from './clock.ts';
import { id, pair, PEER, Side } from './side.ts';

function failsWith(code: number): (error: unknown) => boolean {
	return (error) => error instanceof MsrpError && error.code === code;
}

test('two of us chat, with reports', async () => {
	const [left, right] = await pair();
	const got: Message[] = [];
	const options = { acceptTypes: ['text/plain'], onMessage: (message: Message) => got.push(message) };
	const [one, other] = [left.session(options), right.session(options)];

	await Promise.all([one.start([other.uri], ['text/plain']), other.start([one.uri], ['text/plain'])]);
	const sent = one.send('grüße', { successReport: true });

	await sent.sent;
	await sent.delivered;
	assert.deepEqual(got.map(textOf), ['grüße']);
	await other.send('').sent;
	assert.equal(got.length, 1, 'an empty one is none');
});

test('a long message is cut, and put together again', async () => {
	const [left, right] = await pair();
	const body = crypto.getRandomValues(new Uint8Array(60000));
	const steps: number[] = [];
	const got: Message[] = [];
	const one = left.session({ acceptTypes: ['*'], onMessage: () => {} });
	const other = right.session({ acceptTypes: ['image/*'], onMessage: (message) => got.push(message) });

	await Promise.all([one.start([other.uri], ['image/*']), other.start([one.uri], ['*'])]);
	const sent = one.send(body, { type: 'image/png', successReport: true, onProgress: (done) => steps.push(done),
		headers: [['Content-Disposition', 'attachment; filename=x.png']] });

	await Promise.all([sent.sent, sent.delivered]);
	assert.deepEqual(got[0]!.body, body);
	assert.equal(got[0]!.type, 'image/png');
	assert.deepEqual(steps, [16384, 32768, 49152, 60000]);
	assert.ok(got[0]!.headers.some(([name]) => name === 'Content-Disposition'));
});

test('what the peer does not take does not leave', async () => {
	const side = await new Side().open();
	const session = await side.session({}, 10);

	await assert.rejects(session.send('x', { type: 'text/html' }).sent, failsWith(415));
	await assert.rejects(session.send('x'.repeat(11)).sent, failsWith(413));
	assert.equal(side.sends.length, 0);
});

test('a refusal ends the message with #', async () => {
	const side = await new Side().open();
	const session = await side.session();

	side.answer = () => 413;
	await assert.rejects(session.send(new Uint8Array(16384 * 40)).sent, failsWith(413));
	await new Promise(setImmediate);
	assert.equal(side.sends.at(-1)!.flag, '#');
	assert.equal(side.sends.at(-1)!.body!.length, 1);
	assert.ok(side.sends.length <= 17, 'no more than was underway');
});

test('a message is given up', async () => {
	const side = await new Side().open();
	const session = await side.session();
	const [early, late] = [new AbortController(), new AbortController()];

	early.abort();
	await assert.rejects(session.send('x', { signal: early.signal }).sent, failsWith(0));
	assert.equal(side.sends.length, 0);
	side.answer = () => undefined;
	const sent = session.send(new Uint8Array(16384 * 40), { signal: late.signal });

	late.abort();
	await assert.rejects(sent.sent, failsWith(0));
	assert.equal(side.sends.length, 16, 'the window is full');
	for (const frame of side.sends)
		side.say({ ...frame, method: undefined, code: 200, body: undefined, headers: [], flag: '$' });
	await new Promise(setImmediate);
	assert.equal(side.sends.at(-1)!.flag, '#');
	side.connection.close();
});

test('chunks of several messages and sessions leave in turns', async () => {
	const side = await new Side().open();
	const [one, other] = [await side.session(), await side.session()];
	const long = one.send(new Uint8Array(16384 * 30));
	const second = one.send('second');
	const third = other.send('third');

	await Promise.all([long.sent, second.sent, third.sent]);
	const order = side.sends.map(id);

	assert.ok(order.indexOf(second.id) < order.lastIndexOf(long.id));
	assert.ok(order.indexOf(third.id) < order.lastIndexOf(long.id));
	assert.equal(side.sends[0]!.headers.find(([name]) => name === 'Byte-Range')![1], `1-*/${16384 * 30}`);
});

test('a full socket is waited for', async () => {
	const side = await new Side().open();
	const session = await side.session();

	side.socket.bufferedAmount = 1 << 20;
	const sent = session.send('x');

	assert.equal(side.sends.length, 0);
	side.socket.bufferedAmount = 0;
	await sent.sent;
});

test('chunks in any order, twice, without ranges', async () => {
	const side = await new Side().open();
	const got: string[] = [];
	const session = await side.session({ onMessage: (message) => got.push(textOf(message)) });
	const chunk = (name: string, range: string, body: string, flag: '$' | '+' = '+') => side.send(session,
		[['Message-ID', name], ['Byte-Range', range], ['Content-Type', 'text/plain']], body, flag);

	assert.equal(chunk('m-1', '6-*/10', 'fghij', '$'), 200);
	assert.equal(chunk('m-1', '1-5/10', 'abcde'), 200);
	assert.equal(chunk('m-1', '1-5/10', 'abcde'), 200);
	assert.equal(chunk('m-2', '1-*/*', 'abc'), 200);
	assert.equal(chunk('m-2', '4-6/*', 'def', '$'), 200);
	assert.equal(side.send(session, [['Message-ID', 'm-3'], ['Content-Type', 'text/plain']], 'bare'), 200);
	assert.deepEqual(got, ['abcdefghij', 'abcdef', 'bare']);
	assert.equal(side.send(session, [['Message-ID', 'm-4']]), 200);
});

test('who sends a message again is told again that it is there', async () => {
	const side = await new Side().open();
	const got: Message[] = [];
	const session = await side.session({ onMessage: (message) => got.push(message) });
	const chunk = (range: string, body: string, flag: '$' | '+') => side.send(session, [['Message-ID', 'm-1'],
		['Success-Report', 'yes'], ['Byte-Range', range], ['Content-Type', 'text/plain']], body, flag);

	for (let times = 0; times < 2; times++) {
		chunk('1-3/5', 'abc', '+');
		chunk('4-5/5', 'de', '$');
	}
	assert.deepEqual(side.frames.filter(({ method }) => method === 'REPORT').map((frame) => header(frame, 'Byte-Range')),
		['1-5/5', '1-3/5', '4-5/5']);
	assert.equal(got.length, 1);
});

test('bad input is refused, and the session lives', async () => {
	const side = await new Side().open();
	const session = await side.session({ maxSize: 100 });
	const say = (headers: [string, string][], body = 'x') => side.send(session, headers, body);
	const type: [string, string] = ['Content-Type', 'text/plain'];

	assert.equal(say([type]), 400);
	assert.equal(say([['Message-ID', 'x'.repeat(200)], type]), 400);
	assert.equal(say([['Message-ID', 'abcd'], ['Byte-Range', '0-1/1'], type]), 400);
	assert.equal(say([['Message-ID', 'abcd'], ['Byte-Range', '1-1/1'], type], 'xy'), 400);
	assert.equal(say([['Message-ID', 'abcd'], ['Byte-Range', '1-1/101'], type]), 413);
	assert.equal(say([['Message-ID', 'abcd'], ['Byte-Range', '101-101/*'], type]), 413);
	assert.equal(say([['Message-ID', 'abcd'], ['Content-Type', 'text/html']]), 415);
	assert.equal(say([['Message-ID', 'abcd'], ['Failure-Report', 'no'], ['Content-Type', 'text/html']]), undefined);
	assert.equal(say([['Message-ID', 'abcd'], ['Failure-Report', 'partial'], type]), undefined);
	side.say({ transaction: 'abcd', method: 'FOO', toPath: [session.uri], fromPath: [PEER], headers: [], flag: '$' });
	assert.equal(side.frames.at(-1)!.code, 501);
	side.say({ transaction: 'abcd', method: 'SEND', toPath: [PEER], fromPath: [PEER], headers: [], flag: '$' });
	assert.equal(side.frames.at(-1)!.code, 481);
	assert.equal(session.isEnded, false);
});

test('incomplete messages are bounded in number, memory and time', async (t) => {
	const clock = new Clock(t);
	const side = await new Side({ maxMemory: 200000 }).open();
	const session = await side.session({ maxOpen: 3, patience: 1000, maxSize: 150000 });
	const begin = (name: string, range = '1-1/9') => side.send(session,
		[['Message-ID', name], ['Byte-Range', range], ['Content-Type', 'text/plain']], 'x', '+');

	assert.deepEqual(['a', 'b', 'c', 'd'].map((name) => begin(`id-${name}`)), [200, 200, 200, 413]);
	clock.tick(1001);
	assert.equal(begin('id-1', '140000-140000/*'), 200);
	assert.equal(begin('id-2', '140000-140000/*'), 413, 'one of them is all that there is room for');
	side.send(session, [['Message-ID', 'id-1'], ['Byte-Range', '1-1/9']], 'x', '#');
	assert.equal(begin('id-3', '140000-140000/*'), 200);
});

test('reports that fail, and those of nobody', async () => {
	const side = await new Side().open();
	const session = await side.session();
	const sent = session.send('hello', { successReport: true });
	const report = (status: string, name = sent.id) => side.say({ transaction: 'report1', method: 'REPORT',
		toPath: [session.uri], fromPath: [PEER], flag: '$',
		headers: [['Message-ID', name], ['Byte-Range', '1-5/5'], ['Status', status]] });

	await sent.sent;
	report('000 200', 'nobody');
	report('001 500');
	report('nonsense');
	report('000 404 SIP 404 Not Found');
	await assert.rejects(sent.delivered, failsWith(404));
	assert.equal(side.frames.filter((frame) => frame.code).length, 0, 'a REPORT has no answer');
});

test('no answer is 408, a lost connection 481', async (t) => {
	const clock = new Clock(t);
	const ends: number[] = [];
	const side = await new Side({ onClose: (why) => ends.push(why.code) }).open();
	const session = await side.session({ onEnd: (why) => ends.push(why.code) });

	side.answer = () => undefined;
	const late = session.send('x');

	clock.tick(30000);
	await assert.rejects(late.sent, failsWith(408));
	const lost = session.send('y');

	side.socket.close();
	await assert.rejects(lost.sent, failsWith(481));
	await assert.rejects(session.send('z').sent, failsWith(481));
	assert.deepEqual(ends, [481, 481]);
});

test('481 ends the session', async () => {
	const side = await new Side().open();
	let ended = 0;
	const session = await side.session({ onEnd: (why) => ended = why.code });

	side.answer = () => 481;
	await assert.rejects(session.send('x').sent, failsWith(481));
	assert.equal(ended, 481);
});

test('silence is broken, and one that is not answered ends the connection', async (t) => {
	const clock = new Clock(t);
	const ends: number[] = [];
	const side = await new Side({ keepalive: 20000, onClose: (why) => ends.push(why.code) }).open();

	await side.session();
	clock.tick(20000);
	assert.equal(side.sends.length, 1);
	await new Promise(setImmediate);
	side.answer = () => undefined;
	clock.tick(20000);
	clock.tick(30000);
	await new Promise(setImmediate);
	assert.deepEqual(ends, [408]);
	assert.ok(side.socket.closed);
});

test('who does not speak MSRP is left', async () => {
	for (const garbage of ['hello', new Uint8Array(10), new Uint8Array(5 * 1048576)]) {
		const side = await new Side().open();
		let ended = 0;

		await side.session({ onEnd: (why) => ended = why.code });
		side.socket.receive(garbage);
		assert.equal(ended, 400);
		assert.ok(side.socket.closed);
	}
});

test('a frame may come as text', async () => {
	const side = await new Side().open();
	const got: string[] = [];
	const session = await side.session({ onMessage: (message) => got.push(textOf(message)) });
	const frame = encodeFrame({ transaction: 'text1', method: 'SEND', toPath: [session.uri], fromPath: [PEER], flag: '$',
		headers: [['Message-ID', 'abcd'], ['Content-Type', 'text/plain']], body: new TextEncoder().encode('grüße') });

	side.socket.receive(new TextDecoder().decode(frame));
	assert.deepEqual(got, ['grüße']);
});

test('nicknames', async () => {
	const side = await new Side().open();
	const session = await side.session();

	await session.nickname('Ally "A" Smith');
	assert.equal(header(side.frames[0]!, 'Use-Nickname'), '"Ally \\"A\\" Smith"');
	side.answer = () => 425;
	await assert.rejects(session.nickname('taken'), failsWith(425));
	assert.equal(session.isEnded, false);
});

test('a relay is asked for a path', async (t) => {
	const clock = new Clock(t);
	const side = await new Side().open();
	const session = side.connection.session({ acceptTypes: ['*'], onMessage: () => {} });
	const relay = 'msrps://relay.example.org:2855;ws';
	const granted = 'msrps://relay.example.org:2855/granted01;tcp';
	let asked = 0;

	side.answer = () => undefined;
	side.socket.peer = (data) => {
		const frame = parseFrame(data);
		const known = header(frame, 'Authorization');

		asked++;
		queueMicrotask(() => side.say({ transaction: frame.transaction, code: known ? 200 : 401, flag: '$',
			toPath: frame.fromPath, fromPath: frame.toPath, headers: known
				? [['Use-Path', granted], ['Expires', '100']]
				: [['WWW-Authenticate', 'Digest realm="r", nonce="n", qop="auth"']] }));
	};
	await session.useRelay(relay, 'alice', 'secret');
	assert.deepEqual(session.path, [granted, session.uri]);
	clock.tick(80000);
	await new Promise(setImmediate);
	assert.equal(asked, 4, 'it is asked again before it ends');
	session.close();
});
