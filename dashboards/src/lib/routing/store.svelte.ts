/** The carriers and how each does today. */
import { everything } from '$lib/channels/store.svelte';
import { get } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Schemas } from '$lib/api/types';
import { session } from '$lib/session.svelte';

export type Carrier = Schemas['Carrier'];
export type Health = Schemas['CarrierHealth'];

class Carriers {
  list = $state.raw<readonly Carrier[]>([]);
  health = $state.raw<ReadonlyMap<string, Health>>(new Map());
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  readAt = $state(0);

  async read(): Promise<void> {
    if (!session.can('carriers:read')) return;
    try {
      this.list = await everything<Carrier>('/v1/carriers');
      this.loaded = true;
      this.problem = null;
      await this.readHealth();
    } catch (error) {
      this.problem = asProblem(error);
    }
  }
  /** A few at a time: a tenant has some dozens. */
  async readHealth(): Promise<void> {
    const ids = this.list.map((one) => one.id);
    const found = new Map<string, Health>();
    const work = async (): Promise<void> => {
      for (let id = ids.shift(); id; id = ids.shift()) {
        const answer = await get<Health>(`/v1/carriers/${id}/health`).catch(() => null);
        if (answer) found.set(id, answer);
      }
    };
    await Promise.all([work(), work(), work()]);
    this.health = found;
    this.readAt = Date.now();
  }
  put(carrier: Carrier): void {
    this.list = this.list.some((one) => one.id === carrier.id) ? this.list.map((one) => (one.id === carrier.id ? carrier : one)) : [carrier, ...this.list];
  }
  drop(id: string): void {
    this.list = this.list.filter((one) => one.id !== id);
  }
  name = (id: string): string => this.list.find((one) => one.id === id)?.name ?? (id || 'none');
}

export const carriers = new Carriers();
