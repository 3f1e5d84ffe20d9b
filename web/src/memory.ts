/** What outlives a reload of the page: conversations and nicknames for good, drafts and texts as long as the tab. */
import type { Conversation, Kind } from './conversation.ts';
import type { Entry } from './entry.ts';

export interface Known {
	kind: Kind;
	uri: string;
	title: string;
	nickname?: string;
}

interface Kept {
	draft: string;
	entries: Entry[];
}

const KNOWN_MAX = 500;
const ENTRIES_KEPT = 100;

function read(storage: Storage, key: string): unknown {
	try {
		return JSON.parse(storage.getItem(key) ?? 'null');
	} catch {
		return null;
	}
}

function write(storage: Storage, key: string, value: unknown): void {
	try {
		storage.setItem(key, JSON.stringify(value));
	} catch {
		// It is full, or not allowed: the page works without.
	}
}

export class Memory {
	readonly #user: string;

	constructor(user: string) {
		this.#user = user;
	}

	known(): Known[] {
		const value = read(localStorage, `msrpd:known:${this.#user}`);

		return Array.isArray(value) ? (value as Known[]).slice(0, KNOWN_MAX).filter(({ kind, uri, title }) =>
			(kind === 'person' || kind === 'room') && typeof uri === 'string' && typeof title === 'string') : [];
	}

	keepKnown(known: Known[]): void {
		write(localStorage, `msrpd:known:${this.#user}`, known.slice(0, KNOWN_MAX));
	}

	recall(conversation: Conversation): void {
		const value = read(sessionStorage, this.#key(conversation)) as Partial<Kept> | null;

		conversation.draft = typeof value?.draft === 'string' ? value.draft : '';
		for (const entry of Array.isArray(value?.entries) ? value.entries : [])
			conversation.entries.push({ ...entry, at: new Date(entry.at) });
	}

	/** Files are too large for this; what was still underway waits for the next connection. */
	keep(conversation: Conversation): void {
		const entries = conversation.entries.filter(({ text, from }) => text !== undefined && from).slice(-ENTRIES_KEPT)
			.map((entry) => entry.state === 'sending' ? { ...entry, state: 'waiting' } : entry);

		write(sessionStorage, this.#key(conversation), { draft: conversation.draft, entries });
	}

	#key(conversation: Conversation): string {
		return `msrpd:said:${this.#user}:${conversation.uri}`;
	}

	forget(conversation: Conversation): void {
		sessionStorage.removeItem(this.#key(conversation));
	}

	/** Who logs out leaves nothing that was said. */
	clear(): void {
		for (const key of Object.keys(sessionStorage).filter((name) => name.startsWith(`msrpd:said:${this.#user}:`)))
			sessionStorage.removeItem(key);
	}
}
