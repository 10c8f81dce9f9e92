/** One list of conversations on the screen: its pages, and which of the rows at hand belong to it. */
import { get, type ListPage, type Query } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Conversation } from '$lib/api/types';
import { listed, reachAfter, type Kind, type Reach } from '$lib/live/listed';
import { threads } from '$lib/live/threads.svelte';

const PAGE = 50;

export class TalkList {
  query = $state.raw<Query>({});
  kind = $state.raw<Kind<Conversation>>({ place: (talk) => talk.last_message_us, matches: () => false });
  reach = $state.raw<Reach>(undefined);
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);
  #cursor: string | null = null;
  #round = 0;
  #got = 0;

  /** Newest message first; complete down to the edge. */
  rows = $derived(listed(threads.talks.rows, this.kind, this.reach));
  loaded = $derived(this.reach !== undefined);
  done = $derived(this.reach === null);

  /** Another view: what is at hand and belongs to it is shown at once when it was read before, else after the page. */
  show(query: Query, kind: Kind<Conversation>): void {
    this.query = query;
    this.kind = kind;
    this.reach = undefined;
    this.#got = 0;
    void this.read();
  }

  /** The pages again, as many rows as were shown. */
  async read(): Promise<void> {
    const round = ++this.#round;
    const wanted = Math.max(PAGE, Math.min(this.#got, 400));
    this.busy = true;
    try {
      let cursor: string | null = null;
      let got = 0;
      let last: Conversation | undefined;
      do {
        const page: ListPage<Conversation> = await get<ListPage<Conversation>>('/v1/conversations', { query: { ...this.query, limit: PAGE, cursor } });
        if (round !== this.#round) return;
        threads.talks.reader.take(page.data);
        last = page.data.at(-1);
        got += page.data.length;
        cursor = page.has_more ? page.next_cursor : null;
      } while (cursor && got < wanted);
      this.#cursor = cursor;
      this.#got = got;
      this.reach = reachAfter(last, cursor !== null, this.kind.place);
      this.problem = null;
    } catch (error) {
      if (round === this.#round) this.problem = asProblem(error);
    } finally {
      if (round === this.#round) this.busy = false;
    }
  }

  async more(): Promise<void> {
    if (this.busy || !this.#cursor) return;
    const round = this.#round;
    this.busy = true;
    try {
      const page = await get<ListPage<Conversation>>('/v1/conversations', { query: { ...this.query, limit: PAGE, cursor: this.#cursor } });
      if (round !== this.#round) return;
      threads.talks.reader.take(page.data);
      this.#cursor = page.has_more ? page.next_cursor : null;
      this.#got += page.data.length;
      this.reach = reachAfter(page.data.at(-1), this.#cursor !== null, this.kind.place);
      this.problem = null;
    } catch (error) {
      if (round === this.#round) this.problem = asProblem(error);
    } finally {
      if (round === this.#round) this.busy = false;
    }
  }
}
