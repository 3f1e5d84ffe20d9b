/**
 * Our connections to the server: one WebSocket for SIP, one for MSRP, and the registration.  They live
 * and end together; who wants to go on makes a new Phone.
 */
import { Inviter, Messager, Registerer, RegistererState, SessionState, Subscriber, UserAgent, type Invitation,
	type Message as SipMessage, type Notification, type Session as SipSession } from 'sip.js';
import { Connection, type Message, type Session } from '../msrp/src/index.ts';
import { normalize } from './address.ts';
import type { Config } from './config.ts';
import { Media } from './media.ts';

/** A request was refused: a status code of SIP. */
export class SipError extends Error {
	readonly code: number;

	constructor(code: number, why: string) {
		super(why);
		this.code = code;
	}
}

export interface Identity {
	/** `sip:alice@example.org` */
	uri: string;
	user: string;
	password: string;
}

/** A message that SIP has brought by itself (RFC 3428). */
export interface Page {
	from: string;
	name: string;
	type: string;
	body: string;
}

export interface PhoneEvents {
	onCall: (call: Call) => void;
	onPage: (page: Page) => void;
	/** the connections are gone */
	onLost: () => void;
}

/** A call that is up, and its session. */
export class Call {
	/** address of the other side */
	readonly peer: string;
	readonly #sip: SipSession;
	readonly #media: Media;
	#onEnd: () => void = () => {};

	constructor(peer: string, sip: SipSession, media: Media) {
		this.peer = peer;
		this.#sip = sip;
		this.#media = media;
		media.onEnd = () => this.hangUp();
		sip.stateChange.addListener((state) => {
			if (state === SessionState.Terminated)
				this.#onEnd();
		});
	}

	listen(onMessage: (message: Message) => void, onEnd: () => void): void {
		this.#onEnd = onEnd;
		this.#media.listen(onMessage);
	}

	get session(): Session {
		return this.#media.session!;
	}

	/** What a room permits; undefined: it is none. */
	get chatroom(): string[] | undefined {
		return this.#media.peer?.chatroom;
	}

	/** The other side knows what it has got in an earlier call, and does not show it again. */
	get keepsIds(): boolean {
		return this.#media.peer?.keepsIds === true;
	}

	get isUp(): boolean {
		return this.#sip.state === SessionState.Established && !this.session.isEnded;
	}

	hangUp(): void {
		if (this.#sip.state === SessionState.Established)
			this.#sip.bye().catch(() => {});
	}
}

const REGISTER_EXPIRES = 300;
const SUBSCRIBE_EXPIRES = 600;
const CONNECT_TIMEOUT = 10;
const KEEPALIVE = 25000;

/** A status of SIP for a request that was never answered. */
const NO_ANSWER = 408;

export class Phone {
	readonly #config: Config;
	readonly #identity: Identity;
	readonly #events: PhoneEvents;
	readonly #connection: Connection;
	readonly #agent: UserAgent;
	readonly #registerer: Registerer;
	#stopped = false;

	constructor(config: Config, identity: Identity, events: PhoneEvents) {
		this.#config = config;
		this.#identity = identity;
		this.#events = events;
		this.#connection = new Connection(config.msrp, { keepalive: KEEPALIVE, onClose: () => this.#lose() });
		this.#agent = this.#makeAgent();
		this.#registerer = new Registerer(this.#agent, { expires: REGISTER_EXPIRES });
	}

	#makeAgent(): UserAgent {
		return new UserAgent({
			uri: UserAgent.makeURI(this.#identity.uri),
			authorizationUsername: this.#identity.user,
			authorizationPassword: this.#identity.password,
			transportOptions: { server: this.#config.sip, connectionTimeout: CONNECT_TIMEOUT,
				keepAliveInterval: KEEPALIVE / 1000 },
			contactParams: { transport: 'ws' },
			gracefulShutdown: false,
			logBuiltinEnabled: false,
			sessionDescriptionHandlerFactory: () => this.#makeMedia(),
			delegate: {
				onInvite: (invitation) => void this.#answer(invitation).catch(() => {}),
				onMessage: (message) => this.#takePage(message),
				onDisconnect: () => this.#lose(),
			},
		});
	}

	#makeMedia(): Media {
		const { user, password } = this.#identity;
		const { secure, maxFile, relay } = this.#config;

		return new Media({ connection: this.#connection, secure, maxSize: maxFile,
			relay: relay ? { uri: relay, user, password } : undefined });
	}

	/** Connect and register. @throws SipError */
	async start(): Promise<void> {
		try {
			await Promise.all([this.#agent.start(), this.#connection.open()]);
		} catch {
			throw new SipError(NO_ANSWER, 'no connection');
		}
		await this.#register();
		this.#registerer.stateChange.addListener((state) => {
			if (state === RegistererState.Unregistered)
				this.#lose();
		});
	}

	#register(): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#registerer.register({ requestDelegate: {
				onAccept: () => resolve(),
				onReject: ({ message }) => reject(new SipError(message.statusCode ?? NO_ANSWER, message.reasonPhrase ?? '')),
			} }).catch(reject);
		});
	}

	#lose(): void {
		if (this.#stopped)
			return;
		this.stop();
		this.#events.onLost();
	}

	stop(): void {
		this.#stopped = true;
		this.#agent.stop().catch(() => {});
		this.#connection.close();
	}

	/** Call somebody, or a room. @throws SipError */
	async call(uri: string): Promise<Call> {
		const inviter = new Inviter(this.#agent, target(uri));

		await new Promise<void>((resolve, reject) => {
			inviter.stateChange.addListener((state) => {
				if (state === SessionState.Established)
					resolve();
				// Where it was refused that is told right after this.
				if (state === SessionState.Terminated)
					queueMicrotask(() => reject(new SipError(NO_ANSWER, 'the call has ended')));
			});
			inviter.invite({ requestDelegate: {
				onReject: ({ message }) => reject(new SipError(message.statusCode ?? NO_ANSWER, message.reasonPhrase ?? '')),
			} }).catch(reject);
		});
		return this.#up(uri, inviter);
	}

	async #up(peer: string, sip: SipSession): Promise<Call> {
		const media = sip.sessionDescriptionHandler as Media;
		const call = new Call(peer, sip, media);

		try {
			await media.start();
		} catch {
			call.hangUp();
			throw new SipError(NO_ANSWER, 'no session');
		}
		return call;
	}

	async #answer(invitation: Invitation): Promise<void> {
		const peer = normalize(invitation.remoteIdentity.uri.toString(), this.#config.domain);
		const acknowledged = new Promise<void>((resolve) => {
			invitation.delegate = { onAck: () => resolve() };
		});

		await invitation.accept();
		await acknowledged;
		if (!peer)
			return void await invitation.bye();
		this.#events.onCall(await this.#up(peer, invitation));
	}

	#takePage(message: SipMessage): void {
		const from = normalize(message.request.from.uri.toString(), this.#config.domain);

		message.accept().catch(() => {});
		if (from)
			this.#events.onPage({ from, name: message.request.from.displayName,
				type: message.request.getHeader('Content-Type') ?? 'text/plain', body: message.request.body });
	}

	/** Send a message by SIP alone (RFC 3428). @throws SipError */
	page(uri: string, text: string): Promise<void> {
		return new Promise((resolve, reject) => {
			new Messager(this.#agent, target(uri), text).message({ requestDelegate: {
				onAccept: () => resolve(),
				onReject: ({ message }) => reject(new SipError(message.statusCode ?? NO_ANSWER, message.reasonPhrase ?? '')),
			} }).catch(reject);
		});
	}

	/**
	 * Be told who is in a room (RFC 4575).
	 *
	 * @param take  a document; false when it makes no sense, and all is to be told again
	 * @return ends it
	 */
	watch(room: string, take: (document: string) => boolean): () => void {
		let subscriber: Subscriber;
		const begin = () => {
			subscriber = new Subscriber(this.#agent, target(room), 'conference', { expires: SUBSCRIBE_EXPIRES });
			subscriber.delegate = { onNotify: (notification) => {
				if (!this.#takeNotification(notification, take)) {
					subscriber.dispose().catch(() => {});
					begin();
				}
			} };
			subscriber.subscribe().catch(() => {});
		};

		begin();
		return () => void subscriber.dispose().catch(() => {});
	}

	#takeNotification(notification: Notification, take: (document: string) => boolean): boolean {
		notification.accept().catch(() => {});
		return !notification.request.body || take(notification.request.body);
	}
}

function target(uri: string) {
	const made = UserAgent.makeURI(uri);

	if (!made)
		throw new SipError(400, 'no address');
	return made;
}
