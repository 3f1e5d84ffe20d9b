/** What persons and rooms have in common: what was said, what waits to be sent, who is typing. */
import { contentOf, MsrpError, parseCpim, randomName, type Cpim, type Message, type SendOptions } from '../msrp/src/index.ts';
import { readable, userOf } from './address.ts';
import { COMPOSING_TYPE, readComposing, Typist, writeComposing } from './composing.ts';
import { canBeSent, dispositionName, safeName, type Attachment, type Entry } from './entry.ts';
import { SipError, type Call, type Identity, type Phone } from './phone.ts';
import { Signal } from './signal.ts';
import { inWords } from './words.ts';

export type Kind = 'person' | 'room';
export type Connectedness = 'off' | 'connecting' | 'on';

/** A message with what its envelope says. */
export interface Received {
	id: string;
	from: string;
	name: string;
	/** the one that it is for */
	to?: string;
	at: Date;
	type: string;
	body: Uint8Array;
	fileName?: string;
}

const ENTRIES_MAX = 500;
const BYTES_MAX = 64 * 1048576;
const TEXT_SHOWN_MAX = 100000;
/** What is over soon: nobody need be told. */
const TRANSIENT = [408, 500, 503, 504];
const TRY_AGAIN = 3000;
/** Twice as many letters are the longest Message-ID that there can be (RFC 4975 section 9). */
const ID_BYTES = 16;
const IMDN_ID = 'urn:ietf:params:imdn#Message-ID';
const decoder = new TextDecoder();

/** The connection may come again, and then it is sent again. */
function isLoss(error: unknown): boolean {
	return error instanceof MsrpError && (error.code === 481 || error.code === 408);
}

export abstract class Conversation {
	abstract readonly kind: Kind;
	readonly uri: string;
	title: string;
	entries: Entry[] = [];
	unread = 0;
	draft = '';
	state: Connectedness = 'off';
	/** why it is off */
	problem = '';
	/** the names of who is typing */
	readonly typing = new Map<string, ReturnType<typeof setTimeout>>();
	/** an entry is new or has changed */
	readonly onEntry = new Signal<Entry>();
	/** anything else has */
	readonly onChange = new Signal();
	protected readonly me: Identity;
	protected phone?: Phone;
	/** the one that messages leave by */
	protected call?: Call;
	/** that one, and those that he whom we called has made meanwhile */
	readonly #calls = new Set<Call>();
	#connecting?: { phone: Phone; done: Promise<void> };
	readonly #typist = new Typist((active) => this.#sayTyping(active));

	constructor(uri: string, title: string, me: Identity) {
		this.uri = uri;
		this.title = title;
		this.me = me;
	}

	/** Get a call, or whatever else can carry messages. @throws SipError */
	protected abstract connect(phone: Phone): Promise<void>;
	/** Can entries leave now? */
	protected abstract get isReady(): boolean;
	/** Send one. @throws SipError, MsrpError */
	protected abstract transmit(entry: Entry): Promise<void>;
	/** Tell who listens that we are typing, or no longer. */
	protected abstract transmitTyping(document: string): void;

	/** The name that somebody is shown under. */
	nameOf(uri: string, said = ''): string {
		return uri === this.me.uri ? 'You' : said || userOf(uri);
	}

	// --- connections

	online(phone: Phone): void {
		this.phone = phone;
		if (this.#waiting().length)
			this.flush();
	}

	offline(): void {
		this.phone = undefined;
		this.call = undefined;
		this.#calls.clear();
		this.#setState('off', '');
		for (const entry of this.entries.filter(({ state }) => state === 'sending'))
			this.#update(entry, { state: 'waiting', progress: undefined });
	}

	#setState(state: Connectedness, problem: string): void {
		this.state = state;
		this.problem = problem;
		this.onChange.emit();
	}

	/** Be connected; what went wrong is in problem. */
	async join(): Promise<void> {
		const { phone } = this;

		if (!phone || this.isReady)
			return;
		if (this.#connecting?.phone !== phone)
			this.#connecting = { phone, done: this.#join(phone) };
		const connecting = this.#connecting;

		await connecting.done;
		if (this.#connecting === connecting)
			this.#connecting = undefined;
	}

	async #join(phone: Phone): Promise<void> {
		this.#setState('connecting', '');
		try {
			await this.connect(phone);
			if (this.phone === phone)
				this.#setState('on', '');
		} catch (error) {
			if (this.phone === phone)
				this.#refused(phone, error);
		}
	}

	#refused(phone: Phone, error: unknown): void {
		const problem = inWords(error);

		this.#setState('off', problem);
		if (error instanceof SipError && this.isTransient(error)) {
			setTimeout(() => this.phone === phone && this.online(phone), TRY_AGAIN);
			return;
		}
		for (const entry of this.#waiting())
			this.#update(entry, { state: 'failed', problem });
	}

	protected isTransient({ code }: SipError): boolean {
		return TRANSIENT.includes(code);
	}

	/** A call is ours: what it brings is said here. */
	protected take(call: Call): void {
		this.call = call;
		this.#calls.add(call);
		call.listen((message) => this.#takeMessage(message), () => {
			this.#calls.delete(call);
			if (this.call === call)
				this.#dropCall();
		});
	}

	#dropCall(): void {
		this.call = undefined;
		if (this.phone && this.state === 'on')
			this.ended();
	}

	/** The other side has hung up. */
	protected ended(): void {
		this.#setState('off', '');
	}

	leave(): void {
		this.#calls.forEach((call) => call.hangUp());
		this.#calls.clear();
		this.call = undefined;
	}

	// --- out

	say(text: string, to?: string): void {
		this.#typist.sent();
		this.#queue({ text, to });
	}

	sendFile(file: Attachment, to?: string): void {
		this.#queue({ file, to });
	}

	#queue(what: Partial<Entry>): void {
		this.add({ id: randomName(ID_BYTES), own: true, from: this.me.uri, name: 'You', at: new Date(), state: 'waiting', ...what });
		this.flush();
	}

	retry(entry: Entry): void {
		this.#update(entry, { state: 'waiting', problem: undefined });
		this.flush();
	}

	#waiting(): Entry[] {
		return this.entries.filter(({ own, state }) => own && state === 'waiting');
	}

	protected flush(): void {
		if (!this.phone)
			return;
		if (!this.isReady)
			return void this.join().then(() => this.isReady && this.flush());
		this.#waiting().forEach((entry) => void this.#send(entry));
	}

	async #send(entry: Entry): Promise<void> {
		const { call } = this;

		this.#update(entry, { state: 'sending', progress: entry.file ? 0 : undefined });
		try {
			await this.transmit(entry);
			if (entry.state === 'sending')
				this.#update(entry, { state: 'sent', progress: undefined });
		} catch (error) {
			this.#failed(entry, error, call);
		}
	}

	#failed(entry: Entry, error: unknown, call?: Call): void {
		// Reported by the other side after all, or waiting for the next connection already.
		if (entry.state === 'delivered' || entry.state === 'waiting')
			return;
		// It was taken, nobody will report any more, and who got it might show it twice.
		if (entry.state === 'sent' && isLoss(error) && !(call?.keepsIds && canBeSent(entry)))
			return;
		if (isLoss(error) && !(this.isReady && this.call === call)) {
			this.#update(entry, { state: 'waiting', progress: undefined });
			// When all that fails with it waits as well.
			setTimeout(() => this.flush());
		} else {
			this.#update(entry, { state: 'failed', progress: undefined, problem: inWords(error) });
		}
	}

	/** Send by the session that there is, and follow its reports. */
	protected async transfer(entry: Entry, body: Uint8Array | string, options: SendOptions): Promise<void> {
		const call = this.call!;
		const transmission = call.session.send(body, { ...options, successReport: true,
			onProgress: (done, total) => {
				if (entry.file && entry.state === 'sending')
					this.#update(entry, { progress: done / total });
			} });

		transmission.delivered.then(() => this.#update(entry, { state: 'delivered', progress: undefined }),
			(error: unknown) => this.#failed(entry, error, call));
		await transmission.sent;
	}

	/** The user has hit a key. */
	typed(): void {
		if (this.isReady)
			this.#typist.typed();
	}

	#sayTyping(active: boolean): void {
		if (this.call?.isUp)
			this.transmitTyping(writeComposing(active));
	}

	// --- in

	#takeMessage(message: Message): void {
		try {
			this.takeReceived(this.unwrap(message));
		} catch (error) {
			if (!(error instanceof MsrpError))
				throw error;
		}
	}

	/** What somebody has sent, taken out of its envelope. @throws MsrpError */
	unwrap(message: { id: string; type: string; body: Uint8Array; headers?: [string, string][] }): Received {
		const disposition = message.headers?.find(([name]) => name.toLowerCase() === 'content-disposition')?.[1];

		if (!/^message\/cpim\b/i.test(message.type))
			return { id: message.id, from: this.uri, name: '', at: new Date(), type: message.type,
				body: message.body, fileName: dispositionName(disposition) };
		return this.#fromEnvelope(message.id, parseCpim(message.body));
	}

	#fromEnvelope(id: string, envelope: Cpim): Received {
		const at = new Date(envelope.dateTime ?? NaN);

		return {
			id: envelope.extensions.get(IMDN_ID) ?? id,
			from: envelope.from?.uri ?? this.uri, name: envelope.from?.name ?? '', to: envelope.to[0]?.uri,
			at: Number.isNaN(at.getTime()) ? new Date() : at,
			type: envelope.contentType, body: contentOf(envelope),
			fileName: dispositionName(envelope.contentHeaders.get('content-disposition')),
		};
	}

	takeReceived(received: Received): void {
		const type = received.type.split(';')[0]!.trim().toLowerCase();

		if (type === COMPOSING_TYPE)
			return this.#takeTyping(received);
		if (type === 'message/imdn+xml' || this.#isKnown(received.id))
			return;
		this.#setTyping(received.from, false);
		const own = received.from === this.me.uri;

		this.add({
			id: received.id, own, from: received.from, name: this.nameOf(received.from, received.name), at: received.at,
			to: this.isPrivate(received) ? received.to : undefined, state: own ? 'delivered' : 'received',
			...(type === 'text/plain' ? { text: decoder.decode(received.body).slice(0, TEXT_SHOWN_MAX) }
				: { file: { name: safeName(received.fileName ?? 'file'), type, size: received.body.length, bytes: received.body } }),
		});
		if (!own)
			this.unread++;
		this.onChange.emit();
	}

	protected isPrivate(_received: Received): boolean {
		return false;
	}

	/** A room's history has what was said here before; then it has arrived, too. */
	#isKnown(id: string): boolean {
		const known = this.entries.find((entry) => entry.id === id);

		if (known?.own && known.state !== 'delivered')
			this.#update(known, { state: 'delivered', progress: undefined, problem: undefined });
		return known !== undefined;
	}

	#takeTyping(received: Received): void {
		const composing = readComposing(decoder.decode(received.body));

		if (composing && received.from !== this.me.uri)
			this.#setTyping(received.from, composing.active, composing.refresh);
	}

	#setTyping(uri: string, active: boolean, seconds = 0): void {
		const was = this.typing.has(uri);

		clearTimeout(this.typing.get(uri));
		this.typing.delete(uri);
		if (active)
			this.typing.set(uri, setTimeout(() => this.#setTyping(uri, false), seconds * 1000));
		if (was !== active)
			this.onChange.emit();
	}

	// --- entries

	add(entry: Entry): void {
		this.entries.push(entry);
		this.#letGo();
		this.onEntry.emit(entry);
	}

	/** Something that the page itself says. */
	protected note(text: string): void {
		this.add({ id: crypto.randomUUID(), own: false, from: '', name: '', at: new Date(), text, state: 'received' });
	}

	/** The oldest go when there are too many. */
	#letGo(): void {
		let bytes = 0;

		if (this.entries.length > ENTRIES_MAX)
			this.entries.splice(0, this.entries.length - ENTRIES_MAX);
		for (const { file, state } of [...this.entries].reverse()) {
			bytes += file?.bytes?.length ?? 0;
			if (bytes > BYTES_MAX && file && state !== 'waiting' && state !== 'sending')
				file.bytes = undefined;
		}
	}

	#update(entry: Entry, changes: Partial<Entry>): void {
		Object.assign(entry, changes);
		this.onEntry.emit(entry);
	}

	get address(): string {
		return readable(this.uri);
	}
}

export { IMDN_ID };
