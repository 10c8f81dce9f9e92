/** The switches, read again every few seconds while somebody looks, at once when the log speaks of one. */
import { get, type ListPage } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { live } from '$lib/live/store.svelte';
import { session } from '$lib/session.svelte';

export interface NodeStatus {
  up: boolean;
  core_uuid: string;
  version: string;
  uptime_s: number;
  sessions: number;
  max_sessions: number;
  sessions_per_second: number;
  idle_cpu: number;
  calls: number;
  event_lag_ms: number;
  gaps: number;
  reconnects: number;
  resyncs: number;
  surprises: number;
}

export interface Node {
  id: string;
  name: string;
  host: string;
  port: number;
  state: string;
  owner: string;
  fence: number;
  default_tenant: string;
  dial_template: string;
  status: NodeStatus;
  status_at: string | null;
  created_at: string;
}

export interface NodeSample {
  at: number;
  sessions: number;
  cps: number;
  idle: number;
  lag: number;
}

const NO_STATUS: NodeStatus = { up: false, core_uuid: '', version: '', uptime_s: 0, sessions: 0, max_sessions: 0, sessions_per_second: 0, idle_cpu: 0, calls: 0, event_lag_ms: 0, gaps: 0, reconnects: 0, resyncs: 0, surprises: 0 };
const EVERY_MS = 3_000;
const SAMPLES = 200;
/** A status older than this is not the present one any more: the owner writes it every few seconds. */
export const OLD_MS = 30_000;

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
      const page = await get<ListPage<Node>>('/v1/nodes', { query: { limit: 200 } });
      this.list = page.data.map((node) => ({ ...node, status: { ...NO_STATUS, ...node.status } })).sort((a, b) => a.name.localeCompare(b.name));
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
      const sample = { at: this.readAt, sessions: status.sessions, cps: status.sessions_per_second, idle: status.idle_cpu, lag: status.event_lag_ms };
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

/** Reads the switches at once when the log tells of a change to one. Call while a component is set up. */
export function followNodeEvents(): void {
  let seen = -1;
  $effect(() => {
    const last = live.changes.findLast((event) => event.type.startsWith('node.'));
    if (last && last.seq > seen) {
      if (seen >= 0) void nodes.read();
      seen = last.seq;
    } else if (seen < 0) seen = 0;
  });
}
