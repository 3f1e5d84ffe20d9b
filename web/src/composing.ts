/** Who is typing (RFC 3994). */
import { parseXml, XmlElement } from '@rgrove/parse-xml';

export const COMPOSING_TYPE = 'application/im-iscomposing+xml';

const NAMESPACE = 'urn:ietf:params:xml:ns:im-iscomposing';
/** Milliseconds without a key after which somebody is no longer typing; RFC 3994 4.1. */
const IDLE = 15000;
/** Seconds for which "active" holds unless it is said again. */
const REFRESH = 90;
const SHORTEST = 5;
const DOCUMENT_MAX = 4096;

export interface Composing {
	active: boolean;
	/** seconds for which it holds */
	refresh: number;
}

export function writeComposing(active: boolean): string {
	return `<?xml version="1.0" encoding="UTF-8"?>\r\n<isComposing xmlns="${NAMESPACE}">` +
		`<state>${active ? 'active' : 'idle'}</state>${active ? `<refresh>${REFRESH}</refresh>` : ''}</isComposing>`;
}

/** @return undefined: it says nothing that can be understood */
export function readComposing(document: string): Composing | undefined {
	try {
		const root = document.length <= DOCUMENT_MAX ? parseXml(document).root : null;
		const value = (name: string) => root?.children.find((child): child is XmlElement =>
			child instanceof XmlElement && child.name.replace(/^.*:/, '') === name)?.text.trim();

		if (!root?.name.endsWith('isComposing'))
			return undefined;
		return { active: value('state') === 'active', refresh: Math.max(SHORTEST, Math.min(Number(value('refresh')) || 120, 600)) };
	} catch {
		return undefined;
	}
}

/** Says when the user begins to type and when he rests. */
export class Typist {
	#idle?: ReturnType<typeof setTimeout>;
	#again = 0;
	readonly #say: (active: boolean) => void;

	constructor(say: (active: boolean) => void) {
		this.#say = say;
	}

	typed(): void {
		clearTimeout(this.#idle);
		this.#idle = setTimeout(() => this.rested(), IDLE);
		if (Date.now() < this.#again)
			return;
		this.#again = Date.now() + REFRESH * 500;
		this.#say(true);
	}

	/** The message has left, which says it as well. */
	sent(): void {
		clearTimeout(this.#idle);
		this.#again = 0;
	}

	rested(): void {
		if (this.#again)
			this.#say(false);
		this.sent();
	}
}
