import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text, utf8 } from '../src/bytes.ts';
import { contentOf, encodeCpim, parseCpim, toBase64 } from '../src/cpim.ts';
import { MsrpError } from '../src/error.ts';
import { Coverage, formatRange, parseRange } from '../src/range.ts';
import { ownUri, parsePath, parseUri } from '../src/uri.ts';
import { answerChallenge } from '../src/auth.ts';
import { takesType } from '../src/session.ts';

test('URIs', () => {
	assert.deepEqual(parseUri('msrps://user@[2001:db8::1]:2855/a/b+c=;TCP;x=1'),
		{ secure: true, host: '[2001:db8::1]', port: 2855, session: 'a/b+c=', transport: 'tcp' });
	assert.equal(parseUri('msrp://example.org;ws')!.session, '');
	assert.equal(parseUri(ownUri(true))!.transport, 'ws');
	assert.notEqual(ownUri(false), ownUri(false));
	for (const bad of ['', 'http://a;tcp', 'msrp://a', 'msrp://a:99999/x;tcp', 'msrp://a b/x;tcp', 'msrp:///x;tcp',
		`msrp://${'a'.repeat(2000)}/x;tcp`])
		assert.equal(parseUri(bad), undefined, bad);
	assert.equal(parsePath('msrp://a/x;tcp  msrp://b/y;ws')!.length, 2);
	assert.equal(parsePath(' '), undefined);
});

test('byte ranges', () => {
	for (const good of ['1-25/25', '1-*/*', '5-*/10', '1-0/0', '3-2/5'])
		assert.equal(formatRange(parseRange(good)!), good);
	for (const bad of ['0-5/5', '5-3/9', '1-6/5', '1/5', '-1-5/5', '1-5/5x', `1-${'9'.repeat(16)}/*`, '7-*/5'])
		assert.equal(parseRange(bad), undefined, bad);
});

test('bytes that are there, in any order', () => {
	const coverage = new Coverage();

	for (const [from, to] of [[5, 10], [0, 2], [12, 20], [2, 6], [9, 12]] as const) {
		assert.equal(coverage.isWhole(20), false);
		assert.ok(coverage.add(from, to));
	}
	assert.ok(coverage.isWhole(20));
	assert.ok(new Coverage().isWhole(0));
});

test('too many pieces are refused', () => {
	const coverage = new Coverage();

	for (let at = 0; at < 4; at++)
		assert.ok(coverage.add(at * 2, at * 2 + 1, 4));
	assert.equal(coverage.add(100, 101, 4), false);
	assert.ok(coverage.add(1, 2, 4));
});

test('the envelope of RFC 3862 section 5', () => {
	const message = parseCpim(utf8([
		'From: MR SANDERS <im:piglet@100akerwood.com>', 'To: Depressed Donkey <im:eeyore@100akerwood.com>',
		'DateTime: 2000-12-13T13:40:00-08:00', 'Subject: the weather will be fine today',
		'Subject:;lang=fr beau temps prevu pour aujourd\'hui', 'NS: MyFeatures <mid:MessageFeatures@id.foo.com>',
		'Require: MyFeatures.VitalMessageOption', 'MyFeatures.VitalMessageOption: Confirmation-requested', '',
		'Content-type: text/xml; charset=utf-8', 'Content-ID: <1234567890@foo.com>', '', '<body>', ''].join('\r\n')));

	assert.deepEqual(message.from, { name: 'MR SANDERS', uri: 'im:piglet@100akerwood.com' });
	assert.equal(message.to[0]!.uri, 'im:eeyore@100akerwood.com');
	assert.equal(message.extensions.get('mid:MessageFeatures@id.foo.com#VitalMessageOption'), 'Confirmation-requested');
	assert.equal(message.contentType, 'text/xml; charset=utf-8');
	assert.equal(message.contentHeaders.get('content-id'), '<1234567890@foo.com>');
	assert.equal(text(message.body), '<body>\r\n');
});

test('an envelope that was written is read again', () => {
	const written = {
		from: { name: 'A "quoted" \\ name', uri: 'sip:a@example.org' }, to: [{ name: '', uri: 'sip:room@example.org' }],
		dateTime: '2026-11-28T12:00:00Z', subject: 'grüße', contentType: 'image/png',
		extensions: new Map([['urn:ietf:params:imdn#Message-ID', 'abc']]),
		contentHeaders: new Map([['content-disposition', 'attachment; filename="x.png"']]),
		body: Uint8Array.from([0, 13, 10, 255]),
	};

	assert.deepEqual(parseCpim(encodeCpim(written)), written);
});

test('contents in base64', () => {
	const bytes = Uint8Array.from({ length: 300 }, (_, at) => at);
	const envelope = (value: string, encoding: string) => parseCpim(encodeCpim({ to: [], contentType: 'image/png',
		contentHeaders: new Map([['Content-Transfer-Encoding', encoding]]), body: utf8(value) }));

	assert.deepEqual(contentOf(envelope(toBase64(bytes), 'Base64')), bytes);
	assert.throws(() => contentOf(envelope('?', 'base64')), MsrpError);
	assert.throws(() => contentOf(envelope('x', 'uuencode')), MsrpError);
});

test('what is no envelope is refused', () => {
	for (const bad of ['', 'From: <sip:a@b>', 'From: <sip:a@b>\r\n\r\n', 'From: nobody\r\n\r\n\r\nx', 'no header\r\n\r\n\r\nx',
		`X: ${'y'.repeat(20000)}\r\n\r\n\r\n`, 'X: y\r\n'.repeat(70) + '\r\n\r\n'])
		assert.throws(() => parseCpim(utf8(bad)), MsrpError, bad.slice(0, 40));
});

test('media types in a list', () => {
	assert.ok(takesType(['text/plain'], 'Text/Plain; charset=utf-8'));
	assert.ok(takesType(['image/*'], 'image/png'));
	assert.ok(takesType(['*'], 'x/y'));
	assert.equal(takesType(['image/*', 'text/plain'], 'text/html'), false);
	assert.equal(takesType([], 'text/plain'), false);
});

test('the Digest of RFC 7616 in the words of RFC 4976', () => {
	const answer = answerChallenge('Digest realm="example.org", nonce="abc", qop="auth", algorithm=MD5',
		'msrps://relay.example.org:2855;tcp', 'alice', 'secret', 'xyz');

	assert.match(answer, /response="[0-9a-f]{32}"/);
	assert.match(answer, /uri="msrps:\/\/relay\.example\.org:2855;tcp"/);
	assert.match(answerChallenge('Digest realm="r", nonce="n", qop="auth-int, auth", algorithm=SHA-256', 'u', 'a', 'b'),
		/response="[0-9a-f]{64}"/);
	for (const bad of ['Basic realm="x"', 'Digest realm="x", nonce="y"', 'Digest realm="x", nonce="y", qop="auth", algorithm=X'])
		assert.throws(() => answerChallenge(bad, 'u', 'a', 'b'), MsrpError);
});
