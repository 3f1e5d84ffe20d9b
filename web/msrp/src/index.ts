/** MSRP for browsers and Node.js: RFC 4975 over WebSocket (RFC 7977), CPIM, nicknames. */
export { randomName } from './bytes.ts';
export { Connection, type ConnectionOptions, type Socket } from './connection.ts';
export { contentOf, encodeCpim, parseCpim, toBase64, type Cpim, type CpimAddress } from './cpim.ts';
export { MsrpError } from './error.ts';
export { parseSdp, writeSdp, type Description, type LocalOptions, type MediaDescription } from './sdp.ts';
export { Session, takesType, textOf, type Message, type SessionOptions } from './session.ts';
export { type SendOptions, type Transmission } from './transmission.ts';
export { parseUri, type MsrpUri } from './uri.ts';
