/** The conversations, and the form that begins one. */
import type { Chat } from '../chat.ts';
import type { Conversation, Kind } from '../conversation.ts';
import { el, labelled, unseen } from './dom.ts';

const GROUPS: [Kind, string][] = [['room', 'Rooms'], ['person', 'People']];

export class ListView {
	readonly element: HTMLElement;
	readonly #chat: Chat;
	readonly #select: (conversation: Conversation) => void;
	readonly #groups = new Map<Kind, HTMLUListElement>();
	#selected?: Conversation;
	#shown = '';

	constructor(chat: Chat, select: (conversation: Conversation) => void) {
		this.#chat = chat;
		this.#select = select;
		this.element = el('nav', { class: 'list', 'aria-label': 'Conversations' }, [
			...GROUPS.flatMap(([kind, title]) => this.#group(kind, title)), this.#form()]);
		this.update();
	}

	#group(kind: Kind, title: string): HTMLElement[] {
		const list = el('ul', { 'aria-labelledby': `group-${kind}` });

		this.#groups.set(kind, list);
		return [el('h2', { id: `group-${kind}` }, [title]), list];
	}

	#form(): HTMLElement {
		const address = el('input', { required: true, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
		const kind = el('select', {}, [el('option', { value: 'person' }, ['Person']), el('option', { value: 'room' }, ['Room'])]);
		const alert = el('p', { role: 'alert', class: 'problem' });
		const submit = (event: SubmitEvent): void => {
			event.preventDefault();
			const conversation = this.#chat.open(kind.value as Kind, address.value);

			alert.textContent = conversation ? '' : 'This is no address of somebody else';
			if (!conversation)
				return;
			address.value = '';
			this.#select(conversation);
		};

		return el('form', { class: 'add', 'aria-label': 'New conversation' }, [
			labelled('Name or address', address), labelled('Kind', kind), alert,
			el('button', { type: 'submit' }, ['Start chat']),
		], { submit });
	}

	select(conversation: Conversation | undefined): void {
		this.#selected = conversation;
		this.update();
	}

	update(): void {
		const shown = JSON.stringify([this.#selected?.uri, ...[...this.#chat.conversations.values()].map(
			({ uri, title, unread }) => [uri, title, unread])]);

		// What has not changed is left alone: somebody may be about to press it.
		if (this.#shown === shown)
			return;
		this.#shown = shown;
		for (const [kind, list] of this.#groups) {
			const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.uri : undefined;
			const ofKind = [...this.#chat.conversations.values()].filter((conversation) => conversation.kind === kind);

			list.replaceChildren(...ofKind.map((conversation) => el('li', {}, [this.#button(conversation)])));
			for (const button of list.querySelectorAll('button')) {
				if (focused && button.dataset.uri === focused)
					button.focus();
			}
		}
	}

	#button(conversation: Conversation): HTMLElement {
		const { unread } = conversation;

		return el('button', { type: 'button', 'data-uri': conversation.uri,
			'aria-current': conversation === this.#selected ? 'true' : undefined }, [
			el('span', { class: 'title' }, [conversation.title]),
			...(unread ? [el('span', { class: 'badge' }, [String(unread), unseen(' unread')])] : []),
		], { click: () => this.#select(conversation) });
	}
}
