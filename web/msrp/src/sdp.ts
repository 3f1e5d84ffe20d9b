/** SDP of MSRP streams (RFC 4975 section 8, RFC 6135, RFC 7701 section 8): written and read. */
import { parsePath, parseUri } from './uri.ts';
import type { Session } from './session.ts';

export interface MediaDescription {
	/** where it stands among the m= lines */
	index: number;
	port: number;
	secure: boolean;
	path: string[];
	acceptTypes: string[];
	acceptWrappedTypes: string[];
	/** Infinity: none was said */
	maxSize: number;
	setup?: string;
	/** a=chatroom: what a room permits; undefined: it is none */
	chatroom?: string[];
	/** a=x-keeps-ids: it knows a message that has come in an earlier session already by its Message-ID */
	keepsIds: boolean;
	direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
}

export interface Description {
	/** the m= lines as they stand */
	media: string[];
	/** the first MSRP stream that can be used */
	message?: MediaDescription;
}

export interface LocalOptions {
	/** media types inside message/cpim */
	acceptWrappedTypes?: string[];
	/** what we know of rooms: `nickname`, `private-messages` */
	chatroom?: string[];
	/** we know what has come in earlier sessions */
	keepsIds?: boolean;
	/** the offer that this answers */
	offer?: Description;
}

const SDP_MAX = 65536;
const LINES_MAX = 512;
const MEDIA = /^m=(\S+) (\d{1,5})(?:\/\d+)? (\S+)/i;

function tokens(value: string | undefined): string[] {
	return (value ?? '').split(/\s+/).filter((token) => token);
}

function readMessage(index: number, lines: string[]): MediaDescription | undefined {
	const match = MEDIA.exec(lines[0]!)!;
	const value = (name: string) => lines.find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);
	const path = parsePath(value('path') ?? '');
	const maxSize = Number(value('max-size') ?? Infinity);
	const direction = (['sendonly', 'recvonly', 'inactive'] as const)
		.find((name) => lines.includes(`a=${name}`));

	if (match[1]!.toLowerCase() !== 'message' || !/^TCP(\/TLS)?\/MSRP$/i.test(match[3]!) ||
		Number(match[2]) === 0 || !path)
		return undefined;
	return {
		index, port: Number(match[2]), secure: /TLS/i.test(match[3]!), path,
		acceptTypes: tokens(value('accept-types')),
		acceptWrappedTypes: tokens(value('accept-wrapped-types')),
		maxSize: maxSize > 0 ? maxSize : Infinity,
		setup: value('setup')?.trim(),
		chatroom: lines.includes('a=chatroom') ? [] : value('chatroom') === undefined
			? undefined : tokens(value('chatroom')),
		keepsIds: lines.includes('a=x-keeps-ids'),
		direction: direction ?? 'sendrecv',
	};
}

/** Read a description; what cannot be read of it is not there. */
export function parseSdp(sdp: string): Description {
	const lines = sdp.slice(0, SDP_MAX).split(/\r?\n/, LINES_MAX).map((line) => line.trim());
	const starts = lines.flatMap((line, at) => MEDIA.test(line) ? [at] : []);
	const sections = starts.map((from, index) => lines.slice(from, starts[index + 1]));

	return {
		media: sections.map((section) => section[0]!),
		message: sections.map((section, index) => readMessage(index, section)).find((one) => one),
	};
}

/** Our offer, or our answer: we connect, and nobody connects to us (RFC 6135 4.2.2). */
export function writeSdp(session: Session, options: LocalOptions = {}): string {
	const own = parseUri(session.path[0]!)!;
	const version = String(Math.floor(Date.now() / 1000));
	const message = [
		`m=message ${own.port || 2855} ${own.secure ? 'TCP/TLS/MSRP' : 'TCP/MSRP'} *`,
		`a=path:${session.path.join(' ')}`,
		`a=accept-types:${session.acceptTypes.join(' ')}`,
		...(options.acceptWrappedTypes ? [`a=accept-wrapped-types:${options.acceptWrappedTypes.join(' ')}`] : []),
		`a=max-size:${session.maxSize}`,
		...(options.chatroom ? [`a=chatroom:${options.chatroom.join(' ')}`] : []),
		...(options.keepsIds ? ['a=x-keeps-ids'] : []),
		'a=setup:active',
	];
	const media = options.offer
		? options.offer.media.map((line, index) => index === options.offer!.message?.index
			? message.join('\r\n') : line.replace(MEDIA, 'm=$1 0 $3'))
		: [message.join('\r\n')];

	return ['v=0', `o=- ${version} ${version} IN IP4 ${own.host}`, 's=-', `c=IN IP4 ${own.host}`,
		't=0 0', ...media, ''].join('\r\n');
}
