/** message/cpim (RFC 3862): an envelope that says who writes to whom, and when. */
import { concat, findCrlf, text, utf8 } from './bytes.ts';
import { MsrpError } from './error.ts';

export interface CpimAddress {
	/** empty: there is none */
	name: string;
	uri: string;
}

export interface Cpim {
	from?: CpimAddress;
	to: CpimAddress[];
	/** RFC 3339 */
	dateTime?: string;
	subject?: string;
	/** headers of other namespaces, as `urn:ietf:params:imdn#Message-ID` */
	extensions: Map<string, string>;
	contentType: string;
	/** the other headers of the content, by their name in lower case */
	contentHeaders: Map<string, string>;
	/** as it stands: contentOf() takes base64 off */
	body: Uint8Array;
}

const HEAD_MAX = 16384;
const HEADERS_MAX = 64;
const NAME = '[^\\s:.]+';
const HEADER = new RegExp(`^(?:(${NAME})\\.)?(${NAME})(?:;lang=[A-Za-z-]+)?: ?(.*)$`);
const ADDRESS = /^(?:"((?:[^"\\]|\\.)*)"|([^<"]*?))\s*<([^<>\s]+)>$/;
const ESCAPES: Record<string, string> = { b: '\b', t: '\t', n: '\n', r: '\r' };

function unescape(value: string): string {
	return value.replace(/\\(?:u([0-9A-Fa-f]{4})|(.))/g, (_, hex: string | undefined, one: string) =>
		hex ? String.fromCharCode(parseInt(hex, 16)) : ESCAPES[one] ?? one);
}

function escape(value: string): string {
	return value.replace(/["\\]/g, '\\$&').replace(/[\0-\x1f\x7f]+/g, ' ');
}

function parseAddress(value: string): CpimAddress {
	const match = ADDRESS.exec(value.trim());

	if (!match)
		throw new MsrpError(400, 'no address in the envelope');
	return { name: unescape(match[1] ?? match[2] ?? '').trim(), uri: match[3]! };
}

/** Lines up to an empty one; where the next part begins. */
function readHead(bytes: Uint8Array, from: number, take: (line: string) => void): number {
	let at = from;

	for (let count = 0; count < HEADERS_MAX; count++) {
		const end = findCrlf(bytes, at, from + HEAD_MAX);

		if (end < 0)
			break;
		const line = text(bytes.subarray(at, end));

		at = end + 2;
		if (!line)
			return at;
		take(line);
	}
	throw new MsrpError(400, 'an envelope without an end');
}

function takeHeader(message: Cpim, spaces: Map<string, string>, line: string): void {
	const match = HEADER.exec(line);

	if (!match)
		throw new MsrpError(400, 'no header in the envelope');
	const [, prefix, name, value] = match as unknown as [string, string | undefined, string, string];

	if (prefix) {
		const space = spaces.get(prefix);

		if (space)
			message.extensions.set(`${space}#${name}`, unescape(value));
	} else if (name === 'NS') {
		const space = /^(\S+)\s+<([^<>\s]+)>$/.exec(value.trim());

		if (space)
			spaces.set(space[1]!, space[2]!);
	} else if (name === 'From') {
		message.from = parseAddress(value);
	} else if (name === 'To') {
		message.to.push(parseAddress(value));
	} else if (name === 'DateTime') {
		message.dateTime = value.trim();
	} else if (name === 'Subject') {
		message.subject = unescape(value);
	}
}

/**
 * Read an envelope.
 *
 * @throws MsrpError 400
 */
export function parseCpim(bytes: Uint8Array): Cpim {
	const message: Cpim = { to: [], extensions: new Map(), contentType: 'text/plain',
		contentHeaders: new Map(), body: bytes };
	const spaces = new Map<string, string>();
	const content = readHead(bytes, 0, (line) => takeHeader(message, spaces, line));
	const body = readHead(bytes, content, (line) => {
		const match = /^([^\s:]+):\s*(.*)$/.exec(line);

		if (match)
			message.contentHeaders.set(match[1]!.toLowerCase(), match[2]!.trimEnd());
	});

	message.contentType = message.contentHeaders.get('content-type') ?? 'text/plain';
	message.contentHeaders.delete('content-type');
	message.body = bytes.subarray(body);
	return message;
}

/** The content without its transfer encoding. @throws MsrpError 415 for one that is not known */
export function contentOf(message: Cpim): Uint8Array {
	const encoding = message.contentHeaders.get('content-transfer-encoding')?.toLowerCase() ?? 'binary';

	if (encoding === 'base64')
		return fromBase64(text(message.body));
	if (['7bit', '8bit', 'binary'].includes(encoding))
		return message.body;
	throw new MsrpError(415, 'an unknown transfer encoding');
}

function fromBase64(value: string): Uint8Array {
	try {
		return Uint8Array.from(atob(value.replace(/\s+/g, '')), (char) => char.charCodeAt(0));
	} catch {
		throw new MsrpError(400, 'no base64');
	}
}

/** In lines of 76 characters (RFC 2045). */
export function toBase64(bytes: Uint8Array): string {
	const pieces: string[] = [];

	for (let at = 0; at < bytes.length; at += 57)
		pieces.push(btoa(String.fromCharCode(...bytes.subarray(at, at + 57))));
	return pieces.join('\r\n');
}

function address({ name, uri }: CpimAddress): string {
	return `${name ? `"${escape(name)}" ` : ''}<${uri.replace(/[<>\s\0-\x1f]/g, '')}>`;
}

/** Write an envelope. */
export function encodeCpim(message: Omit<Cpim, 'extensions' | 'contentHeaders'> &
	Partial<Pick<Cpim, 'extensions' | 'contentHeaders'>>): Uint8Array {
	const lines: string[] = [];
	const spaces = new Map<string, string>();

	if (message.from)
		lines.push(`From: ${address(message.from)}`);
	lines.push(...message.to.map((to) => `To: ${address(to)}`));
	if (message.dateTime)
		lines.push(`DateTime: ${message.dateTime}`);
	if (message.subject)
		lines.push(`Subject: ${escape(message.subject)}`);
	for (const [name, value] of message.extensions ?? []) {
		const [space, local] = name.split('#') as [string, string];

		if (!spaces.has(space)) {
			spaces.set(space, `ns${spaces.size}`);
			lines.push(`NS: ${spaces.get(space)} <${space}>`);
		}
		lines.push(`${spaces.get(space)}.${local}: ${escape(value)}`);
	}
	lines.push('', `Content-Type: ${message.contentType}`);
	for (const [name, value] of message.contentHeaders ?? [])
		lines.push(`${name}: ${value.replace(/[\r\n]+/g, ' ')}`);
	return concat([utf8(`${lines.join('\r\n')}\r\n\r\n`), message.body]);
}
