/** One thing that was said in a conversation. */

export interface Attachment {
	name: string;
	type: string;
	size: number;
	/** absent: they were let go, to save memory */
	bytes?: Uint8Array;
}

export type EntryState = 'received' | 'waiting' | 'sending' | 'sent' | 'delivered' | 'failed';

export interface Entry {
	id: string;
	own: boolean;
	/** address of who said it; empty: the page itself */
	from: string;
	/** as he is shown */
	name: string;
	at: Date;
	text?: string;
	file?: Attachment;
	/** it is for one in the room alone: his address */
	to?: string;
	state: EntryState;
	/** of what is being sent, 0 to 1 */
	progress?: number;
	/** why it failed */
	problem?: string;
}

/** Its bytes may have been let go. */
export function canBeSent({ file }: Entry): boolean {
	return !file || file.bytes !== undefined;
}

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp'];

/** What is shown as a picture; SVG is a program. */
export function isPicture(file: Attachment): boolean {
	return IMAGES.includes(file.type.split(';')[0]!.trim().toLowerCase());
}

/** The name that a file is offered under: no path, nothing that cannot be seen. */
export function safeName(name: string): string {
	return name.replace(/^.*[/\\]/, '').replace(/[\p{C}"<>:|?*]/gu, '').replace(/^\.+/, '').slice(0, 100) || 'file';
}

/** The name in a Content-Disposition (RFC 6266, as far as it is met). */
export function dispositionName(value: string | undefined): string | undefined {
	const match = /filename="((?:[^"\\]|\\.)*)"/i.exec(value ?? '') ?? /filename=([^;\s]+)/i.exec(value ?? '');

	return match?.[1]!.replace(/\\(.)/g, '$1');
}

export function disposition(file: Attachment): string {
	return `attachment; filename="${safeName(file.name)}"`;
}
