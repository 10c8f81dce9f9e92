/**
 * Reads the rows that a `Shelf` wants, a batch at a time, until none is wanted. What fails is tried again after a
 * growing, jittered pause for as long as somebody looks; `lateSince` says since when the shelf has been behind.
 */
import { answered, asking, doubted, emptyShelf, heard, taken, thinned, unanswered, type Row, type Shelf } from './shelf';

/** Names that come together are read together; nobody sees 20 ms. */
export const GATHER_MS = 20;
export const FIRST_PAUSE_MS = 300;
export const MOST_PAUSE_MS = 10_000;
/** As many values as the API takes in one `in` list. */
export const BATCH = 50;

export interface ReaderWorld<T extends Row> {
  /** The rows of these ids, as the store has them now; those that it does not have are not among them. */
  read(ids: readonly string[]): Promise<readonly T[]>;
  now(): number;
  random(): number;
  after(ms: number, run: () => void): () => void;
  publish(shelf: Shelf<T>): void;
}

export class Reader<T extends Row> {
  shelf: Shelf<T> = emptyShelf<T>();
  counts = { reads: 0, failures: 0, stale: 0 };
  /** When the oldest of what is wanted was heard of; 0 when nothing is. */
  lateSince = 0;

  #world: ReaderWorld<T>;
  #round = 0;
  #busy = false;
  #pause = FIRST_PAUSE_MS;
  #cancel: (() => void) | null = null;
  #open = false;

  constructor(world: ReaderWorld<T>) {
    this.#world = world;
  }

  get behind(): number {
    return this.shelf.wanted.size + this.shelf.asked.size;
  }

  /** Somebody looks: what is wanted is read from now on. */
  open(): void {
    this.#open = true;
    // What changed while nobody looked is not late: it is asked for only now.
    if (this.lateSince) this.lateSince = this.#world.now();
    this.#soon(0);
  }

  /** Nobody looks: what changes is remembered by name only. */
  close(): void {
    this.#open = false;
    this.#cancel?.();
    this.#cancel = null;
  }

  reset(): void {
    this.#round += 1;
    this.#busy = false;
    this.#cancel?.();
    this.#cancel = null;
    this.#pause = FIRST_PAUSE_MS;
    this.#put(emptyShelf<T>());
  }

  hear(names: Iterable<readonly [string, number]>): void {
    this.#put(heard(this.shelf, names));
    this.#soon(GATHER_MS);
  }
  doubt(): void {
    this.#put(doubted(this.shelf));
    this.#soon(GATHER_MS);
  }
  take(rows: readonly T[]): void {
    this.#put(taken(this.shelf, rows));
    this.#soon(GATHER_MS);
  }
  thin(keep: (row: T) => boolean): void {
    this.#put(thinned(this.shelf, keep));
  }

  /** The network is back: do not wait for the end of the pause. */
  retry(): void {
    if (this.#busy) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#soon(0);
  }

  #put(shelf: Shelf<T>): void {
    if (shelf === this.shelf) return;
    this.shelf = shelf;
    if (this.behind === 0) this.lateSince = 0;
    else this.lateSince ||= this.#world.now();
    this.#world.publish(shelf);
  }

  #soon(ms: number): void {
    if (!this.#open || this.#busy || this.#cancel || this.shelf.wanted.size === 0) return;
    this.#cancel = this.#world.after(ms, () => {
      this.#cancel = null;
      void this.#read();
    });
  }

  async #read(): Promise<void> {
    const [shelf, ids] = asking(this.shelf, BATCH);
    if (!ids.length) return;
    const round = this.#round;
    this.#busy = true;
    this.#put(shelf);
    this.counts.reads += 1;
    let wait = GATHER_MS;
    try {
      const rows = await this.#world.read(ids);
      if (round !== this.#round) return;
      const before = new Set(this.shelf.wanted.keys());
      this.#put(answered(this.shelf, ids, rows));
      const stale = ids.some((id) => this.shelf.wanted.has(id) && !before.has(id));
      if (stale) {
        // The store we read from is behind the log: it will catch up.
        this.counts.stale += 1;
        wait = this.#longer();
      } else this.#pause = FIRST_PAUSE_MS;
    } catch {
      if (round !== this.#round) return;
      this.counts.failures += 1;
      this.#put(unanswered(this.shelf, ids));
      wait = this.#longer();
    }
    this.#busy = false;
    this.#soon(wait);
  }

  #longer(): number {
    const wait = Math.round(this.#pause * (0.5 + this.#world.random()));
    this.#pause = Math.min(this.#pause * 2, MOST_PAUSE_MS);
    return wait;
  }
}
