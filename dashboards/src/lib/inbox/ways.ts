/** Accounts through which somebody who only called can be answered. Pure. */
import type { Account, ChannelKind } from '$lib/api/types';

/** Those that work, take telephone numbers, may write first, and need no approved template for it; by name. */
export function reaching(accounts: Iterable<Account>, kinds: ReadonlyMap<string, ChannelKind>): Account[] {
  const fit = (one: Account): boolean => {
    const kind = kinds.get(one.type);
    const can = kind?.capabilities as { starts?: boolean; window_s?: number; sends?: readonly string[] } | undefined;
    return one.state === 'active' && kind?.address === 'phone' && can?.starts !== false && !can?.window_s && (can?.sends ?? []).includes('text');
  };
  return [...accounts].filter(fit).sort((a, b) => a.name.localeCompare(b.name));
}
