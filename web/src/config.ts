/** What config.json beside the page says; without it everything is where the page comes from. */
import { normalize } from './address.ts';

export interface Config {
	/** of who logs in as `alice` alone */
	domain: string;
	/** addresses of the WebSockets */
	sip: string;
	msrp: string;
	/** MSRP URIs are msrps; default: as the WebSocket */
	secure: boolean;
	/** rooms that are offered to everybody */
	rooms: { uri: string; name: string }[];
	/** bytes of the largest file that is sent or taken */
	maxFile: number;
	/** a relay that sessions go through (RFC 4976) */
	relay?: string;
}

const MAX_FILE = 8 * 1048576;
const ROOMS_MAX = 200;

function text(value: unknown): string | undefined {
	return typeof value === 'string' && value ? value : undefined;
}

/** A WebSocket's address, from one that may be relative to the page. */
function socketUrl(address: string, page: string): string {
	const url = new URL(address, page);

	url.protocol = url.protocol.replace('http', 'ws');
	return url.href;
}

function readRooms(value: unknown, domain: string): Config['rooms'] {
	if (!Array.isArray(value))
		return [];
	return value.slice(0, ROOMS_MAX).flatMap((room: { uri?: unknown; name?: unknown }) => {
		const uri = normalize(text(room?.uri) ?? '', domain);

		return uri ? [{ uri, name: text(room.name) ?? uri }] : [];
	});
}

export function readConfig(said: Record<string, unknown>, page: string): Config {
	const domain = text(said.domain) ?? new URL(page).hostname;
	const msrp = socketUrl(text(said.msrp) ?? '/msrp', page);

	return {
		domain, msrp,
		sip: socketUrl(text(said.sip) ?? '/sip', page),
		secure: typeof said.secure === 'boolean' ? said.secure : msrp.startsWith('wss:'),
		rooms: readRooms(said.rooms, domain),
		maxFile: typeof said.maxFile === 'number' && said.maxFile > 0 ? said.maxFile : MAX_FILE,
		relay: text(said.relay),
	};
}

export async function loadConfig(): Promise<Config> {
	const page = document.baseURI;
	const answer = await fetch(new URL('config.json', page)).catch(() => undefined);
	const said: unknown = answer?.ok ? await answer.json().catch(() => undefined) : undefined;

	return readConfig(said && typeof said === 'object' ? said as Record<string, unknown> : {}, page);
}
