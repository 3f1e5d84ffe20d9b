/** Elements made without a byte of markup: what others write is text, wherever it stands. */

type Listeners = { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
type Attributes = Record<string, string | number | boolean | undefined>;

/** An element with attributes (true: without a value; false and undefined: not at all), listeners, children. */
export function el<K extends keyof HTMLElementTagNameMap>(name: K, attributes: Attributes = {}, children: (Node | string)[] = [],
	listeners: Listeners = {}): HTMLElementTagNameMap[K] {
	const element = document.createElement(name);

	for (const [key, value] of Object.entries(attributes)) {
		if (value !== undefined && value !== false)
			element.setAttribute(key, value === true ? '' : String(value));
	}
	for (const [event, listener] of Object.entries(listeners))
		element.addEventListener(event, listener as EventListener);
	element.append(...children);
	return element;
}

/** Text for who listens to the page instead of looking at it. */
export function unseen(text: string): HTMLElement {
	return el('span', { class: 'unseen' }, [text]);
}

let ids = 0;

/** A label and its field. */
export function labelled(label: string, field: HTMLElement): HTMLElement {
	field.id ||= `field-${++ids}`;
	return el('p', { class: 'field' }, [el('label', { for: field.id }, [label]), field]);
}

/** Bytes as people count them. */
export function sizeInWords(bytes: number): string {
	return bytes < 1024 ? `${bytes} bytes` : bytes < 1048576 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}
