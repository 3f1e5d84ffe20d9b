/** One conversation: what was said in it, who is there, and the field that one writes in. */
import type { Conversation } from '../conversation.ts';
import type { Attachment, Entry } from '../entry.ts';
import { Room } from '../room.ts';
import { inWords } from '../words.ts';
import { el, labelled, sizeInWords, unseen } from './dom.ts';
import { EntryView } from './entry.ts';

export interface ThreadActions {
	back: () => void;
	/** the conversation is to be left for good */
	close: () => void;
	/** draft or nickname have changed */
	touched: () => void;
	maxFile: number;
}

const SHOWN_MAX = 500;
const NEAR_THE_END = 80;

export class ThreadView {
	readonly element: HTMLElement;
	readonly #conversation: Conversation;
	readonly #actions: ThreadActions;
	readonly #entries = el('ol');
	readonly #log = el('div', { role: 'log', 'aria-label': 'Messages', class: 'log', tabindex: 0 }, [this.#entries]);
	readonly #state = el('p', { class: 'hint', role: 'status' });
	readonly #people = el('ul', { class: 'people', 'aria-label': 'Participants' });
	readonly #title = el('h2', { tabindex: -1 });
	readonly #input: HTMLTextAreaElement;
	readonly #to = el('p', { class: 'hint to' });
	readonly #problem = el('p', { role: 'alert', class: 'problem' });
	readonly #views = new Map<Entry, EntryView>();
	readonly #ends: (() => void)[];
	#private?: string;

	constructor(conversation: Conversation, actions: ThreadActions) {
		this.#conversation = conversation;
		this.#actions = actions;
		this.#input = el('textarea', { rows: 2, 'aria-label': 'Message', placeholder: 'Message', enterkeyhint: 'send' }, [],
			{ input: () => this.#typed(), keydown: (event) => this.#key(event) });
		this.#input.value = conversation.draft;
		this.element = el('section', { class: 'thread', 'aria-label': `Conversation with ${conversation.title}` },
			[this.#head(), this.#log, this.#state, this.#form()]);
		this.#ends = [conversation.onEntry.on((entry) => this.#show(entry)), conversation.onChange.on(() => this.update())];
		conversation.entries.slice(-SHOWN_MAX).forEach((entry) => this.#show(entry));
		this.update();
	}

	end(): void {
		this.#ends.forEach((end) => end());
	}

	/** To where one writes; on a phone the keyboard would hide what one wants to read. */
	focus(): void {
		(matchMedia('(pointer: coarse)').matches ? this.#title : this.#input).focus();
		this.#log.scrollTop = this.#log.scrollHeight;
	}

	// --- head

	#head(): HTMLElement {
		const room = this.#conversation instanceof Room ? this.#conversation : undefined;

		return el('header', {}, [
			el('button', { type: 'button', class: 'back', 'aria-label': 'Back to conversations' }, ['←'], { click: this.#actions.back }),
			this.#title,
			...(room ? [this.#participants(), this.#nicknameButton(room)] : []),
			el('button', { type: 'button' }, [room ? 'Leave' : 'Remove'], { click: this.#actions.close }),
		]);
	}

	#participants(): HTMLElement {
		return el('details', {}, [el('summary', {}, ['Participants']), this.#people]);
	}

	#nicknameButton(room: Room): HTMLElement {
		const name = el('input', { autocomplete: 'nickname', maxlength: 100 });
		const problem = el('p', { role: 'alert', class: 'problem' });
		const dialog = el('dialog', { 'aria-label': 'Nickname' }, [el('form', {}, [
			labelled('Nickname in this room', name), problem,
			el('button', { type: 'submit', class: 'primary' }, ['Take it']), ' ',
			el('button', { type: 'button' }, ['Cancel'], { click: () => dialog.close() }),
		], { submit: (event) => {
			event.preventDefault();
			room.takeNickname(name.value.trim()).then(() => {
				this.#actions.touched();
				dialog.close();
			}, (error: unknown) => {
				problem.textContent = inWords(error);
			});
		} })]);

		return el('span', {}, [dialog, el('button', { type: 'button', class: 'nickname' }, ['Nickname'], { click: () => {
			name.value = room.nickname;
			problem.textContent = '';
			dialog.showModal();
		} })]);
	}

	update(): void {
		const { title, address, state, problem, kind } = this.#conversation;
		const room = this.#conversation instanceof Room ? this.#conversation : undefined;

		this.#title.replaceChildren(title, ...(title === address ? [] : [el('small', {}, [` ${address}`])]));
		this.#sayState(this.#typists() || (state === 'connecting' ? 'Connecting…' : problem)
			|| (kind === 'room' && state === 'off' ? 'Not in the room' : ''));
		if (room)
			this.#updateRoom(room);
	}

	#typists(): string {
		const names = [...this.#conversation.typing.keys()].map((uri) => this.#conversation.nameOf(uri));

		return names.length ? `${names.slice(0, 3).join(', ')} ${names.length > 1 ? 'are' : 'is'} typing…` : '';
	}

	#sayState(text: string): void {
		const { kind, state } = this.#conversation;

		if (this.#state.dataset.said === `${state} ${text}`)
			return;
		this.#state.dataset.said = `${state} ${text}`;
		this.#state.replaceChildren(text);
		if (kind === 'room' && state === 'off')
			this.#state.append(' ', el('button', { type: 'button', class: 'link' }, ['Join'],
				{ click: () => void this.#conversation.join() }));
	}

	#updateRoom(room: Room): void {
		const nickname = this.element.querySelector<HTMLButtonElement>('button.nickname')!;

		nickname.hidden = !room.permits('nickname');
		this.element.querySelector('summary')!.textContent = `Participants (${room.participants.length})`;
		const said = JSON.stringify([room.participants, room.nickname, room.permits('private-messages')]);

		// What has not changed is left alone: somebody may be about to press it.
		if (this.#people.dataset.said !== said)
			this.#people.replaceChildren(...room.participants.map(({ uri }) => el('li', {}, [this.#participant(room, uri)])));
		this.#people.dataset.said = said;
	}

	#participant(room: Room, uri: string): HTMLElement | string {
		const name = room.nameOf(uri);

		if (name === 'You' || !room.permits('private-messages'))
			return name === 'You' && room.nickname ? `${room.nickname} (you)` : name;
		return el('button', { type: 'button', class: 'link' }, [name, unseen(' (write privately)')],
			{ click: () => this.#writeTo(uri) });
	}

	// --- entries

	#show(entry: Entry): void {
		const { scrollHeight, scrollTop, clientHeight } = this.#log;
		const follow = entry.own || scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
		const known = this.#views.get(entry);

		if (known)
			known.update();
		else
			this.#add(entry);
		if (follow)
			this.#log.scrollTop = this.#log.scrollHeight;
	}

	#add(entry: Entry): void {
		const view = new EntryView(entry, { retry: (again) => this.#conversation.retry(again),
			nameOf: (uri) => this.#conversation.nameOf(uri) });

		this.#views.set(entry, view);
		this.#entries.append(view.element);
		while (this.#views.size > SHOWN_MAX) {
			const [oldest, shown] = this.#views.entries().next().value as [Entry, EntryView];

			shown.element.remove();
			this.#views.delete(oldest);
		}
	}

	// --- what one writes

	#form(): HTMLElement {
		const file = el('input', { type: 'file', class: 'unseen', 'aria-label': 'File to send', tabindex: -1 }, [],
			{ change: () => void this.#sendFiles(file) });

		return el('form', { class: 'compose' }, [
			this.#to, this.#problem,
			el('div', { class: 'row' }, [
				el('button', { type: 'button', 'aria-label': 'Send a file' }, ['+'], { click: () => file.click() }), file,
				this.#input, el('button', { type: 'submit', class: 'primary' }, ['Send']),
			]),
		], { submit: (event) => {
			event.preventDefault();
			this.#send();
		} });
	}

	#writeTo(uri: string | undefined): void {
		this.#private = uri;
		this.#to.replaceChildren(...(uri ? [`Privately to ${this.#conversation.nameOf(uri)} `,
			el('button', { type: 'button', class: 'link' }, ['Write to all'], { click: () => this.#writeTo(undefined) })] : []));
		this.#input.focus();
	}

	#typed(): void {
		this.#conversation.draft = this.#input.value;
		if (this.#input.value && !this.#private)
			this.#conversation.typed();
		this.#actions.touched();
	}

	#key(event: KeyboardEvent): void {
		if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
			event.preventDefault();
			this.#send();
		} else if (event.key === 'Escape' && this.#private) {
			this.#writeTo(undefined);
		}
	}

	#send(): void {
		const text = this.#input.value.trim();

		if (!text)
			return;
		this.#input.value = '';
		this.#conversation.draft = '';
		this.#problem.textContent = '';
		this.#conversation.say(text, this.#private);
	}

	async #sendFiles(input: HTMLInputElement): Promise<void> {
		const file = input.files?.[0];

		input.value = '';
		if (!file)
			return;
		if (file.size > this.#actions.maxFile || file.size === 0) {
			this.#problem.textContent = file.size ? `${file.name} is larger than ${sizeInWords(this.#actions.maxFile)}` : `${file.name} is empty`;
			return;
		}
		this.#problem.textContent = '';
		const attachment: Attachment = { name: file.name, type: file.type || 'application/octet-stream', size: file.size,
			bytes: new Uint8Array(await file.arrayBuffer()) };

		this.#conversation.sendFile(attachment, this.#private);
	}
}
