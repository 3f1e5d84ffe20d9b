/** Chunks put together (RFC 4975 section 7.3.1), within bounds. */
import { MsrpError } from './error.ts';
import { Coverage, type ByteRange } from './range.ts';

export interface Bounds {
	/** bytes of one message */
	maxSize: number;
	/** messages that are incomplete at one time */
	maxOpen: number;
	/** milliseconds without a chunk after which an incomplete message is dropped */
	patience: number;
}

/** Bytes that all sessions of a connection hold together. */
export class Budget {
	#left: number;

	constructor(most: number) {
		this.#left = most;
	}

	take(count: number): boolean {
		if (count > this.#left)
			return false;
		this.#left -= count;
		return true;
	}

	give(count: number): void {
		this.#left += count;
	}
}

const STEP = 16384;

/** A message of which some chunks have come. */
class Partial {
	bytes = new Uint8Array(0);
	total?: number;
	readonly type: string | undefined;
	readonly #coverage = new Coverage();
	#timer?: ReturnType<typeof setTimeout>;

	constructor(type: string | undefined) {
		this.type = type;
	}

	/** At least size bytes, at the cost of budget. */
	#grow(size: number, bounds: Bounds, budget: Budget): void {
		if (size <= this.bytes.length)
			return;
		// A total is only what somebody says: what costs memory are bytes that have come.
		const room = Math.min(Math.max(size, this.bytes.length * 2, STEP), bounds.maxSize,
			this.total ?? Infinity);

		if (!budget.take(room - this.bytes.length))
			throw new MsrpError(413, 'too much at once');
		const grown = new Uint8Array(room);

		grown.set(this.bytes);
		this.bytes = grown;
	}

	add(range: ByteRange, body: Uint8Array, bounds: Bounds, budget: Budget): void {
		const from = range.start - 1;
		const to = from + body.length;

		if (Math.max(to, range.total ?? 0) > bounds.maxSize)
			throw new MsrpError(413, 'too large');
		if (to > (range.total ?? this.total ?? Infinity))
			throw new MsrpError(400, 'more than its range says');
		this.total = range.total ?? this.total;
		this.#grow(to, bounds, budget);
		this.bytes.set(body, from);
		if (!this.#coverage.add(from, to))
			throw new MsrpError(413, 'too many pieces');
	}

	isWhole(): boolean {
		return this.total !== undefined && this.#coverage.isWhole(this.total);
	}

	watch(patience: number, give_up: () => void): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(give_up, patience);
	}

	rest(): void {
		clearTimeout(this.#timer);
	}
}

export interface Whole {
	type: string | undefined;
	body: Uint8Array;
}

/** The incomplete messages of one session by their Message-ID. */
export class Reassembly {
	readonly #open = new Map<string, Partial>();
	readonly #bounds: Bounds;
	readonly #budget: Budget;

	constructor(bounds: Bounds, budget: Budget) {
		this.#bounds = bounds;
		this.#budget = budget;
	}

	/**
	 * Take one chunk.
	 *
	 * @param last  it ends its message (`$`), which tells the total where the range does not
	 * @return the message when this completes it
	 * @throws MsrpError 413 beyond a bound, 400 for a range that cannot be; the message is gone
	 */
	take(id: string, type: string | undefined, range: ByteRange, body: Uint8Array,
		last: boolean): Whole | undefined {
		const partial = this.#open.get(id) ?? this.#begin(id, type);

		try {
			partial.add(last ? { ...range, total: range.total ?? range.start - 1 + body.length } : range,
				body, this.#bounds, this.#budget);
		} catch (error) {
			this.drop(id);
			throw error;
		}
		if (!partial.isWhole()) {
			partial.watch(this.#bounds.patience, () => this.drop(id));
			return undefined;
		}
		this.drop(id);
		return { type: partial.type, body: partial.bytes.subarray(0, partial.total) };
	}

	#begin(id: string, type: string | undefined): Partial {
		if (this.#open.size >= this.#bounds.maxOpen)
			throw new MsrpError(413, 'too many messages at once');
		const partial = new Partial(type);

		this.#open.set(id, partial);
		return partial;
	}

	has(id: string): boolean {
		return this.#open.has(id);
	}

	drop(id: string): void {
		const partial = this.#open.get(id);

		partial?.rest();
		this.#budget.give(partial?.bytes.length ?? 0);
		this.#open.delete(id);
	}

	clear(): void {
		for (const id of [...this.#open.keys()])
			this.drop(id);
	}
}
