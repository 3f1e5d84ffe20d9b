/** One thing that was said, as it is shown. */
import { canBeSent, isPicture, safeName, type Attachment, type Entry, type EntryState } from '../entry.ts';
import { el, sizeInWords, unseen } from './dom.ts';

const MARKS: Partial<Record<EntryState, [string, string]>> = {
	waiting: ['…', 'waiting for the connection'], sending: ['↑', 'being sent'], sent: ['✓', 'sent'], delivered: ['✓✓', 'delivered'],
};
const PICTURE_SIDE = 480;

export interface EntryActions {
	retry: (entry: Entry) => void;
	nameOf: (uri: string) => string;
}

/** An entry that is there, and changes. */
export class EntryView {
	readonly element: HTMLLIElement;
	readonly #entry: Entry;
	readonly #actions: EntryActions;
	readonly #state: HTMLElement;

	constructor(entry: Entry, actions: EntryActions) {
		const kind = entry.own ? 'own' : entry.from ? 'other' : 'note';

		this.#entry = entry;
		this.#actions = actions;
		this.#state = el('span', { class: 'state' });
		this.element = el('li', { class: `entry ${kind}${entry.to ? ' private' : ''}` }, [this.#head(), ...this.#body(), this.#state]);
		this.update();
	}

	#head(): HTMLElement {
		const { entry } = { entry: this.#entry };
		const time = el('time', { datetime: entry.at.toISOString(), title: entry.at.toLocaleString() },
			[entry.at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })]);
		const to = entry.to ? ` privately to ${this.#actions.nameOf(entry.to).replace(/^You$/, 'you')}` : '';

		return el('span', { class: 'head' }, [el('b', {}, [entry.name]), to, ' ', time]);
	}

	#body(): Node[] {
		const { text, file } = this.#entry;

		return [...(text === undefined ? [] : [el('span', { class: 'text' }, [text])]), ...(file ? [this.#file(file)] : [])];
	}

	#file(file: Attachment): HTMLElement {
		const name = safeName(file.name);
		const save = el('button', { type: 'button', class: 'link' }, ['Save', unseen(` ${name}`)], { click: () => saveFile(file) });
		const line = el('span', { class: 'file' }, [el('span', {}, [`${name}, ${sizeInWords(file.size)}`]), ' ', ...(file.bytes ? [save] : [])]);

		if (isPicture(file) && file.bytes)
			void showPicture(line, file, name);
		return line;
	}

	update(): void {
		const { state, progress, problem } = this.#entry;
		const mark = MARKS[state];

		this.#state.replaceChildren(...(mark ? [el('span', { 'aria-hidden': 'true' }, [mark[0]]), unseen(` ${mark[1]}`)] : []));
		if (progress !== undefined)
			this.#state.append(el('progress', { max: 1, value: progress, 'aria-label': `Sending ${this.#entry.file?.name ?? ''}` }));
		if (state === 'failed')
			this.#state.append(el('span', { class: 'problem' }, [`Not sent: ${problem ?? ''}. `]), ...this.#retry());
	}

	#retry(): HTMLElement[] {
		return !canBeSent(this.#entry) ? [] : [el('button', { type: 'button', class: 'link' }, ['Try again'],
			{ click: () => this.#actions.retry(this.#entry) })];
	}
}

/** Painted, so that a policy that permits no pictures from elsewhere need make no exception. */
async function showPicture(line: HTMLElement, file: Attachment, name: string): Promise<void> {
	try {
		const bitmap = await createImageBitmap(new Blob([file.bytes! as BlobPart], { type: file.type }));
		const scale = Math.min(1, PICTURE_SIDE / Math.max(bitmap.width, bitmap.height));
		const canvas = el('canvas', { role: 'img', 'aria-label': `Picture ${name}`,
			width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });

		canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
		bitmap.close();
		line.prepend(canvas);
	} catch {
		// No picture after all: it can be saved.
	}
}

function saveFile(file: Attachment): void {
	// Whatever the sender calls it, no browser shows it as a page of ours.
	const url = URL.createObjectURL(new Blob([file.bytes! as BlobPart], { type: 'application/octet-stream' }));

	el('a', { href: url, download: safeName(file.name) }).click();
	setTimeout(() => URL.revokeObjectURL(url), 60000);
}
