/** Who is in a room: conference-info (RFC 4575), with nicknames (RFC 6501). */
import { parseXml, XmlElement } from '@rgrove/parse-xml';

export interface Participant {
	uri: string;
	/** empty: none */
	nickname: string;
}

const DOCUMENT_MAX = 4 * 1048576;
const PARTICIPANTS_MAX = 10000;

function elements(parent: XmlElement, name: string): XmlElement[] {
	return parent.children.filter((child): child is XmlElement =>
		child instanceof XmlElement && child.name.replace(/^.*:/, '') === name);
}

function attribute(element: XmlElement, name: string): string {
	return Object.entries(element.attributes).find(([own]) => own.replace(/^.*:/, '') === name)?.[1] ?? '';
}

export class Roster {
	readonly #users = new Map<string, Participant>();
	subject = '';
	#version = -1;

	get participants(): Participant[] {
		return [...this.#users.values()];
	}

	nickname(uri: string): string {
		return this.#users.get(uri)?.nickname ?? '';
	}

	/** A NOTIFY's document. @return false: one before it is missing, or it cannot be read */
	apply(document: string): boolean {
		try {
			const root = document.length <= DOCUMENT_MAX ? parseXml(document).root : null;

			return root ? this.#applyRoot(root) : false;
		} catch {
			return false;
		}
	}

	#applyRoot(root: XmlElement): boolean {
		const version = Number(attribute(root, 'version'));
		const full = attribute(root, 'state') !== 'partial';

		if (!full && version !== this.#version + 1)
			return version <= this.#version;
		this.#version = version;
		if (full)
			this.#users.clear();
		for (const description of elements(root, 'conference-description'))
			this.subject = elements(description, 'subject')[0]?.text ?? this.subject;
		for (const users of elements(root, 'users'))
			elements(users, 'user').forEach((user) => this.#applyUser(user));
		return true;
	}

	#applyUser(user: XmlElement): void {
		const uri = attribute(user, 'entity');

		if (attribute(user, 'state') === 'deleted')
			this.#users.delete(uri);
		else if (uri && this.#users.size < PARTICIPANTS_MAX)
			this.#users.set(uri, { uri, nickname: attribute(user, 'nickname') ||
				(elements(user, 'nickname')[0]?.text ?? '') });
	}
}
