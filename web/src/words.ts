/** Status codes in words for people. */
import { MsrpError } from '../msrp/src/index.ts';
import { SipError } from './phone.ts';

const SIP: Record<number, string> = {
	401: 'Name or password is wrong', 403: 'This is not allowed', 404: 'There is nobody of this address',
	408: 'The server does not answer', 410: 'There is nobody of this address any more', 480: 'Not online at the moment',
	486: 'Busy, or the room is full', 487: 'Cancelled', 488: 'The other side cannot chat like this', 503: 'The server is overloaded',
	600: 'Busy', 603: 'Declined', 604: 'There is nobody of this address',
};

const MSRP: Record<number, string> = {
	0: 'Cancelled', 403: 'This is not allowed', 404: 'Nobody of this name is here', 408: 'No answer in time',
	413: 'Too large for the other side', 415: 'The other side cannot show this', 424: 'This is not a name', 425: 'Somebody else has this name',
	428: 'Private messages do not reach this one', 481: 'The connection was lost',
};

export function inWords(error: unknown): string {
	if (error instanceof SipError)
		return SIP[error.code] ?? `The call was refused (${error.code})`;
	if (error instanceof MsrpError)
		return MSRP[error.code] ?? `The message was refused (${error.code})`;
	return 'Something went wrong';
}
