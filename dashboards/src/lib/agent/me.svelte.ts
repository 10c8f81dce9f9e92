/** Whether the one who is signed in is an agent, and whether this tab is at the desk. */
import { get, type ListPage } from '$lib/api/client';
import { asProblem } from '$lib/api/problem';
import { session } from '$lib/session.svelte';

const DESK = 'irisx.desk';

function kept(): boolean {
  try {
    return sessionStorage.getItem(DESK) === 'yes';
  } catch {
    return false; // blocked: a reload leaves the desk
  }
}
function keep(value: 'yes' | null): void {
  try {
    if (value) sessionStorage.setItem(DESK, value);
    else sessionStorage.removeItem(DESK);
  } catch {
    return;
  }
}

class Me {
  /** This tab is at the desk: since it came to one of its pages, until the desk is left; reloads keep it. */
  desk = $state(kept());
  /** What ends the phone; set by who started it. */
  leaving: () => void = () => undefined;
  agent = $state.raw<{ id: string } | null>(null);
  /** Null until it is known. */
  isAgent = $state<boolean | null>(null);
  failed = $state(false);
  #whose = '';

  come(): void {
    this.desk = true;
    keep('yes');
  }
  go(): void {
    this.desk = false;
    keep(null);
    this.leaving();
  }
  /** Somebody else may sign in here. */
  forget(): void {
    this.go();
    this.#whose = '';
    this.agent = this.isAgent = null;
  }

  async read(again = false): Promise<void> {
    const whose = session.person?.id ?? '';
    if (!whose || (whose === this.#whose && !again)) return;
    this.#whose = whose;
    try {
      // (their own tenant's: nobody is an agent of one that they only look into)
      const own = session.can('agents:work') && session.can('agents:read') && (!session.tenant || session.tenant.id === session.person?.tenant_id);
      const found = own ? (await get<ListPage<{ id: string }>>('/v1/agents', { query: { 'user_id[eq]': whose, limit: 1 } })).data[0] : undefined;
      this.agent = found ?? null;
      this.isAgent = found !== undefined;
      this.failed = false;
    } catch (error) {
      const problem = asProblem(error);
      this.isAgent = problem.status === 404 || problem.status === 403 || problem.status === 409 ? false : this.isAgent;
      this.failed = this.isAgent === null;
      if (this.failed) this.#whose = ''; // asked again with the next page
    }
  }
}

export const me = new Me();
