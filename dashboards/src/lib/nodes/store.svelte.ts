/** The switches, read again every few seconds while somebody looks. */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Schemas } from '$lib/api/types';
import { clock } from '$lib/clock.svelte';
import { session } from '$lib/session.svelte';

/** What a row shows, taken together from the controller's report, the switch's heartbeat and the link's counters. */
export interface NodeStatus {
  up: boolean;
  version: string;
  uptime_s: number;
  sessions: number;
  max_sessions: number;
  peak_sessions: number;
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

type Part = Record<string, unknown>;
const part = (value: unknown): Part => (typeof value === 'object' && value !== null ? (value as Part) : {});
const num = (value: unknown, otherwise = 0): number => (typeof value === 'number' ? value : otherwise);

export function nodeOf(answer: NodeAnswer, now: number): Node {
  const said: Part = answer.status;
  const beat = part(said['heartbeat']);
  const link = part(said['link']);
  const old = !answer.status_at || now - Date.parse(answer.status_at) > OLD_MS;
  return {
    ...answer,
    old,
    status: {
      up: said['up'] === true && !old,
      version: String(beat['version'] ?? '').split(/[+~-]/)[0] ?? '',
      uptime_s: num(beat['uptime_ms']) / 1000,
      sessions: num(beat['sessions'], num(said['calls'])),
      max_sessions: num(beat['max_sessions']),
      peak_sessions: num(beat['peak_sessions']),
      sessions_per_second: num(beat['sessions_per_second']),
      idle_cpu: num(beat['idle_cpu'], Number.NaN),
      calls: num(said['calls']),
      lag_ms: num(link['lag_ms']),
      losses: num(link['lost_by_switch']) + num(link['dropped']) + num(said['facts_lost']),
      reconnects: num(link['reconnects']),
      resyncs: num(said['resyncs']),
      surprises: num(said['surprises']),
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
