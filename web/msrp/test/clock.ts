import type { TestContext } from 'node:test';

interface Timeout {
	due: number;
	call: () => void;
}

/** A clock that stands still: timeouts of one test come when it is told to go on. */
export class Clock {
	#now = 0;
	#next = 1;
	#timeouts = new Map<number, Timeout>();

	constructor(t: TestContext) {
		const { setTimeout, clearTimeout } = globalThis;

		Object.assign(globalThis, {
			setTimeout: (call: () => void, delay = 0) => {
				this.#timeouts.set(this.#next, { due: this.#now + delay, call });
				return this.#next++;
			},
			clearTimeout: (timeout?: number) => this.#timeouts.delete(timeout ?? 0),
		});
		t.after(() => {
			Object.assign(globalThis, { setTimeout, clearTimeout });
		});
	}

	/** Go on by so many milliseconds. */
	tick(ms: number): void {
		const end = this.#now + ms;

		for (;;) {
			const [first] = [...this.#timeouts].filter(([, { due }]) => due <= end)
				.sort(([, one], [, other]) => one.due - other.due);

			if (!first)
				break;
			this.#timeouts.delete(first[0]);
			this.#now = first[1].due;
			first[1].call();
		}
		this.#now = end;
	}
}
