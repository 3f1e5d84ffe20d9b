/** Bytes and UTF-8, and names that nobody can guess. */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function utf8(text: string): Uint8Array {
	return encoder.encode(text);
}

/** What is no UTF-8 becomes U+FFFD. */
export function text(bytes: Uint8Array): string {
	return decoder.decode(bytes);
}

export function concat(parts: Uint8Array[]): Uint8Array {
	const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;

	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
}

/** Where the next CR LF is at or after from, looking no further than before limit; or -1. */
export function findCrlf(bytes: Uint8Array, from: number, limit: number): number {
	const end = Math.min(limit, bytes.length);

	for (let at = bytes.indexOf(13, from); at >= 0 && at + 1 < end; at = bytes.indexOf(13, at + 1)) {
		if (bytes[at + 1] === 10)
			return at;
	}
	return -1;
}

/** A name of count random bytes, in the letters that every grammar of MSRP takes. */
export function randomName(count: number): string {
	const bytes = crypto.getRandomValues(new Uint8Array(count));

	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
