/** One MSRP session of ours: messages out, messages in, reports. */
import { authenticate } from './auth.ts';
import { randomName, text, utf8 } from './bytes.ts';
import type { Connection } from './connection.ts';
import { MsrpError } from './error.ts';
import { header, request, type Frame } from './frame.ts';
import { formatRange, parseRange, type ByteRange } from './range.ts';
import { Reassembly, type Bounds } from './reassembly.ts';
import { Transmission, type SendOptions } from './transmission.ts';
import { ownUri } from './uri.ts';

/** One whole message that has come. */
export interface Message {
	id: string;
	type: string;
	body: Uint8Array;
	/** headers of its last chunk, as Content-Disposition */
	headers: [string, string][];
}

export interface SessionOptions extends Partial<Bounds> {
	/** media types that are taken: `text/plain`, `image/*`, `*` */
	acceptTypes: string[];
	/** the session's URI is msrps */
	secure?: boolean;
	onMessage: (message: Message) => void;
	/** it has ended without close() */
	onEnd?: (why: MsrpError) => void;
}

const BOUNDS: Bounds = { maxSize: 8 * 1048576, maxOpen: 16, patience: 300000 };
const KEPT_IDS = 1000;
const KEPT_REPORTS = 256;
const ID_MAX = 128;

/** Does one of the list, as in a=accept-types, take that Content-Type? */
export function takesType(list: string[], type: string): boolean {
	const bare = type.split(';')[0]!.trim().toLowerCase();

	return list.some((entry) => {
		const wanted = entry.toLowerCase();

		return wanted === '*' || wanted === bare ||
			(wanted.endsWith('/*') && bare.startsWith(wanted.slice(0, -1)));
	});
}

/** The oldest leave when there are too many. */
function keepLast(kept: { size: number; keys(): Iterator<string>; delete(key: string): boolean },
	most: number): void {
	while (kept.size > most)
		kept.delete(kept.keys().next().value as string);
}

export class Session {
	readonly uri: string;
	readonly acceptTypes: string[];
	readonly maxSize: number;
	readonly #connection: Connection;
	readonly #options: SessionOptions;
	readonly #reassembly: Reassembly;
	readonly #delivered = new Set<string>();
	readonly #awaited = new Map<string, Transmission>();
	readonly #queue: Transmission[] = [];
	#usePath: string[] = [];
	#refresh?: ReturnType<typeof setTimeout>;
	#peer: string[] = [];
	#peerTypes: string[] = [];
	#peerMax = Infinity;
	#ended = false;

	/** By Connection.session(). */
	constructor(connection: Connection, options: SessionOptions) {
		const bounds = { ...BOUNDS, ...options };

		this.uri = ownUri(options.secure ?? false);
		this.acceptTypes = options.acceptTypes;
		this.maxSize = bounds.maxSize;
		this.#connection = connection;
		this.#options = options;
		this.#reassembly = new Reassembly(bounds, connection.budget);
	}

	/** Our a=path: the relays that lead here, then ourselves (RFC 4976 5.1). */
	get path(): string[] {
		return [...[...this.#usePath].reverse(), this.uri];
	}

	get isEnded(): boolean {
		return this.#ended;
	}

	/** The largest message that the peer takes. */
	get peerMax(): number {
		return this.#peerMax;
	}

	accepts(type: string): boolean {
		return takesType(this.#peerTypes, type);
	}

	/**
	 * What the peer has said in SDP.  The other side learns of us by an empty SEND (RFC 4975 5.4).
	 *
	 * @param path  its a=path
	 */
	start(path: string[], acceptTypes: string[], maxSize = Infinity): Promise<void> {
		this.#peer = [...this.#usePath, ...path];
		this.#peerTypes = acceptTypes;
		this.#peerMax = maxSize;
		return this.ping();
	}

	/**
	 * Be reachable by way of a relay (RFC 4976 section 5), until the session ends.  Before
	 * writeSdp(): the path that it grants stands there.
	 *
	 * @param uri  of the relay, `msrps://relay.example.org:2855;ws`
	 */
	async useRelay(uri: string, user: string, password: string): Promise<void> {
		const grant = await authenticate(this.#connection, uri, this.uri, user, password);

		this.#usePath = grant.usePath;
		this.#refresh = setTimeout(() => {
			this.useRelay(uri, user, password).catch((why: MsrpError) => this.end(why));
		}, grant.expires * 800);
	}

	/** A SEND without a body. @return settles with its 200 */
	async ping(): Promise<void> {
		await this.#ask(this.#request('SEND', [['Message-ID', randomName(12)]]));
	}

	/** Reserve a nickname in a room (RFC 7701 section 7); the empty one gives it up. */
	async nickname(name: string): Promise<void> {
		const quoted = `"${name.replace(/["\\]/g, '\\$&')}"`;

		await this.#ask(this.#request('NICKNAME', [['Use-Nickname', quoted]]));
	}

	/** Send a message; it leaves in its turn. */
	send(body: Uint8Array | string, options: SendOptions = {}): Transmission {
		const bytes = typeof body === 'string' ? utf8(body) : body;
		const transmission = new Transmission(bytes, options);
		const refused = this.#refusal(bytes.length, options.type ?? 'text/plain');

		if (refused) {
			transmission.fail(refused);
			return transmission;
		}
		if (options.successReport) {
			this.#awaited.set(transmission.id, transmission);
			keepLast(this.#awaited, KEPT_REPORTS);
		}
		this.#queue.push(transmission);
		this.#connection.pump();
		return transmission;
	}

	#refusal(size: number, type: string): MsrpError | undefined {
		if (this.#ended)
			return new MsrpError(481, 'the session has ended');
		if (!this.accepts(type))
			return new MsrpError(415, 'the other side does not take this type');
		if (size > this.#peerMax)
			return new MsrpError(413, 'larger than the other side takes');
		return undefined;
	}

	#request(method: string, headers: [string, string][]): Frame {
		return request(method, this.#peer, [this.uri], headers);
	}

	async #ask(frame: Frame): Promise<void> {
		const answer = await this.#connection.ask(frame);
		const code = typeof answer === 'number' ? answer : answer.code!;

		if (code === 481)
			this.end(new MsrpError(481, 'the other side has ended the session'));
		if (code !== 200)
			throw new MsrpError(code, 'refused');
	}

	/**
	 * For the connection: write the next chunk, if there is one.
	 *
	 * @return settles with the answer; undefined: nothing to write
	 */
	writeChunk(size: number): Promise<void> | undefined {
		for (;;) {
			const transmission = this.#queue[0];
			const frame = transmission?.next(this.#peer, [this.uri], size);

			if (!transmission)
				return undefined;
			if (transmission.isOver)
				this.#queue.shift();
			else if (frame)
				this.#queue.push(this.#queue.shift()!); // others have their turn between two chunks
			if (frame)
				return this.#follow(transmission, frame);
		}
	}

	async #follow(transmission: Transmission, frame: Frame): Promise<void> {
		try {
			await this.#ask(frame);
			transmission.confirm(frame.body!.length);
		} catch (error) {
			transmission.fail(error as MsrpError);
		}
	}

	/** For the connection: a request that has come. @return the code to answer, undefined: none */
	take(frame: Frame): number | undefined {
		if (frame.method === 'REPORT') {
			this.#takeReport(frame);
			return undefined;
		}
		if (frame.method !== 'SEND')
			return 501;
		const code = this.#codeFor(frame);
		const wanted = header(frame, 'Failure-Report');

		return wanted === 'no' || (wanted === 'partial' && code === 200) ? undefined : code;
	}

	#takeReport(frame: Frame): void {
		const id = header(frame, 'Message-ID') ?? '';

		this.#awaited.get(id)?.report(header(frame, 'Status') ?? '', header(frame, 'Byte-Range'));
	}

	#codeFor(frame: Frame): number {
		try {
			this.#takeSend(frame);
			return 200;
		} catch (error) {
			if (error instanceof MsrpError)
				return error.code;
			throw error;
		}
	}

	#takeSend(frame: Frame): void {
		const id = header(frame, 'Message-ID');
		const range = parseRange(header(frame, 'Byte-Range') ?? '1-*/*');
		const type = header(frame, 'Content-Type');

		if (!id || id.length > ID_MAX || !range)
			throw new MsrpError(400, 'no Message-ID or a bad range');
		if (frame.flag === '#')
			return this.#reassembly.drop(id);
		if (!frame.body)
			return;
		if (this.#delivered.has(id))
			return this.#reportSuccess(frame, id, { ...range, end: range.start - 1 + frame.body.length });
		if (!this.#reassembly.has(id) && !(type && takesType(this.acceptTypes, type)))
			throw new MsrpError(415, 'not taken');
		const whole = this.#reassembly.take(id, type, range, frame.body, frame.flag === '$');

		if (whole)
			this.#deliver(frame, { id, type: whole.type ?? '', body: whole.body, headers: frame.headers });
	}

	#deliver(frame: Frame, message: Message): void {
		this.#delivered.add(message.id);
		keepLast(this.#delivered, KEPT_IDS);
		if (message.body.length)
			this.#options.onMessage(message);
		const end = message.body.length;

		this.#reportSuccess(frame, message.id, { start: 1, end, total: end });
	}

	#reportSuccess(frame: Frame, id: string, range: ByteRange): void {
		if (header(frame, 'Success-Report') === 'yes')
			this.#connection.write(request('REPORT', frame.fromPath, frame.toPath, [
				['Message-ID', id], ['Byte-Range', formatRange(range)], ['Status', '000 200 OK']]));
	}

	/** End it; what has not been confirmed fails with 481. */
	close(): void {
		this.#finish(new MsrpError(481, 'the session has ended'));
	}

	/** It has ended by itself. */
	end(why: MsrpError): void {
		if (this.#finish(why))
			this.#options.onEnd?.(why);
	}

	#finish(why: MsrpError): boolean {
		if (this.#ended)
			return false;
		this.#ended = true;
		clearTimeout(this.#refresh);
		this.#connection.forget(this);
		this.#reassembly.clear();
		for (const transmission of [...this.#queue, ...this.#awaited.values()])
			transmission.fail(why);
		this.#queue.length = 0;
		this.#awaited.clear();
		return true;
	}
}

/** The text of a message of a text type. */
export function textOf(message: Message): string {
	return text(message.body);
}
