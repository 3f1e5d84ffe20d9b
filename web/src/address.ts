/** SIP addresses as a person writes and reads them. */

const ADDRESS = /^(?:(sips?):)?([^\s@:;?<>"]+)@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:[;?].*)?$/i;
const LONGEST = 256;

/**
 * An address-of-record as URIs are compared here: `sip:alice@example.org`.
 *
 * @param domain  of who writes `alice` alone
 * @return undefined: this is no address
 */
export function normalize(written: string, domain: string): string | undefined {
	const text = written.trim().replace(/^<(.*)>$/, '$1');
	const match = text.length > LONGEST ? null
		: ADDRESS.exec(text.includes('@') ? text : `${text}@${domain}`);

	return match ? `sip:${match[2]}@${match[3]!.toLowerCase()}` : undefined;
}

export function userOf(uri: string): string {
	return /^sips?:([^@]*)@/i.exec(uri)?.[1] ?? uri;
}

/** Without the scheme. */
export function readable(uri: string): string {
	return uri.replace(/^sips?:/i, '');
}
