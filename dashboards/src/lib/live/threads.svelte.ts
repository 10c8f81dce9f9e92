/**
 * Conversations, the people in them, and the messages of those that somebody has open: kept equal to the store.
 *
 * Follows the same numbered stream as calls. The log names what changed; `Reader` reads it while a view is open.
 * After a gap in the log everything that is held is read again, and `round` tells the lists to read their pages anew.
 */
import { get, type ListPage } from '$lib/api/client';
import type { Conversation, LogEvent, Message } from '$lib/api/types';
import { newestFirst, reachAfter, type Reach } from './listed';
import { BATCH, Reader } from './reader';
import type { Row, Shelf } from './shelf';

/** More names than this at once, and the lists are read anew instead: cheaper, and equal in the end. */
const MOST_WANTED = 400;
/** Rows that are kept at hand; beyond, those in no open list are forgotten. */
const MOST_ROWS = 3_000;
/** A reading that takes longer than this is said to be behind. */
export const LATE_MS = 2_000;
const PAGE = 50;

export interface Contact extends Row {
  name: string;
}

const world = { now: () => Date.now(), random: () => Math.random() };
const after = (ms: number, run: () => void): (() => void) => {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
};
const byIds = async <T>(path: string, ids: readonly string[]): Promise<T[]> =>
  (await get<ListPage<T>>(path, { query: { 'id[in]': ids.join(','), limit: BATCH } })).data;

class Kept<T extends Row> {
  rows = $state.raw<ReadonlyMap<string, T>>(new Map());
  readonly reader: Reader<T>;
  constructor(read: (ids: readonly string[]) => Promise<readonly T[]>) {
    this.reader = new Reader<T>({ ...world, after, read, publish: (shelf: Shelf<T>) => { if (shelf.rows !== this.rows) this.rows = shelf.rows; } });
  }
}

const byTime = newestFirst<Message>((message) => message.order_us);

/** The messages of one conversation, newest page first, older ones by scrolling back. */
export class Timeline {
  readonly kept: Kept<Message>;
  loaded = $state(false);
  busy = $state(false);
  reach = $state.raw<Reach>(undefined);
  problem = $state.raw<unknown>(null);
  #cursor: string | null = null;
  #round = 0;

  constructor(readonly conversation: string) {
    this.kept = new Kept<Message>((ids) => byIds<Message>(this.path, ids));
  }
  get path(): string {
    return `/v1/conversations/${this.conversation}/messages`;
  }
  get complete(): boolean {
    return this.reach === null;
  }

  /** Oldest first, as people read. */
  messages = $derived.by(() => {
    const edge = this.reach;
    if (edge === undefined) return [];
    const found = [...this.kept.rows.values()].filter((one) => !edge || one.order_us > edge.place || (one.order_us === edge.place && one.id >= edge.id));
    return found.sort((a, b) => byTime(b, a));
  });

  /** The newest page, and as many more as were shown before. */
  async read(): Promise<void> {
    const round = ++this.#round;
    const wanted = Math.max(PAGE, Math.min(this.messages.length, 400));
    this.busy = true;
    try {
      let cursor: string | null = null;
      let got = 0;
      let reach: Reach;
      do {
        const page: ListPage<Message> = await get<ListPage<Message>>(this.path, { query: { limit: PAGE, cursor } });
        if (round !== this.#round) return;
        this.kept.reader.take(page.data);
        got += page.data.length;
        cursor = page.has_more ? page.next_cursor : null;
        reach = reachAfter(page.data.at(-1), cursor !== null, (one) => one.order_us);
      } while (cursor && got < wanted);
      this.#cursor = cursor;
      this.reach = reach;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      if (round === this.#round) this.problem = error;
    } finally {
      if (round === this.#round) this.busy = false;
    }
  }

  async older(): Promise<void> {
    if (this.busy || !this.#cursor) return;
    const round = this.#round;
    this.busy = true;
    try {
      const page = await get<ListPage<Message>>(this.path, { query: { limit: PAGE, cursor: this.#cursor } });
      if (round !== this.#round) return;
      this.kept.reader.take(page.data);
      this.#cursor = page.has_more ? page.next_cursor : null;
      this.reach = reachAfter(page.data.at(-1), this.#cursor !== null, (one) => one.order_us);
    } catch (error) {
      if (round === this.#round) this.problem = error;
    } finally {
      if (round === this.#round) this.busy = false;
    }
  }
}

interface Named {
  readonly id?: string;
  readonly conversation_id?: string;
  readonly version?: number;
}

class Threads {
  /** Counts up when lists have to read their pages anew. */
  round = $state(0);
  /** How many rows are behind for longer than a moment: the connection mark says so. */
  behind = $state(0);
  /** Messages that came in while this page is open, for those who are told aloud: conversation ids, newest last. */
  arrived = $state.raw<readonly string[]>([]);
  readonly talks = new Kept<Conversation>((ids) => byIds<Conversation>('/v1/conversations', ids));
  readonly contacts = new Kept<Contact>((ids) => byIds<Contact>('/v1/contacts', ids));
  #timelines = new Map<string, { timeline: Timeline; users: number }>();
  #lists = new Set<() => Iterable<string>>();
  #users = 0;

  constructor() {
    setInterval(() => this.#look(), 1000);
  }

  /** While a view is open what changed is read; returns what closes it. `shown` names the rows the view needs. */
  open(shown: () => Iterable<string>): () => void {
    this.#users += 1;
    this.#lists.add(shown);
    this.talks.reader.open();
    this.contacts.reader.open();
    return () => {
      this.#users -= 1;
      this.#lists.delete(shown);
      if (this.#users === 0) {
        this.talks.reader.close();
        this.contacts.reader.close();
      }
    };
  }

  /** These people's names are wanted; those that are known or being read already are not asked for again. */
  meet(ids: readonly string[]): void {
    const { shelf } = this.contacts.reader;
    const fresh = [...new Set(ids)].filter((id) => id && !shelf.rows.has(id) && !shelf.wanted.has(id) && !shelf.asked.has(id) && !shelf.gone.has(id));
    if (fresh.length) this.contacts.reader.hear(fresh.map((id) => [id, 0] as const));
  }

  /** The timeline of a conversation, shared by all who show it. */
  follow(conversation: string): { timeline: Timeline; leave: () => void } {
    let entry = this.#timelines.get(conversation);
    if (!entry) {
      entry = { timeline: new Timeline(conversation), users: 0 };
      this.#timelines.set(conversation, entry);
      entry.timeline.kept.reader.open();
      void entry.timeline.read();
    }
    const found = entry;
    found.users += 1;
    return {
      timeline: found.timeline,
      leave: () => {
        found.users -= 1;
        if (found.users > 0) return;
        found.timeline.kept.reader.close();
        found.timeline.kept.reader.reset();
        if (this.#timelines.get(conversation) === found) this.#timelines.delete(conversation);
      }
    };
  }

  /** Entries of the log, each once and in order. */
  hear(events: readonly LogEvent[]): void {
    const talks: [string, number][] = [];
    const people: [string, number][] = [];
    const arrived: string[] = [];
    const messages = new Map<string, [string, number][]>();
    for (const event of events) {
      const family = event.type.slice(0, event.type.indexOf('.'));
      if (family === 'message') {
        const message = event.data['message'] as Named | undefined;
        const talk = message?.conversation_id;
        if (!talk) continue;
        if (event.type === 'message.received') arrived.push(talk);
        if (this.#timelines.has(talk)) {
          const list = messages.get(talk) ?? [];
          list.push([message.id ?? event.resource, message.version ?? 0]);
          messages.set(talk, list);
        }
      } else if (family === 'conversation') {
        const talk = event.data['conversation'] as Named | undefined;
        const id = talk?.id ?? event.resource;
        if (this.#users > 0 || this.talks.rows.has(id)) talks.push([id, talk?.version ?? 0]);
      } else if (family === 'contact') {
        const contact = event.data['contact'] as Named | undefined;
        const id = contact?.id ?? event.resource;
        if (this.contacts.rows.has(id)) people.push([id, contact?.version ?? 0]);
        if (event.type !== 'contact.created' && event.type !== 'contact.updated') this.#doubt();
      }
    }
    if (talks.length) this.talks.reader.hear(talks);
    if (people.length) this.contacts.reader.hear(people);
    for (const [talk, names] of messages) this.#timelines.get(talk)?.timeline.kept.reader.hear(names);
    if (arrived.length) this.arrived = [...this.arrived, ...arrived].slice(-50);
    if (this.talks.reader.behind > MOST_WANTED) {
      this.talks.reader.thin(() => true); // names of rows that are not held: the lists bring those that belong
      this.round += 1;
    }
    if (this.talks.rows.size > MOST_ROWS) {
      const needed = new Set([...this.#lists].flatMap((shown) => [...shown()]));
      this.talks.reader.thin((row) => needed.has(row.id));
    }
  }

  /** Numbers of the log are lost: what is held is read again. */
  jumped(): void {
    this.#doubt();
    this.contacts.reader.doubt();
    for (const { timeline } of this.#timelines.values()) {
      timeline.kept.reader.doubt();
      void timeline.read();
    }
    this.round += 1;
  }

  /** Another tenant. */
  reset(): void {
    this.talks.reader.reset();
    this.contacts.reader.reset();
    for (const { timeline } of this.#timelines.values()) timeline.kept.reader.reset();
    this.#timelines.clear();
    this.arrived = [];
    this.round += 1;
  }

  retry(): void {
    for (const reader of this.#readers()) reader.retry();
  }

  #doubt(): void {
    this.talks.reader.doubt();
  }

  #readers(): Reader<never>[] {
    return [this.talks.reader, this.contacts.reader, ...[...this.#timelines.values()].map(({ timeline }) => timeline.kept.reader)] as unknown as Reader<never>[];
  }

  #look(): void {
    const now = Date.now();
    let behind = 0;
    if (this.#users > 0) for (const reader of this.#readers()) if (reader.lateSince && now - reader.lateSince > LATE_MS) behind += reader.behind;
    this.behind = behind;
  }
}

export const threads = new Threads();
