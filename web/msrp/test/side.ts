/** Sockets without a network: one whose other end is the test, and a pair of them. */
import type { Socket } from '../src/connection.ts';
import { Connection, type ConnectionOptions } from '../src/connection.ts';
import { encodeFrame, header, parseFrame, response, type Frame } from '../src/frame.ts';
import type { Session, SessionOptions } from '../src/session.ts';

export class FakeSocket implements Socket {
	binaryType = '';
	bufferedAmount = 0;
	onopen: ((event: never) => void) | null = null;
	onmessage: ((event: { data: unknown }) => void) | null = null;
	onclose: ((event: never) => void) | null = null;
	onerror: ((event: never) => void) | null = null;
	closed?: number;
	/** where what is sent goes */
	peer: (data: Uint8Array) => void = () => {};

	send(data: Uint8Array): void {
		this.peer(data.slice());
	}

	close(code?: number): void {
		this.closed ??= code ?? 1000;
		queueMicrotask(() => this.onclose?.(undefined as never));
	}

	open(): void {
		this.onopen?.(undefined as never);
	}

	receive(data: Uint8Array | string): void {
		this.onmessage?.({ data: typeof data === 'string' ? data : data.slice().buffer });
	}
}

export const PEER = 'msrp://peer.example.org:2855/abcdef0123456789;tcp';

/** A connection of ours whose peer is the test. */
export class Side {
	readonly socket = new FakeSocket();
	readonly connection: Connection;
	/** what our side has written */
	readonly frames: Frame[] = [];
	/** how requests are answered: a code, or not at all */
	answer: (frame: Frame) => number | undefined = () => 200;

	constructor(options: ConnectionOptions = {}) {
		this.connection = new Connection('ws://test', { ...options, connect: () => this.socket });
		this.socket.peer = (data) => this.#take(parseFrame(data));
	}

	#take(frame: Frame): void {
		this.frames.push(frame);
		const code = frame.method && frame.method !== 'REPORT' ? this.answer(frame) : undefined;

		if (code)
			queueMicrotask(() => this.say(response(frame, code)));
	}

	async open(): Promise<this> {
		const opened = this.connection.open();

		this.socket.open();
		await opened;
		return this;
	}

	async session(options: Partial<SessionOptions> = {}, maxSize?: number): Promise<Session> {
		const session = this.connection.session({ acceptTypes: ['text/plain', 'message/cpim'],
			onMessage: () => {}, ...options });

		await session.start([PEER], ['text/plain', 'image/*'], maxSize);
		this.frames.length = 0;
		return session;
	}

	say(frame: Frame): void {
		this.socket.receive(encodeFrame(frame));
	}

	/** Say a SEND. @return the code that it was answered, undefined: none */
	send(session: Session, headers: [string, string][], body?: string | Uint8Array,
		flag: Frame['flag'] = '$'): number | undefined {
		const before = this.frames.length;

		this.say({ transaction: `peer${before}x`, method: 'SEND', toPath: [session.uri], fromPath: [PEER],
			headers, flag, body: typeof body === 'string' ? new TextEncoder().encode(body) : body });
		return this.frames.slice(before).find((frame) => frame.code)?.code;
	}

	/** The SENDs that our side has written. */
	get sends(): Frame[] {
		return this.frames.filter((frame) => frame.method === 'SEND');
	}
}

export function id(frame: Frame): string {
	return header(frame, 'Message-ID') ?? '';
}

/** Two connections that hear each other. */
export async function pair(): Promise<[Connection, Connection]> {
	const sockets = [new FakeSocket(), new FakeSocket()] as const;
	const sides = sockets.map((socket) => new Connection('ws://test', { connect: () => socket }));

	sockets[0].peer = (data) => queueMicrotask(() => sockets[1].receive(data));
	sockets[1].peer = (data) => queueMicrotask(() => sockets[0].receive(data));
	const opened = sides.map((side) => side.open());

	sockets.forEach((socket) => socket.open());
	await Promise.all(opened);
	return sides as [Connection, Connection];
}
