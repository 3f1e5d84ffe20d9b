/**
 * A WebSocket that carries MSRP sessions (RFC 7977).  Whoever has one shares it among all of
 * his sessions; their messages leave in turns, chunk by chunk.
 */
import { MsrpError } from './error.ts';
import { encodeFrame, header, parseFrame, response, type Frame } from './frame.ts';
import { Budget } from './reassembly.ts';
import { Session, type SessionOptions } from './session.ts';
import { parseUri } from './uri.ts';

/** As much of WebSocket as is used: the browser's, Node's, or the package ws. */
export interface Socket {
	binaryType: string;
	readonly bufferedAmount: number;
	send(data: Uint8Array): void;
	close(code?: number, reason?: string): void;
	onopen: ((event: never) => void) | null;
	onmessage: ((event: { data: unknown }) => void) | null;
	onclose: ((event: never) => void) | null;
	onerror: ((event: never) => void) | null;
}

export interface ConnectionOptions {
	/** makes the socket; default: new WebSocket(url, 'msrp') */
	connect?: (url: string) => Socket;
	/** milliseconds until a request without an answer has failed (RFC 4975 7.1.1) */
	patience?: number;
	/** milliseconds without a frame of ours after which an empty SEND leaves (RFC 7977 section 6) */
	keepalive?: number;
	/** bytes that incomplete messages may hold */
	maxMemory?: number;
	/** it has closed: why, and all sessions have ended */
	onClose?: (why: MsrpError) => void;
}

interface Waiting {
	resolve: (answer: Frame | number) => void;
	timer: ReturnType<typeof setTimeout>;
}

const CHUNK = 16384;
/** Chunks without an answer at one time: enough for a fast link, little to wait behind. */
const WINDOW = 16;
const BUFFERED_MAX = 4 * CHUNK;
const DRAIN_INTERVAL = 20;
const FRAME_MAX = 4 * 1048576;
/** Close codes; a browser lets a page give those from 3000 on. */
const BAD_DATA = 4007;
const TOO_BIG = 4009;
const SILENT = 4008;

export class Connection {
	readonly budget: Budget;
	readonly #options: ConnectionOptions;
	readonly #url: string;
	readonly #patience: number;
	readonly #sessions = new Map<string, Session>();
	readonly #waiting = new Map<string, Waiting>();
	#socket?: Socket;
	#isOpen = false;
	#underway = 0;
	#draining = false;
	#keepalive?: ReturnType<typeof setTimeout>;
	#ended?: MsrpError;

	/** @param url  of the WebSocket, `wss://chat.example.org/msrp` */
	constructor(url: string, options: ConnectionOptions = {}) {
		this.#url = url;
		this.#options = options;
		this.#patience = options.patience ?? 30000;
		this.budget = new Budget(options.maxMemory ?? 64 * 1048576);
	}

	get isOpen(): boolean {
		return this.#isOpen;
	}

	/** Connect; fails with 408 when it cannot be. */
	open(): Promise<void> {
		return new Promise((resolve, reject) => {
			const socket = (this.#options.connect ?? websocket)(this.#url);
			const timer = setTimeout(() => socket.close(), this.#patience);

			this.#socket = socket;
			socket.binaryType = 'arraybuffer';
			socket.onopen = () => {
				clearTimeout(timer);
				this.#isOpen = true;
				this.#armKeepalive();
				resolve();
			};
			socket.onmessage = (event) => this.#take(event.data);
			socket.onclose = () => {
				clearTimeout(timer);
				this.#end(new MsrpError(481, 'the connection is lost'));
				reject(new MsrpError(408, 'no connection'));
			};
			socket.onerror = () => {};
		});
	}

	/** A new session on this connection. */
	session(options: SessionOptions): Session {
		const session = new Session(this, options);

		this.#sessions.set(parseUri(session.uri)!.session, session);
		return session;
	}

	/** For sessions. */
	forget(session: Session): void {
		this.#sessions.delete(parseUri(session.uri)!.session);
	}

	close(): void {
		this.#socket?.close(1000);
		this.#end(new MsrpError(481, 'closed'), false);
	}

	/** Write a frame at once. */
	write(frame: Frame): void {
		if (!this.#isOpen)
			return;
		this.#socket!.send(encodeFrame(frame));
		this.#armKeepalive();
	}

	/** Write a request. @return its answer, or 408 without one, 481 when the connection is lost */
	ask(frame: Frame): Promise<Frame | number> {
		if (!this.#isOpen)
			return Promise.resolve(481);
		return new Promise((resolve) => {
			const timer = setTimeout(() => this.#settle(frame.transaction, 408), this.#patience);

			this.#waiting.set(frame.transaction, { resolve, timer });
			this.write(frame);
		});
	}

	#settle(transaction: string, answer: Frame | number): void {
		const waiting = this.#waiting.get(transaction);

		clearTimeout(waiting?.timer);
		this.#waiting.delete(transaction);
		waiting?.resolve(answer);
	}

	/** Let sessions write, each a chunk in its turn, as much as may be underway. */
	pump(): void {
		for (let idle = 0; this.#isOpen && this.#underway < WINDOW && idle < this.#sessions.size;) {
			if (this.#socket!.bufferedAmount > BUFFERED_MAX)
				return this.#waitForRoom();
			idle = this.#letNextWrite() ? 0 : idle + 1;
		}
	}

	#letNextWrite(): boolean {
		const [id, session] = this.#sessions.entries().next().value as [string, Session];
		const answered = session.writeChunk(CHUNK);

		if (this.#sessions.delete(id))
			this.#sessions.set(id, session); // to the end of the line
		if (!answered)
			return false;
		this.#underway++;
		void answered.finally(() => {
			this.#underway--;
			this.pump();
		});
		return true;
	}

	/** Nobody tells when a browser's socket has written: it has to be asked. */
	#waitForRoom(): void {
		if (this.#draining)
			return;
		this.#draining = true;
		setTimeout(() => {
			this.#draining = false;
			this.pump();
		}, DRAIN_INTERVAL);
	}

	#take(data: unknown): void {
		const bytes = typeof data === 'string' ? new TextEncoder().encode(data)
			: new Uint8Array(data as ArrayBuffer);

		if (bytes.length > FRAME_MAX)
			return this.#refuse(TOO_BIG);
		try {
			this.#takeFrame(parseFrame(bytes));
		} catch (error) {
			if (!(error instanceof MsrpError))
				throw error;
			this.#refuse(BAD_DATA);
		}
	}

	/** RFC 4975 and 7977: nothing that follows could be believed. */
	#refuse(code: number): void {
		try {
			this.#socket!.close(code, 'not MSRP');
		} finally {
			this.#end(new MsrpError(400, 'the other side does not speak MSRP'));
		}
	}

	#takeFrame(frame: Frame): void {
		if (!frame.method)
			return this.#settle(frame.transaction, frame);
		const own = parseUri(frame.toPath[0]!)!;
		const session = frame.toPath.length === 1 ? this.#sessions.get(own.session) : undefined;
		const code = session ? session.take(frame) : this.#codeWithoutSession(frame);

		if (code !== undefined)
			this.write(response(frame, code));
	}

	#codeWithoutSession(frame: Frame): number | undefined {
		const silent = frame.method === 'REPORT' || header(frame, 'Failure-Report') === 'no';

		return silent ? undefined : 481;
	}

	#armKeepalive(): void {
		clearTimeout(this.#keepalive);
		if (this.#options.keepalive)
			this.#keepalive = setTimeout(() => this.#keepAlive(), this.#options.keepalive);
	}

	#keepAlive(): void {
		const session = this.#sessions.values().next().value;

		if (!session)
			return this.#armKeepalive();
		session.ping().catch((error: MsrpError) => {
			if (error.code === 408)
				this.#refuseSilence();
		});
	}

	/** Half-open connections look alive until somebody asks. */
	#refuseSilence(): void {
		this.#socket?.close(SILENT, 'silent');
		this.#end(new MsrpError(408, 'the other side is silent'));
	}

	#end(why: MsrpError, tell = true): void {
		if (this.#ended)
			return;
		this.#ended = why;
		this.#isOpen = false;
		clearTimeout(this.#keepalive);
		for (const transaction of [...this.#waiting.keys()])
			this.#settle(transaction, 481);
		for (const session of [...this.#sessions.values()])
			session.end(why);
		if (tell)
			this.#options.onClose?.(why);
	}
}

function websocket(url: string): Socket {
	return new WebSocket(url, 'msrp') as unknown as Socket;
}
