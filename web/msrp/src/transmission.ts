/** A message on its way out: cut into chunks, and what becomes of it. */
import { randomName } from './bytes.ts';
import { MsrpError } from './error.ts';
import { request, type Frame } from './frame.ts';
import { Coverage, formatRange, parseRange } from './range.ts';

export interface SendOptions {
	/** default `text/plain` */
	type?: string;
	/** the Message-ID: that of a message which is sent again, perhaps in another session; default a new one */
	id?: string;
	/** other headers of the content, as Content-Disposition */
	headers?: [string, string][];
	/** ask for a success REPORT: `delivered` settles when it has come */
	successReport?: boolean;
	/** bytes that the other side has confirmed */
	onProgress?: (done: number, total: number) => void;
	/** gives the message up; when some of it has left already it ends with `#` */
	signal?: AbortSignal;
}

interface Settler {
	resolve: () => void;
	reject: (why: MsrpError) => void;
}

function promise(): [Promise<void>, Settler] {
	let settler: Settler;
	const made = new Promise<void>((resolve, reject) => {
		settler = { resolve, reject };
	});

	made.catch(() => {}); // who does not ask is not told
	return [made, settler!];
}

/** RFC 4975 7.1.1: a longer chunk must be one that can be interrupted. */
const OPEN_ENDED = 2048;

export class Transmission {
	/** the Message-ID */
	readonly id: string;
	/** settles when the next hop has taken all of it */
	readonly sent: Promise<void>;
	/** settles when a success REPORT for all of it has come; only where one was asked for */
	readonly delivered: Promise<void>;
	readonly #body: Uint8Array;
	readonly #options: SendOptions;
	readonly #sent: Settler;
	readonly #delivered: Settler;
	readonly #reported = new Coverage();
	#at = 0;
	#confirmed = 0;
	#begun = false;
	/** nothing more of it is to leave */
	#over = false;
	#failure?: MsrpError;

	constructor(body: Uint8Array, options: SendOptions) {
		this.id = options.id ?? randomName(12);
		this.#body = body;
		this.#options = options;
		[this.sent, this.#sent] = promise();
		[this.delivered, this.#delivered] = promise();
		options.signal?.addEventListener('abort', () => this.fail(new MsrpError(0, 'given up')),
			{ once: true });
		if (options.signal?.aborted)
			this.fail(new MsrpError(0, 'given up'));
	}

	get isOver(): boolean {
		return this.#over;
	}

	get wantsReport(): boolean {
		return this.#options.successReport === true && !this.#failure;
	}

	/** The next SEND, or nothing when all of them have left. */
	next(toPath: string[], fromPath: string[], size: number): Frame | undefined {
		const gaveUp = this.#failure !== undefined;
		const from = this.#at;
		const to = Math.min(from + (gaveUp ? 1 : size), this.#body.length);

		if (this.#over)
			return undefined;
		this.#at = to;
		this.#over = gaveUp || to === this.#body.length;
		// It never began, so that nobody has to be told; or its last byte has left.
		if (gaveUp && (!this.#begun || from === this.#body.length))
			return undefined;
		this.#begun = true;
		return request('SEND', toPath, fromPath, this.#headers(from, to),
			this.#body.subarray(from, to), gaveUp ? '#' : this.#over ? '$' : '+');
	}

	#headers(from: number, to: number): [string, string][] {
		const end = to - from > OPEN_ENDED ? undefined : to;

		return [
			['Message-ID', this.id],
			...(this.#options.successReport ? [['Success-Report', 'yes'] as [string, string]] : []),
			['Byte-Range', formatRange({ start: from + 1, end, total: this.#body.length })],
			...(this.#options.headers ?? []),
			['Content-Type', this.#options.type ?? 'text/plain'],
		];
	}

	/** A chunk was answered 200. */
	confirm(bytes: number): void {
		if (this.#failure)
			return;
		this.#confirmed += bytes;
		this.#options.onProgress?.(this.#confirmed, this.#body.length);
		if (this.#confirmed >= this.#body.length)
			this.#sent.resolve();
	}

	/** A REPORT (RFC 4975 7.1.3): `000 200` for some of it, or a failure of all of it. */
	report(status: string, range: string | undefined): void {
		const code = Number(/^000 (\d{3})/.exec(status)?.[1]);
		const bytes = parseRange(range ?? '');

		if (code === 200) {
			if (bytes)
				this.#reported.add(bytes.start - 1, bytes.end ?? bytes.total ?? 0);
			if (this.#reported.isWhole(this.#body.length))
				this.#delivered.resolve();
		} else if (code) {
			this.fail(new MsrpError(code, status.slice(8) || 'not delivered'));
		}
	}

	fail(why: MsrpError): void {
		this.#failure ??= why;
		if (!this.#begun)
			this.#over = true;
		this.#sent.reject(why);
		this.#delivered.reject(why);
	}
}
