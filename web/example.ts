/* The example of msrp/README.md, which a test holds against this: so the compiler has seen it. */
import { Connection, parseSdp, textOf, writeSdp } from './msrp/src/index.ts';

declare function reconnect(why: unknown): void;
declare function show(text: string): void;
declare function invite(offer: string): Promise<string>;

const connection = new Connection('wss://chat.example.org/msrp', { keepalive: 30000, onClose: (why) => reconnect(why) });
await connection.open();

const session = connection.session({
	acceptTypes: ['text/plain'],
	onMessage: (message) => show(textOf(message)),
	onEnd: (why) => console.log(`ended: ${why.code}`),
});
const answer = await invite(writeSdp(session));                // yours: the offer goes into an INVITE
const { message } = parseSdp(answer);
await session.start(message!.path, message!.acceptTypes, message!.maxSize);

const sent = session.send('Hello', { successReport: true });
await sent.sent;                                               // the next hop has taken it
await sent.delivered;                                          // a success REPORT has come
