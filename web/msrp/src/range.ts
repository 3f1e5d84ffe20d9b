/** Byte-Range (RFC 4975 section 9), and which bytes of a message are there. */

export interface ByteRange {
	/** the first byte's number is 1 */
	start: number;
	/** undefined: `*` */
	end?: number;
	/** undefined: `*` */
	total?: number;
}

const RANGE = /^(\d{1,15})-(\d{1,15}|\*)\/(\d{1,15}|\*)$/;

export function parseRange(text: string): ByteRange | undefined {
	const match = RANGE.exec(text.trim());

	if (!match)
		return undefined;
	const start = Number(match[1]);
	const end = match[2] === '*' ? undefined : Number(match[2]);
	const total = match[3] === '*' ? undefined : Number(match[3]);

	if (start < 1 || (end !== undefined && end < start - 1) ||
		(total !== undefined && Math.max(start - 1, end ?? 0) > total))
		return undefined;
	return { start, end, total };
}

export function formatRange(range: ByteRange): string {
	return `${range.start}-${range.end ?? '*'}/${range.total ?? '*'}`;
}

/** A set of bytes as runs that do not touch, in order; bounded by their number. */
export class Coverage {
	#runs: { from: number; to: number }[] = [];

	/** Bytes from up to, but not including, to.  False: these would be too many pieces. */
	add(from: number, to: number, most = 1024): boolean {
		const apart = this.#runs.filter((run) => run.to < from || run.from > to);
		const joined = this.#runs.filter((run) => run.to >= from && run.from <= to);

		if (from >= to)
			return true;
		if (apart.length + 1 > most)
			return false;
		apart.push({
			from: Math.min(from, ...joined.map((run) => run.from)),
			to: Math.max(to, ...joined.map((run) => run.to)),
		});
		this.#runs = apart.sort((a, b) => a.from - b.from);
		return true;
	}

	/** Are all bytes from 0 to length there? */
	isWhole(length: number): boolean {
		return length === 0 || (this.#runs.length === 1 && this.#runs[0]!.from === 0 &&
			this.#runs[0]!.to >= length);
	}
}
