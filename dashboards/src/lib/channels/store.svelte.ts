/** The connected accounts and what their channels can do; read once, and again when the log says that one changed. */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Account, ChannelKind } from '$lib/api/types';
import { session } from '$lib/session.svelte';
import { family, type Family } from './words';

export interface Abilities {
  sends: readonly string[];
  max_text: number;
  max_files: number;
  max_file_bytes: number;
  max_total_bytes: number;
  window_s: number;
  segments: string;
  receipts: string;
  subject: boolean;
  starts: boolean;
}

const NOTHING_KNOWN: Abilities = {
  sends: ['text'], max_text: 0, max_files: 0, max_file_bytes: 0, max_total_bytes: 0, window_s: 0, segments: '', receipts: 'sent', subject: false, starts: true
};

class Channels {
  accounts = $state.raw<ReadonlyMap<string, Account>>(new Map());
  kinds = $state.raw<ReadonlyMap<string, ChannelKind>>(new Map());
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  #tenant = '';
  #reading: Promise<void> | null = null;

  /** Reads what is not known yet; `fresh` reads again in any case. */
  read(fresh = false): Promise<void> {
    const tenant = session.tenant?.id ?? '';
    if (!session.can('channels:read') || (this.loaded && !fresh && tenant === this.#tenant)) return Promise.resolve();
    this.#reading ??= this.#read(tenant).finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #read(tenant: string): Promise<void> {
    try {
      const [accounts, kinds] = await Promise.all([everything<Account>('/v1/channels'), everything<ChannelKind>('/v1/channel-types')]);
      this.accounts = new Map(accounts.map((one) => [one.id, one]));
      this.kinds = new Map(kinds.map((one) => [one.type, one]));
      this.#tenant = tenant;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  put(account: Account): void {
    this.accounts = new Map([...this.accounts, [account.id, account]]);
  }
  drop(id: string): void {
    this.accounts = new Map([...this.accounts].filter(([other]) => other !== id));
  }

  familyOf(channelId: string): Family {
    const account = this.accounts.get(channelId);
    if (!channelId) return family('voice');
    return account ? family(account.type, this.kinds.get(account.type)?.title) : family('');
  }
  /** What the account is called, with its address: `Support, +1 202 555 0100`. */
  nameOf(channelId: string): string {
    const account = this.accounts.get(channelId);
    return account ? account.name : '';
  }
  abilities(channelId: string): Abilities {
    const account = this.accounts.get(channelId);
    const kind = account ? this.kinds.get(account.type) : undefined;
    return { ...NOTHING_KNOWN, ...((kind?.capabilities ?? {}) as Partial<Abilities>) };
  }
}

/** All pages of a list that is short by its nature. */
export async function everything<T>(path: string): Promise<T[]> {
  const found: T[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: ListPage<T> = await get<ListPage<T>>(path, { query: { limit: 200, cursor } });
    found.push(...page.data);
    if (!page.has_more || found.length >= 2000) return found;
    cursor = page.next_cursor;
  }
}

export const channels = new Channels();
