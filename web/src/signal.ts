/** Who wants to be told. */
export class Signal<T = void> {
	readonly #listeners = new Set<(value: T) => void>();

	/** @return ends it */
	on(listener: (value: T) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	emit(value: T): void {
		for (const listener of [...this.#listeners])
			listener(value);
	}
}
