/**
 * What else there is with a person, beside one conversation: their messages in other conversations, and their calls.
 * Read from the contact's timeline down to where the conversation itself is shown, and again when the log names
 * something of it.
 */
import { get, type ListPage } from '$lib/api/client';
import type { LogEvent, Message, Schemas } from '$lib/api/types';
import { threads } from '$lib/live/threads.svelte';

export type CallRecord = Schemas['Cdr'];
interface Item {
  type: 'message' | 'call';
  at_us: number;
  message?: Message | null;
  call?: CallRecord | null;
}
export interface Beside {
  readonly at: number;
  readonly key: string;
  readonly message: Message | null;
  readonly call: CallRecord | null;
}

const PAGE = 100;
/** A person with a longer history is read on the page of that history. */
const MOST = 600;
const QUIET_MS = 1_500;

export class PersonTimeline {
  items = $state.raw<readonly Beside[]>([]);
  /** The oldest moment that has been read; nothing is known before it. */
  since = $state(Number.POSITIVE_INFINITY);
  failed = $state(false);
  #round = 0;
  #wanted = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    readonly contact: string,
    readonly except: string
  ) {}

  /** Everything from `sinceUs` on. */
  async read(sinceUs: number): Promise<void> {
    const round = ++this.#round;
    this.#wanted = sinceUs;
    const found: Beside[] = [];
    let cursor: string | null = null;
    let oldest = Number.POSITIVE_INFINITY;
    let got = 0;
    try {
      do {
        const page: ListPage<Item> = await get<ListPage<Item>>(`/v1/contacts/${this.contact}/timeline`, { query: { limit: PAGE, cursor } });
        if (round !== this.#round) return;
        for (const one of page.data) {
          if (one.message && one.message.conversation_id !== this.except) found.push({ at: one.at_us, key: one.message.id, message: one.message, call: null });
          else if (one.call) found.push({ at: one.at_us, key: one.call.id, message: null, call: one.call });
        }
        got += page.data.length;
        oldest = page.has_more ? (page.data.at(-1)?.at_us ?? oldest) : 0;
        cursor = page.has_more ? page.next_cursor : null;
      } while (cursor && oldest > sinceUs && got < MOST);
      this.items = found;
      this.since = oldest;
      this.failed = false;
    } catch {
      if (round === this.#round) this.failed = true;
    }
  }

  /** Reads again soon, if one of these entries is about this person. */
  hear(events: readonly LogEvent[], numbers: readonly string[]): void {
    const mine = events.some((event) => {
      if (event.type === 'call.ended') return numbers.includes(event.data.call?.caller ?? '') || numbers.includes(event.data.call?.destination ?? '');
      if (!event.type.startsWith('message.')) return event.type.startsWith('contact.') && event.resource === this.contact;
      const said = event.data['message'] as { conversation_id?: string; contact_id?: string } | undefined;
      if (!said?.conversation_id || said.conversation_id === this.except) return false;
      return said.contact_id === this.contact || threads.talks.rows.get(said.conversation_id)?.contact_id === this.contact;
    });
    if (mine) this.again();
  }
  again(): void {
    if (this.#timer || this.#wanted === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.read(this.#wanted);
    }, QUIET_MS);
  }
  stop(): void {
    this.#round += 1;
    if (this.#timer) clearTimeout(this.#timer);
  }
}

export interface Entry {
  readonly at: number;
  readonly key: string;
  readonly message: Message | null;
  readonly call: CallRecord | null;
  readonly foreign: boolean;
}

/** One timeline for the person: the conversation's own messages, and what else there was from its oldest one on. */
export function together(own: readonly Message[], beside: readonly Beside[], fromUs: number): Entry[] {
  const out: Entry[] = own.map((message) => ({ at: message.order_us, key: message.id, message, call: null, foreign: false }));
  const there = new Set(own.map((message) => message.id));
  for (const one of beside) if (one.at >= fromUs && !there.has(one.key)) out.push({ ...one, foreign: true });
  return out.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
}
