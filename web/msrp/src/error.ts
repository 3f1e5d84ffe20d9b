/** Why something failed: a status code of MSRP (RFC 4975 section 10) and words. */
export class MsrpError extends Error {
	readonly code: number;

	constructor(code: number, why: string) {
		super(why);
		this.name = 'MsrpError';
		this.code = code;
	}
}
