import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalize, userOf } from '../src/address.ts';
import { readComposing, writeComposing } from '../src/composing.ts';
import { readConfig } from '../src/config.ts';
import { dispositionName, isPicture, safeName } from '../src/entry.ts';
import { Roster } from '../src/roster.ts';

test('addresses as people write them', () => {
	for (const written of ['alice', 'alice@Example.ORG', 'sip:alice@example.org', '<sips:alice@example.org:5061;transport=ws>',
		' alice '])
		assert.equal(normalize(written, 'example.org'), 'sip:alice@example.org');
	for (const bad of ['', 'two words', 'a@b@c', 'alice@', `${'a'.repeat(300)}@b`, '<script>@x', 'tel:123@'])
		assert.equal(normalize(bad, 'example.org'), undefined, bad);
	assert.equal(userOf('sip:alice@example.org'), 'alice');
});

test('who is typing', () => {
	assert.deepEqual(readComposing(writeComposing(true)), { active: true, refresh: 90 });
	assert.equal(readComposing(writeComposing(false))!.active, false);
	for (const bad of ['', 'hello', '<a/>', '<isComposing>', '<!DOCTYPE a [<!ENTITY b "c">]><isComposing>&b;</isComposing>',
		`<isComposing>${' '.repeat(5000)}</isComposing>`])
		assert.equal(readComposing(bad), undefined, bad.slice(0, 40));
});

function roster(version: number, state: string, ...users: string[]): string {
	return '<?xml version="1.0"?><conference-info xmlns="urn:ietf:params:xml:ns:conference-info" ' +
		`xmlns:xcon="urn:ietf:params:xml:ns:xcon-conference-info" entity="sip:lobby@example.org" state="${state}" version="${version}">` +
		`<conference-description><subject>Lobby</subject></conference-description><users>${users.join('')}</users></conference-info>`;
}

test('who is in a room', () => {
	const room = new Roster();

	assert.ok(room.apply(roster(0, 'full', '<user entity="sip:a@x" xcon:nickname="Ally"/>', '<user entity="sip:b@x"/>')));
	assert.ok(room.apply(roster(1, 'partial', '<user entity="sip:b@x" state="deleted"/>', '<user entity="sip:c@x"/>')));
	assert.deepEqual(room.participants, [{ uri: 'sip:a@x', nickname: 'Ally' }, { uri: 'sip:c@x', nickname: '' }]);
	assert.equal(room.subject, 'Lobby');
	assert.ok(room.apply(roster(1, 'partial', '<user entity="sip:old@x"/>')), 'one that comes again is passed over');
	assert.equal(room.participants.length, 2);
	assert.equal(room.apply(roster(5, 'partial')), false, 'one is missing');
	assert.equal(room.apply('<conference-info>'), false);
});

test('config.json', () => {
	const config = readConfig({}, 'https://chat.example.org/x/');

	assert.deepEqual([config.domain, config.sip, config.msrp, config.secure, config.rooms], ['chat.example.org',
		'wss://chat.example.org/sip', 'wss://chat.example.org/msrp', true, []]);
	const other = readConfig({ domain: 'example.org', sip: 'ws://127.0.0.1:5062/', secure: true, maxFile: 100,
		rooms: [{ uri: 'lobby', name: 'Lobby' }, { uri: 5 }, null] }, 'http://127.0.0.1/');

	assert.deepEqual([other.sip, other.secure, other.maxFile, other.rooms], ['ws://127.0.0.1:5062/', true, 100,
		[{ uri: 'sip:lobby@example.org', name: 'Lobby' }]]);
});

test('names of files', () => {
	assert.equal(safeName('../../etc/passwd'), 'passwd');
	assert.equal(safeName('C:\\x\\photo.png'), 'photo.png');
	assert.equal(safeName('\u202Egnp.exe'), 'gnp.exe');
	assert.equal(safeName('..'), 'file');
	assert.equal(dispositionName('attachment; filename="a \\"b\\".png"'), 'a "b".png');
	assert.equal(dispositionName('attachment; filename=x.txt; size=5'), 'x.txt');
	assert.equal(dispositionName(undefined), undefined);
	assert.equal(isPicture({ name: 'x', type: 'image/svg+xml', size: 1 }), false);
	assert.equal(isPicture({ name: 'x', type: 'Image/PNG; x=y', size: 1 }), true);
});
