import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text, utf8 } from '../src/bytes.ts';
import { encodeFrame, header, parseFrame, request, response } from '../src/frame.ts';
import { MsrpError } from '../src/error.ts';

const TO = 'msrp://bob.example.com:8888/9di4eae923wzd;tcp';
const FROM = 'msrp://alicepc.example.com:7777/iau39soe2843z;tcp';
const PATHS = `To-Path: ${TO}\r\nFrom-Path: ${FROM}\r\n`;

function refused(data: string | Uint8Array): void {
	assert.throws(() => parseFrame(typeof data === 'string' ? utf8(data) : data),
		(error: unknown) => error instanceof MsrpError && error.code === 400, String(data).slice(0, 80));
}

test('the request of RFC 4975 section 4', () => {
	const frame = parseFrame(utf8(`MSRP a786hjs2 SEND\r\n${PATHS}Message-ID: 87652491\r\n` +
		'Byte-Range: 1-25/25\r\nContent-Type: text/plain\r\n\r\nHey Bob, are you there?\r\n\r\n-------a786hjs2$\r\n'));

	assert.equal(frame.method, 'SEND');
	assert.deepEqual([frame.toPath, frame.fromPath], [[TO], [FROM]]);
	assert.equal(header(frame, 'message-id'), '87652491');
	assert.equal(text(frame.body!), 'Hey Bob, are you there?\r\n');
	assert.equal(frame.flag, '$');
});

test('responses, with and without a phrase', () => {
	for (const [line, code] of [['200 OK', 200], ['481', 481], ['413 Zu groß', 413]] as const)
		assert.equal(parseFrame(utf8(`MSRP a786hjs2 ${line}\r\n${PATHS}-------a786hjs2$\r\n`)).code, code);
});

test('what was written is read again', () => {
	const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);

	for (const body of [undefined, new Uint8Array(0), bytes, utf8('\r\n-------x$\r\n'), utf8('\r\n\r\n')]) {
		const frame = request('SEND', [TO, FROM], [FROM], [['Message-ID', 'x'], ['X-Empty', '']], body, '+');
		const again = parseFrame(encodeFrame(frame));

		assert.deepEqual([again.method, again.toPath, again.fromPath, again.headers, again.flag, again.body],
			[frame.method, frame.toPath, frame.fromPath, frame.headers, frame.flag, frame.body]);
	}
});

test('an answer goes back to who asked', () => {
	const frame = request('SEND', [TO], [FROM, TO]);

	assert.deepEqual(response(frame, 200).toPath, [FROM]);
	assert.deepEqual(response({ ...frame, method: 'AUTH' }, 200).toPath, [FROM, TO]);
});

test('a value makes no second header', () => {
	const frame = request('SEND', [TO], [FROM], [['Message-ID', 'x\r\nX-Bad: 1']]);

	assert.equal(parseFrame(encodeFrame(frame)).headers.length, 1);
});

test('what is no frame is refused', () => {
	const whole = `MSRP abcd SEND\r\n${PATHS}Message-ID: 1234\r\n\r\nhello\r\n-------abcd$\r\n`;

	for (let length = 0; length < whole.length; length++)
		refused(whole.slice(0, length));
	for (const start of ['MSRP abc SEND', 'MSRP  abcd SEND', 'MSRP abcd send', 'MSRP abcd 20 OK', 'HTTP/1.1 200 OK',
		'MSRP @bcd SEND', `MSRP ${'a'.repeat(33)} SEND`])
		refused(whole.replace('MSRP abcd SEND', start));
	refused(whole.replace('To-Path', 'From-Path'));
	refused(whole.replace(TO, 'http://bob.example.com'));
	refused(whole.replace(TO, `${TO} `.repeat(17).trim()));
	refused(whole.replace('Message-ID: 1234', 'Message-ID: 1234\r\nMessage-ID: 5'));
	refused(whole.replace('Message-ID: 1234', ' folded'));
	refused(whole.replace('Message-ID: 1234', 'X: \0'));
	refused(whole.replace('Message-ID: 1234', `X: ${'y'.repeat(20000)}`));
	refused(whole.replace('abcd$', 'abce$'));
	refused(whole.replace('$', '?'));
	refused(`MSRP abcd SEND\r\nTo-Path: ${TO}\r\n-------abcd$\r\n`);
	refused(`MSRP abcd SEND\r\n${PATHS}\r\n-------abcd$\r\n`);
	refused(crypto.getRandomValues(new Uint8Array(5000)));
});
