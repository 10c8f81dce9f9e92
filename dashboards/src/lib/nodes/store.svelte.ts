/** The switches, read again every few seconds while somebody looks. */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Schemas } from '$lib/api/types';
import { clock } from '$lib/clock.svelte';
import { session } from '$lib/session.svelte';

/** What a row shows of the controller's report; what it leaves out is 0. */
export interface NodeStatus {
  up: boolean;
  version: string;
  uptime_s: number;
  sessions: number;
  max_sessions: number;
  sessions_per_second: number;
  /** Percent. NaN before the first heartbeat. */
  idle_cpu: number;
  calls: number;
  lag_ms: number;
  /** Events that were lost, by the switch or by us; each loss led to a resync. */
  losses: number;
  reconnects: number;
  resyncs: number;
  surprises: number;
  /** The controller keeps facts on its disk because the database is away. */
  store_away: boolean;
}

export type NodeAnswer = Schemas['NodeInfo'];

export interface Node extends Omit<NodeAnswer, 'status'> {
  status: NodeStatus;
  /** The last status is so old that nobody watches the switch now. */
  old: boolean;
}

export function nodeOf(answer: NodeAnswer, now: number): Node {
  const said: Record<string, unknown> = answer.status;
  const num = (name: string, otherwise = 0): number => (typeof said[name] === 'number' ? (said[name] as number) : otherwise);
  const old = !answer.status_at || now - Date.parse(answer.status_at) > OLD_MS;
  return {
    ...answer,
    old,
    status: {
      up: said['up'] === true && !old,
      version: String(said['version'] ?? '').split(/[+~-]/)[0] ?? '',
      uptime_s: num('uptime_s'),
      sessions: num('sessions', num('calls')),
      max_sessions: num('max_sessions'),
      sessions_per_second: num('sessions_per_second'),
      idle_cpu: num('idle_cpu', Number.NaN),
      calls: num('calls'),
      lag_ms: num('event_lag_ms'),
      losses: num('gaps') + num('events_lost_by_switch') + num('events_dropped') + num('facts_lost'),
      reconnects: num('reconnects'),
      resyncs: num('resyncs'),
      surprises: num('surprises'),
      store_away: said['store_away'] === true
    }
  };
}

export interface NodeSample {
  at: number;
  sessions: number;
  cps: number;
  idle: number;
  lag: number;
}

const EVERY_MS = 3_000;
const SAMPLES = 200;
/** A status older than this is not the present one any more: the owner writes it every few seconds. */
export const OLD_MS = 12_000;

class Nodes {
  list = $state.raw<readonly Node[]>([]);
  /** Set with the first answer. */
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  readAt = $state(0);
  history = $state.raw<ReadonlyMap<string, readonly NodeSample[]>>(new Map());
  #watchers = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  up = $derived(this.list.filter((node) => node.status.up).length);

  name(idOrName: string): string {
    return this.list.find((node) => node.id === idOrName)?.name ?? idOrName;
  }

  async read(): Promise<void> {
    if (!session.can('nodes:read')) return;
    try {
      const page = await get<ListPage<NodeAnswer>>('/v1/nodes', { query: { limit: 200 } });
      this.list = page.data.map((node) => nodeOf(node, Date.now() + clock.skew)).sort((a, b) => a.name.localeCompare(b.name));
      this.problem = null;
      this.loaded = true;
      this.readAt = Date.now();
      this.#remember();
    } catch (error) {
      this.problem = asProblem(error);
    }
  }

  #remember(): void {
    const next = new Map<string, readonly NodeSample[]>();
    for (const { id, status } of this.list) {
      const sample = { at: this.readAt, sessions: status.sessions, cps: status.sessions_per_second, idle: status.idle_cpu, lag: status.lag_ms };
      next.set(id, [...(this.history.get(id) ?? []).slice(1 - SAMPLES), sample]);
    }
    this.history = next;
  }

  #loop = async (): Promise<void> => {
    await this.read();
    if (this.#watchers) this.#timer = setTimeout(this.#loop, document.hidden ? 30_000 : EVERY_MS);
  };

  /** Keeps the list fresh until the returned function is called. */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) void this.#loop();
    return () => {
      this.#watchers -= 1;
      if (this.#watchers === 0 && this.#timer) clearTimeout(this.#timer);
    };
  }
}

export const nodes = new Nodes();
