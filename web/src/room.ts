/** A chat room (RFC 7701). */
import { encodeCpim } from '../msrp/src/index.ts';
import { COMPOSING_TYPE } from './composing.ts';
import { Conversation, IMDN_ID, type Received } from './conversation.ts';
import { disposition, type Entry } from './entry.ts';
import type { Phone } from './phone.ts';
import { Roster, type Participant } from './roster.ts';

/** In a larger crowd nobody is told who is typing. */
const INTIMATE = 20;
const encoder = new TextEncoder();

export class Room extends Conversation {
	readonly kind = 'room';
	nickname = '';
	#roster = new Roster();
	#unwatch: () => void = () => {};

	protected get isReady(): boolean {
		return this.call?.isUp === true;
	}

	get participants(): Participant[] {
		return this.#roster.participants;
	}

	permits(what: 'nickname' | 'private-messages'): boolean {
		return this.call?.chatroom?.includes(what) === true;
	}

	override nameOf(uri: string, said = ''): string {
		return uri === this.me.uri ? 'You' : this.#roster.nickname(uri) || super.nameOf(uri, said);
	}

	override online(phone: Phone): void {
		this.phone = phone;
		void this.join().then(() => this.isReady && this.flush());
	}

	override offline(): void {
		this.#unwatch = () => {};
		this.#roster = new Roster();
		super.offline();
	}

	protected async connect(phone: Phone): Promise<void> {
		this.take(await phone.call(this.uri));
		this.#watch(phone);
		if (this.nickname)
			await this.call!.session.nickname(this.nickname).catch(() => this.note(`The name ${this.nickname} is taken now`));
	}

	#watch(phone: Phone): void {
		const roster = this.#roster = new Roster();

		this.#unwatch = phone.watch(this.uri, (document) => {
			const understood = roster.apply(document);

			this.title = roster.subject || this.title;
			this.onChange.emit();
			return understood;
		});
	}

	protected override ended(): void {
		this.#unwatch();
		super.ended();
	}

	override leave(): void {
		this.#unwatch();
		super.leave();
	}

	/** @throws MsrpError */
	async takeNickname(name: string): Promise<void> {
		await this.call!.session.nickname(name);
		this.nickname = name;
		this.onChange.emit();
	}

	protected override isPrivate(received: Received): boolean {
		return received.to !== undefined && received.to !== this.uri;
	}

	#envelope(to: string, at: Date, contentType: string, body: Uint8Array, id?: string,
		contentHeaders = new Map<string, string>()): Uint8Array {
		return encodeCpim({ from: { name: '', uri: this.me.uri }, to: [{ name: '', uri: to }], dateTime: at.toISOString(),
			contentType, contentHeaders, body, extensions: new Map(id ? [[IMDN_ID, id]] : []) });
	}

	protected transmit(entry: Entry): Promise<void> {
		const { file } = entry;
		const body = file ? file.bytes! : encoder.encode(entry.text);
		const headers = new Map(file ? [['Content-Disposition', disposition(file)]] : []);

		return this.transfer(entry, this.#envelope(entry.to ?? this.uri, entry.at, file?.type ?? 'text/plain; charset=utf-8',
			body, entry.id, headers), { type: 'message/cpim' });
	}

	protected transmitTyping(document: string): void {
		if (this.participants.length <= INTIMATE)
			this.call!.session.send(this.#envelope(this.uri, new Date(), COMPOSING_TYPE, encoder.encode(document)),
				{ type: 'message/cpim' });
	}
}
