/** Documents of one kind that a tenant writes once and uses often: all of them at hand, read again when asked. */
import { remove } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import { everything } from '$lib/channels/store.svelte';

export interface Kept {
  id: string;
  name: string;
  version: number;
}

export class Shelf<T extends Kept> {
  items = $state.raw<readonly T[]>([]);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);

  /** `order`: what comes first, where it is not the name. */
  constructor(
    readonly path: string,
    readonly order: (one: T) => number = () => 0
  ) {}
  #sorted = (all: readonly T[]): T[] => [...all].sort((a, b) => this.order(a) - this.order(b) || a.name.localeCompare(b.name));

  read = async (): Promise<void> => {
    try {
      this.items = this.#sorted(await everything<T>(this.path));
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      this.problem = asProblem(error);
    }
  };
  put(one: T): void {
    this.items = this.#sorted([...this.items.filter((other) => other.id !== one.id), one]);
  }
  /** Deletes it at the version that was looked at. Raises `Problem`: 409 while something names it, 412 when it has changed. */
  async drop(one: T): Promise<void> {
    await remove(`${this.path}/${one.id}`, { ifMatch: `"${one.version}"` });
    this.items = this.items.filter((other) => other.id !== one.id);
  }
}
