/** MSRP URIs (RFC 4975 section 6, grammar in section 9), and paths of them. */
import { randomName } from './bytes.ts';

export interface MsrpUri {
	secure: boolean;
	host: string;
	/** 0: there is none */
	port: number;
	/** empty: there is none */
	session: string;
	/** `tcp`, `ws` */
	transport: string;
}

const URI = /^(msrps?):\/\/(?:[^@/\s]*@)?(\[[0-9a-f:.]+\]|[^:/;\s@[\]]+)(?::(\d{1,5}))?(?:\/([A-Za-z0-9._~!$&'()*+,=:@%/-]+))?;([A-Za-z0-9]+)(?:;[^\s]*)?$/i;
const PATH_MAX = 16;
const URI_MAX = 1024;

export function parseUri(text: string): MsrpUri | undefined {
	const match = text.length <= URI_MAX ? URI.exec(text) : null;

	if (!match || Number(match[3] ?? 0) > 65535)
		return undefined;
	return {
		secure: match[1]!.toLowerCase() === 'msrps',
		host: match[2]!,
		port: Number(match[3] ?? 0),
		session: match[4] ?? '',
		transport: match[5]!.toLowerCase(),
	};
}

/** The URIs of To-Path, From-Path or a=path; undefined when one of them is none. */
export function parsePath(text: string): string[] | undefined {
	const uris = text.split(' ').filter((uri) => uri);

	return uris.length && uris.length <= PATH_MAX && uris.every(parseUri) ? uris : undefined;
}

/** A URI for a client that nobody can connect to (RFC 7977 appendix A). */
export function ownUri(secure: boolean): string {
	return `${secure ? 'msrps' : 'msrp'}://${randomName(8)}.invalid:2855/${randomName(16)};ws`;
}
