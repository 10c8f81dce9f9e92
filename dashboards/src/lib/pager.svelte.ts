/** A keyset list that is read page by page; what was read stays in place when a later page fails. */
import { get, type ListPage, type Query } from './api/client';
import { asProblem, type Problem } from './api/problem';

export class Pager<T> {
  items = $state.raw<readonly T[]>([]);
  loaded = $state(false);
  busy = $state(false);
  done = $state(false);
  problem = $state.raw<Problem | null>(null);
  readAt = $state(0);
  #path: string;
  #query: Query;
  #cursor: string | null = null;
  #round = 0;

  constructor(path: string, query: Query = {}) {
    this.#path = path;
    this.#query = query;
  }

  /** Starts over, with other filters if they are given. */
  async restart(query = this.#query): Promise<void> {
    this.#query = query;
    this.#cursor = null;
    this.#round += 1;
    this.busy = this.done = false;
    await this.more(true);
  }

  more = async (fresh = false): Promise<void> => {
    if (this.busy || this.done) return;
    const round = this.#round;
    this.busy = true;
    try {
      const page = await get<ListPage<T>>(this.#path, { query: { limit: 100, ...this.#query, cursor: this.#cursor } });
      if (round !== this.#round) return;
      this.items = fresh ? page.data : [...this.items, ...page.data];
      this.#cursor = page.next_cursor ?? null;
      this.done = !page.has_more;
      this.loaded = true;
      this.problem = null;
      this.readAt = Date.now();
    } catch (error) {
      if (round !== this.#round) return;
      this.problem = asProblem(error);
      this.done = true;
    } finally {
      if (round === this.#round) this.busy = false;
    }
  };
}
