import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, Session } from '../msrp/src/index.ts';
import { id, Side } from '../msrp/test/side.ts';
import type { Entry } from '../src/entry.ts';
import { Person } from '../src/person.ts';
import { SipError, type Call, type Phone } from '../src/phone.ts';

const ME = { uri: 'sip:alice@example.org', user: 'alice', password: '' };

function turn(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, 5));
}

/** A call whose other side is the test. */
class FakeCall {
	readonly side: Side;
	readonly session: Session;
	readonly keepsIds: boolean;
	readonly chatroom = undefined;
	isUp = true;
	hungUp = 0;
	onMessage: (message: Message) => void = () => {};
	onEnd: () => void = () => {};

	constructor(side: Side, session: Session, keepsIds: boolean) {
		this.side = side;
		this.session = session;
		this.keepsIds = keepsIds;
	}

	static async up(keepsIds = true): Promise<FakeCall> {
		const side = await new Side().open();

		return new FakeCall(side, await side.session(), keepsIds);
	}

	listen(onMessage: (message: Message) => void, onEnd: () => void): void {
		this.onMessage = onMessage;
		this.onEnd = onEnd;
	}

	hangUp(): void {
		this.hungUp++;
		this.end();
	}

	end(): void {
		this.isUp = false;
		this.onEnd();
		this.session.close();
	}
}

/** Each call is the next of these. */
function phone(...calls: (FakeCall | number)[]): Phone {
	return { call: async () => {
		const next = calls.shift() ?? 500;

		if (typeof next === 'number')
			throw new SipError(next, 'refused');
		return next as unknown as Call;
	} } as unknown as Phone;
}

function person(with_: Phone): { bob: Person; entries: Entry[] } {
	const bob = new Person('sip:bob@example.org', 'bob', ME);

	bob.online(with_);
	return { bob, entries: bob.entries };
}

test('what was taken and not reported goes again under its name, where that is known', async () => {
	for (const keepsIds of [true, false]) {
		const [before, after] = [await FakeCall.up(keepsIds), await FakeCall.up(keepsIds)];
		const { bob, entries } = person(phone(before, after));

		bob.say('hello');
		await turn();
		assert.equal(entries[0]!.state, 'sent');
		before.end();
		await turn();
		assert.deepEqual(after.side.sends.map(id), keepsIds ? before.side.sends.map(id) : []);
		assert.equal(id(before.side.sends[0]!).length, 32, 'the longest that there may be');
		bob.offline();
	}
});

test('what was underway goes by the call that has come meanwhile', async () => {
	const [before, after] = [await FakeCall.up(), await FakeCall.up()];
	const { bob, entries } = person(phone(before));

	before.side.answer = () => undefined;
	bob.say('hello');
	await turn();
	bob.answer(after as unknown as Call);
	before.end();
	await turn();
	assert.deepEqual([after.side.sends.length, entries[0]!.state], [1, 'sent']);
	before.side.connection.close();
	bob.offline();
});

test('who leaves hangs up all calls', async () => {
	const calls = [await FakeCall.up(), await FakeCall.up()];
	const { bob } = person(phone());

	calls.forEach((call) => bob.answer(call as unknown as Call));
	bob.leave();
	assert.deepEqual(calls.map(({ hungUp }) => hungUp), [1, 1]);
});

test('who was there a moment ago is waited for', async () => {
	const call = await FakeCall.up();
	const { bob, entries } = person(phone(480, call, 480));

	bob.say('are you there?');
	await turn();
	assert.equal(entries[0]!.state, 'failed', 'he never was');
	bob.retry(entries[0]!);
	await turn();
	assert.equal(entries[0]!.state, 'sent');
	call.end();
	await turn();
	assert.equal(entries[0]!.state, 'waiting');
	bob.offline();
});

test('the same message in two calls is one', async () => {
	const { bob, entries } = person(phone());
	const message = { id: 'a1b2', type: 'text/plain', body: new TextEncoder().encode('once'), headers: [] };

	for (const call of [await FakeCall.up(), await FakeCall.up()]) {
		bob.answer(call as unknown as Call);
		call.onMessage(message);
	}
	assert.deepEqual(entries.map(({ text }) => text), ['once']);
	bob.offline();
});
