/**
 * Colleagues, queues and what waits in them, for directory, transfer and the list of work: read once, then kept fresh by
 * the log while a page shows them.
 */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { live } from '$lib/live/store.svelte';
import { agentOf, type AgentView, type Raw } from '$lib/phone/protocol';
import { REASONS } from '$lib/phone/words';
import { me } from './me.svelte';

export interface QueueNow {
  readonly id: string;
  readonly name: string;
  readonly waiting: number;
  readonly longest_wait_s: number;
  readonly ready: number;
  readonly busy: number;
  readonly there: number;
  /** Share answered within the target today, 0 to 1; -1 where nobody called. */
  readonly service_level: number;
  readonly target_s: number;
}

/** Changes come in bursts; the figures are read at most so often. */
const QUIET_MS = 1_500;

class Offices {
  agents = $state.raw<ReadonlyMap<string, AgentView>>(new Map());
  queues = $state.raw<readonly QueueNow[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  readAt = $state(0);
  reasons = $state.raw<readonly string[]>(REASONS.map((one) => one.value));
  colleagues = $derived([...this.agents.values()].filter((one) => one.id !== me.agent?.id).sort((a, b) => Number(a.state === 'offline') - Number(b.state === 'offline') || a.name.localeCompare(b.name)));
  #timer: ReturnType<typeof setTimeout> | null = null;
  #reading = false;

  async read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const [agents, now] = await Promise.all([everyAgent(), get<Raw>('/v1/analytics/live').catch(() => null)]);
      this.agents = new Map(agents.map((one) => [one.id, one]));
      this.queues = queuesOf(now, this.agents);
      this.loaded = true;
      this.problem = null;
      this.readAt = Date.now();
    } catch (error) {
      this.problem = asProblem(error);
    } finally {
      this.#reading = false;
    }
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
  name(id: string): string {
    return this.agents.get(id)?.name ?? '';
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

function queuesOf(now: Raw | null, agents: ReadonlyMap<string, AgentView>): QueueNow[] {
  const list = (now?.['queues'] ?? []) as Raw[];
  const n = (value: unknown, otherwise = 0): number => (typeof value === 'number' ? value : otherwise);
  return list.map((raw) => {
    const id = String(raw['queue_id'] ?? raw['id'] ?? '');
    const mine = [...agents.values()].filter((one) => one.queues.includes(id) && one.state !== 'offline');
    return {
      id, name: String(raw['name'] ?? raw['queue_name'] ?? id), waiting: n(raw['waiting']), longest_wait_s: n(raw['longest_wait_s']), ready: mine.filter((one) => one.state === 'ready' && !one.activity).length,
      busy: mine.filter((one) => one.activity === 'busy').length, there: mine.length, service_level: n(raw['service_level'], -1), target_s: n(raw['target_s'])
    };
  });
}

export const offices = new Offices();
