import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSdp, writeSdp } from '../src/sdp.ts';
import { Side } from './side.ts';

const OFFER = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', 'm=audio 4000 RTP/AVP 0', 'a=sendrecv',
	'm=message 2855 TCP/TLS/MSRP *', 'a=accept-types:text/plain message/cpim', 'a=accept-wrapped-types:*', 'a=max-size:1000',
	'a=path:msrps://a.example.org:2855/xyz;tcp', 'a=setup:actpass', 'a=chatroom:nickname private-messages', ''].join('\r\n');

test('a description is read', () => {
	const message = parseSdp(OFFER).message!;

	assert.deepEqual({ ...message }, { index: 1, port: 2855, secure: true, path: ['msrps://a.example.org:2855/xyz;tcp'],
		acceptTypes: ['text/plain', 'message/cpim'], acceptWrappedTypes: ['*'], maxSize: 1000, setup: 'actpass',
		chatroom: ['nickname', 'private-messages'], keepsIds: false, direction: 'sendrecv' });
	assert.equal(parseSdp(OFFER.replace('m=message 2855', 'm=message 0')).message, undefined);
	assert.equal(parseSdp(OFFER.replace('msrps://', 'http://')).message, undefined);
	assert.equal(parseSdp('').message, undefined);
	assert.equal(parseSdp('m=message 9 TCP/MSRP *\n'.repeat(100000)).message, undefined);
});

test('an answer has the lines of its offer', async () => {
	const side = await new Side().open();
	const session = side.connection.session({ acceptTypes: ['text/plain'], onMessage: () => {}, secure: true });
	const answer = writeSdp(session, { offer: parseSdp(OFFER) });

	assert.deepEqual(answer.split('\r\n').filter((line) => line.startsWith('m=')),
		['m=audio 0 RTP/AVP 0', 'm=message 2855 TCP/TLS/MSRP *']);
	const again = parseSdp(answer).message!;

	assert.deepEqual(again.path, session.path);
	assert.equal(again.setup, 'active');
	assert.equal(parseSdp(writeSdp(session, { keepsIds: true })).message!.keepsIds, true);
	assert.equal(parseSdp(writeSdp(session, { chatroom: ['nickname'], acceptWrappedTypes: ['*'] })).message!.chatroom![0], 'nickname');
});
