/** What SIP.js asks about a call's media, answered by an MSRP session. */
import type { BodyAndContentType, SessionDescriptionHandler } from 'sip.js';
import { parseSdp, parseUri, writeSdp, type Connection, type Description, type MediaDescription, type Message,
	type MsrpError, type Session } from '../msrp/src/index.ts';
import { COMPOSING_TYPE } from './composing.ts';

export interface MediaOptions {
	connection: Connection;
	/** our offers are for MSRP over TLS */
	secure: boolean;
	maxSize: number;
	/** with what the session goes through a relay */
	relay?: { uri: string; user: string; password: string };
}

const SDP = 'application/sdp';
const ACCEPTED = ['text/plain', 'message/cpim', COMPOSING_TYPE, '*'];

export class Media implements SessionDescriptionHandler {
	session?: Session;
	/** what the other side has said */
	peer?: MediaDescription;
	onEnd: (why: MsrpError) => void = () => {};
	readonly #options: MediaOptions;
	#offer?: Description;
	#early: Message[] = [];
	#listener?: (message: Message) => void;

	constructor(options: MediaOptions) {
		this.#options = options;
	}

	async #open(secure: boolean): Promise<Session> {
		const { connection, maxSize, relay } = this.#options;

		if (this.session)
			return this.session;
		this.session = connection.session({ acceptTypes: ACCEPTED, secure, maxSize,
			onMessage: (message) => this.#take(message), onEnd: (why) => this.onEnd(why) });
		// A relay reaches nobody by WebSocket: whose path begins so is for us to connect to.
		if (relay && parseUri(this.#offer?.message?.path[0] ?? '')?.transport !== 'ws')
			await this.session.useRelay(relay.uri, relay.user, relay.password);
		return this.session;
	}

	#take(message: Message): void {
		if (this.#listener)
			this.#listener(message);
		else
			this.#early.push(message);
	}

	/** Hear what is said, and what was said before anybody listened. */
	listen(listener: (message: Message) => void): void {
		this.#listener = listener;
		this.#early.splice(0).forEach(listener);
	}

	async getDescription(): Promise<BodyAndContentType> {
		const session = await this.#open(this.#offer?.message?.secure ?? this.#options.secure);
		const body = writeSdp(session, { offer: this.#offer, acceptWrappedTypes: ['*'],
			chatroom: ['nickname', 'private-messages'], keepsIds: true });

		return { body, contentType: SDP };
	}

	hasDescription(contentType: string): boolean {
		return contentType.toLowerCase() === SDP;
	}

	/** Before our session is there it is an offer, afterwards an answer or the offer of a re-INVITE. */
	async setDescription(sdp: string): Promise<void> {
		const description = parseSdp(sdp);

		if (!description.message)
			throw new Error('no MSRP stream that can be used');
		this.#offer = description;
		this.peer = description.message;
	}

	/** Connect: the call is up. */
	async start(): Promise<void> {
		const { path, acceptTypes, maxSize } = this.peer!;

		await this.session!.start(path, acceptTypes, maxSize);
	}

	close(): void {
		this.session?.close();
	}

	sendDtmf(): boolean {
		return false;
	}
}
