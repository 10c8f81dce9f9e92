/** The pages there are: the rail, the bottom bar, the palette and the `g` keys all read this list. */
import Activity from '@lucide/svelte/icons/activity';
import BookText from '@lucide/svelte/icons/book-text';
import Disc from '@lucide/svelte/icons/disc-3';
import FileClock from '@lucide/svelte/icons/file-clock';
import Headset from '@lucide/svelte/icons/headset';
import HeartPulse from '@lucide/svelte/icons/heart-pulse';
import Inbox from '@lucide/svelte/icons/inbox';
import KeyRound from '@lucide/svelte/icons/key-round';
import LayoutDashboard from '@lucide/svelte/icons/layout-dashboard';
import MessagesSquare from '@lucide/svelte/icons/messages-square';
import PhoneCall from '@lucide/svelte/icons/phone-call';
import Plug from '@lucide/svelte/icons/plug';
import RouteIcon from '@lucide/svelte/icons/route';
import Server from '@lucide/svelte/icons/server';
import Truck from '@lucide/svelte/icons/truck';
import UsersRound from '@lucide/svelte/icons/users-round';
import Webhook from '@lucide/svelte/icons/webhook';
import Zap from '@lucide/svelte/icons/zap';
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
  /** Begins a new group in the rail. */
  apart?: boolean;
  /** For those who are agents. */
  agent?: boolean;
}

export const PAGES: readonly PageEntry[] = [
  { href: '/agent', words: 'Desk', short: 'Desk', letter: 'd', icon: Headset, needs: '', keywords: 'agent phone ready work call answer', bar: true, agent: true },
  { href: '/inbox', words: 'Inbox', short: 'Inbox', letter: 'i', icon: Inbox, needs: 'conversations:read', keywords: 'messages conversations answer write', bar: true },
  { href: '/admin', words: 'Overview', short: 'Overview', letter: 'o', apart: true, icon: LayoutDashboard, needs: 'calls:read', keywords: 'home start health', bar: true },
  { href: '/admin/calls', words: 'Live calls', short: 'Calls', letter: 'c', icon: PhoneCall, needs: 'calls:read', keywords: 'active channels now', bar: true },
  { href: '/admin/nodes', words: 'Switch nodes', short: 'Nodes', letter: 'n', icon: Server, needs: 'nodes:read', keywords: 'freeswitch servers drain', bar: true },
  { href: '/admin/cdrs', words: 'Call records', short: 'Records', letter: 'r', icon: FileClock, needs: 'cdrs:read', keywords: 'cdr history past finished' },
  { href: '/admin/recordings', words: 'Recordings', short: 'Tapes', letter: 'b', icon: Disc, needs: 'recordings:read', keywords: 'play listen hold erase policies missing consent' },
  { href: '/admin/conferences', words: 'Conferences', short: 'Rooms', letter: 'f', icon: UsersRound, needs: 'conferences:read', keywords: 'rooms members' },
  { href: '/admin/conversations', words: 'Conversations', short: 'Talks', letter: 'v', icon: MessagesSquare, needs: 'conversations:read', keywords: 'oversight search reassign bulk messages', apart: true },
  { href: '/admin/channels', words: 'Channels', short: 'Channels', letter: 'h', icon: Plug, needs: 'channels:read', keywords: 'plugins accounts connect sms mail whatsapp slack telegram' },
  { href: '/admin/carriers', words: 'Carriers', short: 'Carriers', letter: 't', icon: Truck, needs: 'carriers:read', keywords: 'trunks providers rates health spend' },
  { href: '/admin/routing', words: 'Routing', short: 'Routing', letter: 'u', icon: RouteIcon, needs: 'routing:read', keywords: 'simulate decisions least cost breakers' },
  { href: '/admin/content', words: 'Content', short: 'Content', letter: 'x', icon: BookText, needs: 'content:read', keywords: 'templates canned replies macros labels texts' },
  { href: '/admin/automation', words: 'Automation', short: 'Rules', letter: 'm', icon: Zap, needs: 'automation:read', keywords: 'rules service levels sla business hours schedules calendar' },
  { href: '/admin/events', words: 'Event log', short: 'Events', letter: 'e', apart: true, icon: Activity, needs: 'events:read', keywords: 'numbered log stream' },
  { href: '/admin/webhooks', words: 'Webhooks', short: 'Hooks', letter: 'w', icon: Webhook, needs: 'webhooks:read', keywords: 'endpoints deliveries redeliver replay signature' },
  { href: '/admin/access', words: 'Access', short: 'Access', letter: 'a', icon: KeyRound, needs: 'users:read', keywords: 'users roles api keys sessions' },
  { href: '/status', words: 'Status', short: 'Status', letter: 's', icon: HeartPulse, needs: '', keywords: 'health components incidents' }
];

/** The pages for somebody who is an agent, or is none. */
export const pagesFor = (agent: boolean): readonly PageEntry[] => PAGES.filter((page) => agent || !page.agent);

/** The page that `path` belongs to: the longest address that begins it. */
export function pageOf(path: string): PageEntry | undefined {
  return [...PAGES].sort((a, b) => b.href.length - a.href.length).find((page) => path === page.href || path.startsWith(`${page.href}/`));
}
