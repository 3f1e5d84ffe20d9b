/** One MSRP request or response (RFC 4975 section 9), which is one WebSocket message (RFC 7977 5.1). */
import { concat, findCrlf, randomName, text, utf8 } from './bytes.ts';
import { MsrpError } from './error.ts';
import { parsePath } from './uri.ts';

/** The last of its message, one more follows, or the message is given up. */
export type Flag = '$' | '+' | '#';

export interface Frame {
	transaction: string;
	/** of a request */
	method?: string;
	/** of a response */
	code?: number;
	toPath: string[];
	fromPath: string[];
	/** the other headers in their order */
	headers: [string, string][];
	/** undefined: none, which is not the same as one of no bytes */
	body?: Uint8Array;
	flag: Flag;
}

const HEAD_MAX = 16384;
const START = /^MSRP ([A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}) (?:(\d{3})(?: .*)?|([A-Z]+))$/;
const HEADER = /^([A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]*):[ \t]*(.*)$/;
const ONCE = ['message-id', 'byte-range', 'content-type', 'success-report', 'failure-report', 'status'];

export function newTransaction(): string {
	return randomName(10);
}

export function header(frame: Frame, name: string): string | undefined {
	const wanted = name.toLowerCase();

	return frame.headers.find(([own]) => own.toLowerCase() === wanted)?.[1];
}

/** A frame that is a request; its body only where it has one. */
export function request(method: string, toPath: string[], fromPath: string[],
	headers: [string, string][] = [], body?: Uint8Array, flag: Flag = '$'): Frame {
	return { transaction: newTransaction(), method, toPath, fromPath, headers, body, flag };
}

/** RFC 4975 7.2: to the hop before, in the name of who was asked. */
export function response(to: Frame, code: number): Frame {
	return {
		transaction: to.transaction, code, headers: [], flag: '$',
		toPath: to.method === 'AUTH' ? to.fromPath : to.fromPath.slice(0, 1),
		fromPath: to.toPath.slice(0, 1),
	};
}

const WORDS: Record<number, string> = { 200: 'OK', 400: 'Bad Request', 408: 'Timeout',
	413: 'Stop Sending', 415: 'Unsupported Type', 481: 'No Such Session', 501: 'Unknown Method' };

export function encodeFrame(frame: Frame): Uint8Array {
	const what = frame.method ?? `${frame.code} ${WORDS[frame.code!] ?? 'Refused'}`;
	const lines = [`MSRP ${frame.transaction} ${what}`, `To-Path: ${frame.toPath.join(' ')}`,
		`From-Path: ${frame.fromPath.join(' ')}`,
		...frame.headers.map(([name, value]) => `${name}: ${oneLine(value)}`)];
	const end = `-------${frame.transaction}${frame.flag}\r\n`;

	if (!frame.body)
		return utf8(`${lines.join('\r\n')}\r\n${end}`);
	return concat([utf8(`${lines.join('\r\n')}\r\n\r\n`), frame.body, utf8(`\r\n${end}`)]);
}

/** What a caller hands in can make no second header. */
function oneLine(value: string): string {
	return value.replace(/[\r\n\0]+/g, ' ');
}

function bad(why: string): MsrpError {
	return new MsrpError(400, why);
}

function parseStart(line: string): Frame {
	const match = START.exec(line);

	if (!match)
		throw bad('no start line of MSRP');
	return {
		transaction: match[1]!, code: match[2] === undefined ? undefined : Number(match[2]),
		method: match[3], toPath: [], fromPath: [], headers: [], flag: '$',
	};
}

/** Where the end-line begins, and its flag; the message must end with it. */
function parseEnd(bytes: Uint8Array, frame: Frame): number {
	const at = bytes.length - (7 + frame.transaction.length + 1 + 2);
	const end = at > 0 ? text(bytes.subarray(at)) : '';
	const flag = end.slice(-3, -2);

	if (!end.startsWith(`-------${frame.transaction}`) || !end.endsWith('\r\n') ||
		!(flag === '$' || flag === '+' || flag === '#'))
		throw bad('no end-line');
	frame.flag = flag;
	return at;
}

function takePath(frame: Frame, index: number, name: string, value: string): void {
	const path = parsePath(value);

	if (name !== (index === 0 ? 'to-path' : 'from-path') || !path)
		throw bad('To-Path and From-Path come first');
	if (index === 0)
		frame.toPath = path;
	else
		frame.fromPath = path;
}

function takeHeader(frame: Frame, index: number, line: string): void {
	const match = HEADER.exec(line);
	const name = match?.[1]!.toLowerCase() ?? '';

	if (!match || line.includes('\0'))
		throw bad('no header');
	if (index < 2)
		return takePath(frame, index, name, match[2]!);
	if (ONCE.includes(name) && header(frame, name) !== undefined)
		throw bad(`${match[1]} twice`);
	frame.headers.push([match[1]!, match[2]!.trimEnd()]);
}

/**
 * Read the frame that a WebSocket message is.
 *
 * @throws MsrpError 400
 */
export function parseFrame(bytes: Uint8Array): Frame {
	let at = findCrlf(bytes, 0, HEAD_MAX);

	if (at < 0)
		throw bad('no start line');
	const frame = parseStart(text(bytes.subarray(0, at)));
	const end = parseEnd(bytes, frame);

	at += 2;
	for (let index = 0; at !== end; index++) {
		const next = findCrlf(bytes, at, Math.min(end, HEAD_MAX));

		if (next < 0)
			throw bad('a head without an end');
		if (next === at) {
			if (next + 2 > end - 2 || bytes[end - 2] !== 13 || bytes[end - 1] !== 10)
				throw bad('a body without an end');
			frame.body = bytes.subarray(next + 2, end - 2);
			break;
		}
		takeHeader(frame, index, text(bytes.subarray(at, next)));
		at = next + 2;
	}
	if (!frame.fromPath.length)
		throw bad('no paths');
	return frame;
}
