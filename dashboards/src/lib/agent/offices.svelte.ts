/**
 * Colleagues, queues and what waits in them, for directory, transfer and the list of work: read once, then kept fresh by
 * the log while a page shows them.
 */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { session } from '$lib/session.svelte';
import { live } from '$lib/live/store.svelte';
import { agentOf, type AgentView, type Raw } from '$lib/phone/protocol';
import { REASONS } from '$lib/phone/words';
import type { Weights } from './load';
import { me } from './me.svelte';

export interface QueueNow {
  readonly id: string;
  readonly name: string;
  readonly open: boolean;
  readonly waiting: number;
  readonly longest_s: number;
  readonly ready: number;
  readonly busy: number;
  /** Signed in, whatever they are at. */
  readonly there: number;
  /** Answered in time since midnight, of all that count; null where that is not to be seen. */
  readonly in_time: { part: number; whole: number } | null;
  readonly target_s: number;
}
export interface Outcome {
  readonly value: string;
  readonly words: string;
  readonly queues: readonly string[];
}

/** Changes come in bursts; the figures are read at most so often. */
const QUIET_MS = 1_500;
/** Queues whose figures are read one by one, where they cannot be read together. */
const MOST_LIVE = 30;

class Offices {
  agents = $state.raw<ReadonlyMap<string, AgentView>>(new Map());
  queues = $state.raw<readonly QueueNow[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  readAt = $state(0);
  reasons = $state.raw<readonly string[]>(REASONS.map((one) => one.value));
  weights = $state.raw<Weights>({});
  outcomes = $state.raw<readonly Outcome[]>([]);
  colleagues = $derived([...this.agents.values()].filter((one) => one.id !== me.agent?.id).sort((a, b) => Number(a.state === 'offline') - Number(b.state === 'offline') || a.name.localeCompare(b.name)));
  #timer: ReturnType<typeof setTimeout> | null = null;
  #reading = false;
  #set = false;

  async read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const [agents, queues] = await Promise.all([everyAgent(), everyQueue(), this.#settings()]);
      this.agents = new Map(agents.map((one) => [one.id, one]));
      this.queues = queues;
      this.loaded = true;
      this.problem = null;
      this.readAt = Date.now();
    } catch (error) {
      this.problem = asProblem(error);
    } finally {
      this.#reading = false;
    }
  }

  /** What the tenant set: reasons for pauses, weights of work, outcomes of talks. Without them ours hold. */
  async #settings(): Promise<void> {
    if (this.#set) return;
    const [found, outcomes] = await Promise.all([
      get<{ settings: { pause_reasons?: string[]; weights?: Weights } }>('/v1/queue-settings').catch(() => null),
      get<ListPage<Raw>>('/v1/dispositions', { query: { limit: 200 } }).catch(() => null)
    ]);
    if (found?.settings.pause_reasons?.length) this.reasons = found.settings.pause_reasons;
    if (found?.settings.weights) this.weights = found.settings.weights;
    if (outcomes) this.outcomes = outcomesOf(outcomes.data);
    this.#set = Boolean(found && outcomes);
  }

  /** While somebody looks, what the log says of agents and queues is read again; returns what ends it. */
  follow(): () => void {
    void this.read();
    let heardTo = live.state.seq;
    const stop = $effect.root(() => {
      $effect(() => {
        const { tail, seq } = live.state;
        const fresh = tail.some((event) => event.seq > heardTo && /^(agent|queue|reservation)\./.test(event.type));
        heardTo = Math.max(heardTo, seq);
        if (fresh) this.#soon();
      });
    });
    return stop;
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.read();
    }, QUIET_MS);
  }
  /** The colleague of this id or extension; empty when it is nobody's. */
  whoIs(to: string): string {
    if (!to) return '';
    return (this.agents.get(to) ?? [...this.agents.values()].find((one) => one.extension === to))?.name ?? '';
  }
}

async function everyAgent(): Promise<AgentView[]> {
  const found: AgentView[] = [];
  let cursor: string | null = null;
  do {
    const page: ListPage<Raw> = await get<ListPage<Raw>>('/v1/agents', { query: { limit: 200, cursor } });
    found.push(...page.data.map(agentOf));
    cursor = page.has_more ? page.next_cursor : null;
  } while (cursor && found.length < 2_000);
  return found;
}

/** All queues with what goes on in them; each by itself where the role does not see the numbers of all. */
async function everyQueue(): Promise<QueueNow[]> {
  if (!session.can('queues:read')) return [];
  const midnight = new Date().setHours(0, 0, 0, 0) * 1000;
  const numbers = session.can('analytics:read');
  const list = (await get<ListPage<Raw>>('/v1/queues', { query: { limit: 200 } })).data;
  const [now, day] = await Promise.all([
    numbers ? get<{ queues: Raw[] }>('/v1/analytics/live').then((got) => got.queues) : Promise.all(list.slice(0, MOST_LIVE).map((one) => get<Raw>(`/v1/queues/${text(one['id'])}/live`).catch(() => ({}) as Raw))),
    numbers ? get<{ rows: Raw[] }>('/v1/analytics/queues', { query: { from_us: midnight } }).then((got) => got.rows, () => null) : null
  ]);
  return list.map((one) => queueOf(one, now.find((live) => live['queue_id'] === one['id']), day?.filter((row) => row['queue_id'] === one['id']) ?? null));
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);

function queueOf(raw: Raw, live: Raw | undefined, day: readonly Raw[] | null): QueueNow {
  const agents = (live?.['agents'] ?? {}) as Record<string, number>;
  const shares = (day ?? []).map((row) => row['service_level'] as { part: number; whole: number });
  return {
    id: text(raw['id']), name: text(raw['name']), open: live?.['open'] !== false, waiting: number(live?.['waiting']), longest_s: number(live?.['longest_s']), ready: agents['ready'] ?? 0, busy: agents['busy'] ?? 0,
    there: Object.entries(agents).reduce((sum, [state, n]) => (state === 'offline' ? sum : sum + n), 0),
    // Shares are joined by adding, never by averaging.
    in_time: day ? shares.reduce((sum, one) => ({ part: sum.part + one.part, whole: sum.whole + one.whole }), { part: 0, whole: 0 }) : null,
    target_s: number((raw['settings'] as Raw | undefined)?.['target_s'])
  };
}

function outcomesOf(list: readonly Raw[]): Outcome[] {
  return list.filter((one) => one['active'] !== false).sort((a, b) => number(a['position']) - number(b['position'])).map((one) => ({ value: text(one['name']), words: text(one['name']), queues: (one['queue_ids'] ?? []) as string[] }));
}

export const offices = new Offices();
