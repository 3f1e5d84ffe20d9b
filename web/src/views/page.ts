/** The page as a whole, when somebody is logged in. */
import { readable } from '../address.ts';
import type { Chat, Status } from '../chat.ts';
import type { Conversation } from '../conversation.ts';
import { el } from './dom.ts';
import { ListView } from './list.ts';
import { ThreadView } from './thread.ts';

const STATUS: Record<Status, string> = { online: 'Online', connecting: 'Connection lost. Trying again…', refused: 'Logged out' };
const TITLE = 'Chat';

export class PageView {
	readonly element: HTMLElement;
	readonly #chat: Chat;
	readonly #list: ListView;
	readonly #status = el('p', { role: 'status', class: 'status' });
	readonly #main = el('main');
	readonly #hint = el('p', { class: 'hint' }, ['Choose a conversation, or start one.']);
	#thread?: ThreadView;
	#shown?: Conversation;
	#updating = false;

	/** @param logOut  the user wants to; end() comes next */
	constructor(chat: Chat, logOut: () => void) {
		this.#chat = chat;
		this.#list = new ListView(chat, (conversation) => this.#open(conversation));
		this.element = el('div', { class: 'page' }, [
			el('header', { class: 'top' }, [el('h1', {}, [TITLE]), el('p', { class: 'me' }, [readable(chat.me.uri)]), this.#status,
				el('button', { type: 'button' }, ['Log out'], { click: logOut })]),
			this.#list.element, this.#main,
		]);
		chat.onStatus.on(() => this.#update());
		chat.onConversations.on(() => this.#update());
		chat.onNews.on(() => this.#update());
		document.addEventListener('visibilitychange', this.#onVisible);
		this.#main.append(this.#hint);
		this.#update();
	}

	end(): void {
		document.removeEventListener('visibilitychange', this.#onVisible);
		this.#thread?.end();
		document.title = TITLE;
	}

	readonly #onVisible = (): void => this.#update();

	/** Once for all that happens at one time. */
	#update(): void {
		if (this.#updating)
			return;
		this.#updating = true;
		queueMicrotask(() => {
			this.#updating = false;
			this.#updateNow();
		});
	}

	#updateNow(): void {
		if (this.#shown && !document.hidden)
			this.#shown.unread = 0;
		const unread = [...this.#chat.conversations.values()].reduce((sum, conversation) => sum + conversation.unread, 0);

		document.title = unread ? `(${unread}) ${TITLE}` : TITLE;
		if (this.#status.textContent !== STATUS[this.#chat.status])
			this.#status.textContent = STATUS[this.#chat.status];
		this.element.dataset.status = this.#chat.status;
		this.#list.update();
	}

	#open(conversation: Conversation | undefined): void {
		this.#thread?.end();
		this.#shown = conversation;
		this.#thread = conversation && new ThreadView(conversation, {
			back: () => this.#back(), close: () => this.#close(conversation), maxFile: this.#chat.config.maxFile,
			touched: () => {
				this.#chat.touch(conversation);
				this.#chat.keepKnown();
			},
		});
		this.#main.replaceChildren(this.#thread?.element ?? this.#hint);
		this.element.classList.toggle('reading', conversation !== undefined);
		this.#list.select(conversation);
		this.#thread?.focus();
		this.#update();
	}

	#back(): void {
		const uri = this.#shown?.uri;

		this.#open(undefined);
		for (const button of this.#list.element.querySelectorAll<HTMLButtonElement>('button[data-uri]')) {
			if (button.dataset.uri === uri)
				button.focus();
		}
	}

	#close(conversation: Conversation): void {
		this.#chat.close(conversation);
		this.#open(undefined);
		this.#list.element.querySelector('input')?.focus();
	}
}
