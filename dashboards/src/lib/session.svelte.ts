/** Who is signed in, what they may do, and in which tenant they look. */
import { forgetToken, get, keepToken, post, refresh, setTenant, signedIn, type ListPage } from './api/client';
import { Problem } from './api/problem';
import type { Schemas } from './api/types';
import { knowActor } from './words/events';
import { recall, remember } from './theme.svelte';

/** What `GET /v1/auth/session` says of the one who asks. */
export type Person = Schemas['Myself'];
export type Tenant = Pick<Schemas['Tenant'], 'id' | 'name'> & { state?: string };

const TENANT = 'irisx.tenant';

class Session {
  person = $state.raw<Person | null>(null);
  permissions = $state.raw<ReadonlySet<string>>(new Set());
  tenant = $state.raw<Tenant | null>(null);
  tenants = $state.raw<readonly Tenant[]>([]);
  /** Set when the session ended under somebody's hands: the page stays, a dialog asks to sign in again. */
  expired = $state(false);

  can(permission: string): boolean {
    return this.permissions.has('*') || this.permissions.has(permission);
  }

  async login(email: string, password: string): Promise<void> {
    const answer = await post<{ access_token: string; expires_in: number }>('/v1/auth/login', { email, password }, { open: true });
    keepToken(answer);
    await this.#load();
    this.expired = false;
  }

  /** By the cookie. False when nobody is signed in. */
  async restore(): Promise<boolean> {
    if (this.person && signedIn()) return true;
    if (!(await refresh())) return false;
    await this.#load();
    return true;
  }

  async #load(): Promise<void> {
    setTenant('');
    const person = await get<Person>('/v1/auth/session');
    this.permissions = new Set(person.permissions);
    const own: Tenant = { id: person.tenant_id, name: person.tenant_id };
    this.tenants = [own];
    this.tenant = own;
    this.person = person;
    knowActor(person.id, person.name || person.email);
    if (!this.can('tenants:read')) return;
    try {
      const page = await get<ListPage<Tenant>>('/v1/tenants', { query: { limit: 200 } });
      this.tenants = page.data.filter((tenant) => tenant.state !== 'deleted');
      this.tenant = this.tenants.find((tenant) => tenant.id === own.id) ?? own;
      const chosen = this.tenants.find((tenant) => tenant.id === recall(TENANT));
      if (chosen && person.operator) this.#look(chosen);
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // without the list there is just the own tenant
    }
  }

  #look(tenant: Tenant): void {
    this.tenant = tenant;
    setTenant(tenant.id === this.person?.tenant_id ? '' : tenant.id);
  }

  choose(tenant: Tenant): void {
    this.#look(tenant);
    remember(TENANT, tenant.id);
  }

  async logout(): Promise<void> {
    try {
      await post('/v1/auth/logout', {});
    } finally {
      forgetToken();
      this.person = null;
      this.permissions = new Set();
    }
  }
}

export const session = new Session();
