/** The pages there are: the rail, the bottom bar, the palette and the `g` keys all read this list. */
import Activity from '@lucide/svelte/icons/activity';
import FileClock from '@lucide/svelte/icons/file-clock';
import HeartPulse from '@lucide/svelte/icons/heart-pulse';
import KeyRound from '@lucide/svelte/icons/key-round';
import LayoutDashboard from '@lucide/svelte/icons/layout-dashboard';
import PhoneCall from '@lucide/svelte/icons/phone-call';
import Server from '@lucide/svelte/icons/server';
import UsersRound from '@lucide/svelte/icons/users-round';
import type { Component } from 'svelte';

export interface PageEntry {
  href: string;
  words: string;
  short: string;
  letter: string;
  icon: Component<{ size?: number }>;
  needs: string;
  keywords: string;
  /** In the bottom bar of a phone, where there is room for four. */
  bar?: boolean;
}

export const PAGES: readonly PageEntry[] = [
  { href: '/admin', words: 'Overview', short: 'Overview', letter: 'o', icon: LayoutDashboard, needs: 'calls:read', keywords: 'home start health', bar: true },
  { href: '/admin/calls', words: 'Live calls', short: 'Calls', letter: 'c', icon: PhoneCall, needs: 'calls:read', keywords: 'active channels now', bar: true },
  { href: '/admin/nodes', words: 'Switch nodes', short: 'Nodes', letter: 'n', icon: Server, needs: 'nodes:read', keywords: 'freeswitch servers drain', bar: true },
  { href: '/admin/cdrs', words: 'Call records', short: 'Records', letter: 'r', icon: FileClock, needs: 'cdrs:read', keywords: 'cdr history past finished', bar: true },
  { href: '/admin/conferences', words: 'Conferences', short: 'Rooms', letter: 'f', icon: UsersRound, needs: 'conferences:read', keywords: 'rooms members' },
  { href: '/admin/events', words: 'Event log', short: 'Events', letter: 'e', icon: Activity, needs: 'events:read', keywords: 'numbered log stream' },
  { href: '/admin/access', words: 'Access', short: 'Access', letter: 'a', icon: KeyRound, needs: 'users:read', keywords: 'users roles api keys sessions' },
  { href: '/status', words: 'Status', short: 'Status', letter: 's', icon: HeartPulse, needs: '', keywords: 'health components incidents' }
];

/** The page that `path` belongs to: the longest address that begins it. */
export function pageOf(path: string): PageEntry | undefined {
  return [...PAGES].sort((a, b) => b.href.length - a.href.length).find((page) => path === page.href || path.startsWith(`${page.href}/`));
}
