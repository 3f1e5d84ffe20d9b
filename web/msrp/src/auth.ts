/** AUTH as a relay's client (RFC 4976 section 5.1), with Digest (RFC 7616). */
import { md5 } from '@noble/hashes/legacy';
import { sha256 } from '@noble/hashes/sha2';
import { bytesToHex } from '@noble/hashes/utils';
import { randomName } from './bytes.ts';
import type { Connection } from './connection.ts';
import { MsrpError } from './error.ts';
import { header, request, type Frame } from './frame.ts';
import { parsePath } from './uri.ts';

export interface Grant {
	/** nearest relay first */
	usePath: string[];
	/** seconds */
	expires: number;
}

const HASHES: Record<string, (text: string) => Uint8Array> = { 'md5': md5, 'sha-256': sha256 };
const PARAMETER = /([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi;

function parseChallenge(value: string): Map<string, string> {
	const found = new Map<string, string>();

	if (!/^Digest\s/i.test(value))
		throw new MsrpError(401, 'an unknown challenge');
	for (const [, name, quoted, bare] of value.matchAll(PARAMETER))
		found.set(name!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare!);
	return found;
}

/** The Authorization header that answers a challenge. */
export function answerChallenge(challenge: string, uri: string, user: string, password: string,
	cnonce = randomName(8)): string {
	const said = parseChallenge(challenge);
	const realm = said.get('realm') ?? '';
	const nonce = said.get('nonce') ?? '';
	const algorithm = said.get('algorithm') ?? 'MD5';
	const hash = HASHES[algorithm.toLowerCase()];

	if (!hash || !(said.get('qop') ?? '').split(/\s*,\s*/).includes('auth'))
		throw new MsrpError(401, 'an unknown challenge');
	const digest = (value: string) => bytesToHex(hash(value));
	const proof = digest(`${digest(`${user}:${realm}:${password}`)}:${nonce}:00000001:${cnonce}:auth:${digest(`AUTH:${uri}`)}`);
	const quote = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`;

	return `Digest username=${quote(user)}, realm=${quote(realm)}, nonce=${quote(nonce)}, ` +
		`uri=${quote(uri)}, response="${proof}", algorithm=${algorithm}, cnonce="${cnonce}", ` +
		'qop=auth, nc=00000001';
}

/** Ask a relay for a path to own. @throws MsrpError with the code of its refusal */
export async function authenticate(connection: Connection, relay: string, own: string, user: string,
	password: string): Promise<Grant> {
	const ask = (headers: [string, string][]) =>
		connection.ask(request('AUTH', [relay], [own], headers));
	let answer = await ask([]);

	if (typeof answer === 'object' && answer.code === 401)
		answer = await ask([['Authorization', answerChallenge(
			header(answer, 'WWW-Authenticate') ?? '', relay, user, password)]]);
	return readGrant(answer);
}

function readGrant(answer: Frame | number): Grant {
	const code = typeof answer === 'number' ? answer : answer.code!;

	if (typeof answer === 'number' || code !== 200)
		throw new MsrpError(code, 'the relay refuses us');
	const usePath = parsePath(header(answer, 'Use-Path') ?? '');
	const expires = Number(header(answer, 'Expires') ?? 1800);

	if (!usePath || !(expires > 0) || expires > 86400)
		throw new MsrpError(400, 'the relay grants nothing that can be used');
	return { usePath, expires };
}
