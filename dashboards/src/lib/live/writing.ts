/** How often one says that one types. The clock is handed in. */

/** How often it is repeated while keys are pressed, and how long after the last key it is taken back. */
export const AGAIN_MS = 3_000;
export const IDLE_MS = 5_000;

interface World {
  now(): number;
  after(ms: number, run: () => void): () => void;
}

/** Says that one types: at the first key, again every `AGAIN_MS` while keys come, and once that it is over. */
export class Writing {
  #said = 0;
  #cancel: (() => void) | null = null;
  constructor(
    readonly say: (typing: boolean) => void,
    readonly world: World
  ) {}

  pressed(): void {
    const now = this.world.now();
    if (now - this.#said >= AGAIN_MS) {
      this.#said = now;
      this.say(true);
    }
    this.#cancel?.();
    this.#cancel = this.world.after(IDLE_MS, () => this.stop());
  }
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (!this.#said) return;
    this.#said = 0;
    this.say(false);
  }
}
