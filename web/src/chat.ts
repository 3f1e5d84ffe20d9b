/** The chat as a whole: who we are, our conversations, and the connection that comes again when it was lost. */
import { normalize, readable, userOf } from './address.ts';
import type { Config } from './config.ts';
import type { Conversation, Kind } from './conversation.ts';
import { Memory } from './memory.ts';
import { Person } from './person.ts';
import { Phone, SipError, type Call, type Identity, type Page } from './phone.ts';
import { Room } from './room.ts';
import { Signal } from './signal.ts';

export type Status = 'online' | 'connecting' | 'refused';

const DELAYS = [500, 1000, 2000, 4000, 8000, 15000, 30000];
const KEEP_INTERVAL = 500;

export class Chat {
	readonly config: Config;
	readonly me: Identity;
	readonly conversations = new Map<string, Conversation>();
	status: Status = 'connecting';
	readonly onStatus = new Signal();
	/** a conversation is new, or gone */
	readonly onConversations = new Signal();
	/** something new in one of them */
	readonly onNews = new Signal<Conversation>();
	readonly #memory: Memory;
	readonly #dirty = new Set<Conversation>();
	#keepTimer?: ReturnType<typeof setTimeout>;
	#phone?: Phone;
	#retry?: ReturnType<typeof setTimeout>;
	#tries = 0;
	#stopped = false;

	constructor(config: Config, user: string, password: string) {
		const uri = normalize(user, config.domain);

		if (!uri)
			throw new SipError(404, 'no address');
		this.config = config;
		this.me = { uri, user: userOf(uri), password };
		this.#memory = new Memory(uri);
	}

	/** Log in. @throws SipError */
	async start(): Promise<void> {
		await this.#connect();
		for (const { uri, name } of this.config.rooms)
			this.#add('room', uri, name);
		for (const { kind, uri, title, nickname } of this.#memory.known()) {
			const conversation = this.#add(kind, uri, title);

			if (conversation instanceof Room)
				conversation.nickname = nickname ?? '';
		}
		this.#goOnline();
		window.addEventListener('online', this.#hurry);
		window.addEventListener('pagehide', this.#hide);
	}

	/** Log out. */
	stop(): void {
		this.#stopped = true;
		clearTimeout(this.#retry);
		clearTimeout(this.#keepTimer);
		window.removeEventListener('online', this.#hurry);
		window.removeEventListener('pagehide', this.#hide);
		this.conversations.forEach((conversation) => conversation.leave());
		this.#phone?.stop();
		this.#memory.clear();
	}

	// --- the connection

	async #connect(): Promise<void> {
		const phone = new Phone(this.config, this.me, {
			onCall: (call) => this.#answer(call),
			onPage: (page) => this.#takePage(page),
			onLost: () => this.#lost(phone),
		});

		try {
			await phone.start();
		} catch (error) {
			phone.stop();
			throw error;
		}
		this.#phone = phone;
	}

	#goOnline(): void {
		this.#tries = 0;
		this.#setStatus('online');
		this.conversations.forEach((conversation) => conversation.online(this.#phone!));
	}

	#setStatus(status: Status): void {
		this.status = status;
		this.onStatus.emit();
	}

	#lost(phone: Phone): void {
		if (this.#phone !== phone || this.#stopped)
			return;
		this.#phone = undefined;
		this.#setStatus('connecting');
		this.conversations.forEach((conversation) => conversation.offline());
		this.#scheduleRetry();
	}

	#scheduleRetry(): void {
		const delay = DELAYS[Math.min(this.#tries++, DELAYS.length - 1)]!;

		// Not everybody at the same moment, when the server is back.
		this.#retry = setTimeout(() => void this.#reconnect(), delay * (0.5 + Math.random() / 2));
	}

	readonly #hurry = (): void => {
		if (this.status !== 'connecting')
			return;
		clearTimeout(this.#retry);
		void this.#reconnect();
	};

	async #reconnect(): Promise<void> {
		try {
			await this.#connect();
		} catch (error) {
			if (this.#stopped)
				return;
			if (error instanceof SipError && (error.code === 401 || error.code === 403))
				return this.#setStatus('refused');
			return this.#scheduleRetry();
		}
		if (this.#stopped)
			this.#phone?.stop();
		else
			this.#goOnline();
	}

	// --- conversations

	#add(kind: Kind, uri: string, title: string): Conversation {
		const known = this.conversations.get(uri);

		if (known)
			return known;
		const conversation = kind === 'room' ? new Room(uri, title, this.me) : new Person(uri, title, this.me);

		this.#memory.recall(conversation);
		this.conversations.set(uri, conversation);
		conversation.onEntry.on((entry) => {
			this.touch(conversation);
			if (entry.state === 'received')
				this.onNews.emit(conversation);
		});
		conversation.onChange.on(() => this.onNews.emit(conversation));
		if (this.#phone)
			conversation.online(this.#phone);
		this.onConversations.emit();
		return conversation;
	}

	/** Begin a conversation. @return undefined: that is no address */
	open(kind: Kind, address: string): Conversation | undefined {
		const uri = normalize(address, this.config.domain);

		if (!uri || uri === this.me.uri)
			return undefined;
		const conversation = this.#add(kind, uri, kind === 'person' ? userOf(uri) : readable(uri));

		this.keepKnown();
		return conversation;
	}

	/** Leave it, and forget it. */
	close(conversation: Conversation): void {
		conversation.leave();
		this.conversations.delete(conversation.uri);
		this.#memory.forget(conversation);
		this.keepKnown();
		this.onConversations.emit();
	}

	keepKnown(): void {
		this.#memory.keepKnown([...this.conversations.values()].map((conversation) => ({ kind: conversation.kind,
			uri: conversation.uri, title: conversation.title,
			nickname: conversation instanceof Room ? conversation.nickname : undefined })));
	}

	#person(uri: string, name: string): Person | undefined {
		const conversation = this.#add('person', uri, name || userOf(uri));

		this.keepKnown();
		return conversation instanceof Person ? conversation : undefined;
	}

	#answer(call: Call): void {
		const person = this.#person(call.peer, '');

		if (person)
			person.answer(call);
		else
			call.hangUp();
	}

	#takePage(page: Page): void {
		this.#person(page.from, page.name)?.takePage(page);
	}

	/** There is something in it to be kept: a draft, an entry. */
	touch(conversation: Conversation): void {
		if (this.#stopped)
			return;
		this.#dirty.add(conversation);
		this.#keepTimer ??= setTimeout(this.#keepAll, KEEP_INTERVAL);
	}

	/** A page that does not come back hangs up, so that its next life finds nobody busy. */
	readonly #hide = (event: PageTransitionEvent): void => {
		this.#keepAll();
		if (!event.persisted)
			this.conversations.forEach((conversation) => conversation.leave());
	};

	readonly #keepAll = (): void => {
		clearTimeout(this.#keepTimer);
		this.#keepTimer = undefined;
		this.#dirty.forEach((conversation) => this.#memory.keep(conversation));
		this.#dirty.clear();
	};
}
