/** A conversation with one other. */
import { encodeCpim, toBase64 } from '../msrp/src/index.ts';
import { COMPOSING_TYPE } from './composing.ts';
import { Conversation, type Received } from './conversation.ts';
import { disposition, type Entry } from './entry.ts';
import { SipError, type Call, type Page, type Phone } from './phone.ts';

/** What a phone answers that has no sessions, or has one already: then messages go one by one. */
const WITHOUT_SESSION = [405, 415, 420, 486, 488, 501, 606];
/** A call of ours from before a reload or a lost connection is missed by the server after some seconds. */
const BUSY = 486;
const BUSY_TRIES = 4;
const BUSY_PAUSE = 2000;
/** Who was there a moment ago, before his connection was lost or ours, is back soon. */
const NOT_ONLINE = 480;
const BACK_WITHIN = 30000;
const encoder = new TextEncoder();

export class Person extends Conversation {
	readonly kind = 'person';
	/** the phone by which messages go one by one */
	#paging?: Phone;
	/** until then he may be back */
	#expectedUntil = 0;

	protected get isReady(): boolean {
		return this.call?.isUp === true || (this.phone !== undefined && this.#paging === this.phone);
	}

	protected async connect(phone: Phone): Promise<void> {
		try {
			this.take(await this.#callUnlessBusy(phone));
		} catch (error) {
			if (!(error instanceof SipError && WITHOUT_SESSION.includes(error.code)))
				throw error;
			this.#paging = phone;
		}
	}

	async #callUnlessBusy(phone: Phone): Promise<Call> {
		for (let tries = 1; ; tries++) {
			try {
				return await phone.call(this.uri);
			} catch (error) {
				if (!(error instanceof SipError && error.code === BUSY && tries < BUSY_TRIES && this.phone === phone))
					throw error;
				await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE));
			}
		}
	}

	override online(phone: Phone): void {
		this.#expectedUntil = Math.min(this.#expectedUntil, Date.now() + BACK_WITHIN);
		super.online(phone);
	}

	override offline(): void {
		this.#expectedUntil = Infinity;
		super.offline();
	}

	protected override ended(): void {
		this.#expectedUntil = Date.now() + BACK_WITHIN;
		super.ended();
	}

	protected override isTransient(error: SipError): boolean {
		return super.isTransient(error) || (error.code === NOT_ONLINE && Date.now() < this.#expectedUntil);
	}

	/** He calls us. */
	answer(call: Call): void {
		this.take(call);
		this.state = 'on';
		this.onChange.emit();
		this.flush();
	}

	/** He writes by SIP alone. */
	takePage(page: Page): void {
		this.takeReceived(this.unwrapPage(page));
	}

	unwrapPage(page: Page): Received {
		const received = this.unwrap({ id: crypto.randomUUID(), type: page.type, body: encoder.encode(page.body) });

		return { ...received, from: this.uri, name: received.name || page.name };
	}

	protected async transmit(entry: Entry): Promise<void> {
		if (this.call?.isUp)
			await (entry.file ? this.#transmitFile(entry) : this.#transmitText(entry));
		else if (entry.file)
			throw new SipError(488, 'no session');
		else
			await this.phone!.page(this.uri, entry.text!);
	}

	#transmitText(entry: Entry): Promise<void> {
		if (this.call!.session.accepts('text/plain'))
			return this.transfer(entry, entry.text!, { id: entry.id, type: 'text/plain' });
		return this.#transmitWrapped(entry, 'text/plain', encoder.encode(entry.text), new Map());
	}

	#transmitFile(entry: Entry): Promise<void> {
		const file = entry.file!;

		if (this.call!.session.accepts(file.type))
			return this.transfer(entry, file.bytes!, { id: entry.id, type: file.type, headers: [['Content-Disposition', disposition(file)]] });
		// On the way it may be carried by SIP, whose bodies not everybody takes as bytes.
		return this.#transmitWrapped(entry, file.type, encoder.encode(toBase64(file.bytes!)), new Map([
			['Content-Disposition', disposition(file)], ['Content-Transfer-Encoding', 'base64']]));
	}

	#transmitWrapped(entry: Entry, contentType: string, body: Uint8Array, contentHeaders: Map<string, string>): Promise<void> {
		return this.transfer(entry, encodeCpim({ from: { name: '', uri: this.me.uri }, to: [{ name: '', uri: this.uri }],
			dateTime: entry.at.toISOString(), contentType, contentHeaders, body }), { id: entry.id, type: 'message/cpim' });
	}

	protected transmitTyping(document: string): void {
		const { session } = this.call!;

		if (session.accepts(COMPOSING_TYPE))
			session.send(document, { type: COMPOSING_TYPE });
	}
}
