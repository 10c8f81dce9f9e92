/** Families of channels as people call them, each with its picture. A channel that a plugin brought has a name, too. */
import AtSign from '@lucide/svelte/icons/at-sign';
import Gamepad2 from '@lucide/svelte/icons/gamepad-2';
import Hash from '@lucide/svelte/icons/hash';
import Mail from '@lucide/svelte/icons/mail';
import MessageCircle from '@lucide/svelte/icons/message-circle';
import MessageSquareText from '@lucide/svelte/icons/message-square-text';
import Phone from '@lucide/svelte/icons/phone';
import Plug from '@lucide/svelte/icons/plug';
import Send from '@lucide/svelte/icons/send';
import type { Component } from 'svelte';
import type { Account } from '$lib/api/types';
import type { State } from '$lib/words/states';

export interface Family {
  word: string;
  icon: Component<{ size?: number }>;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  sms: { word: 'SMS', icon: MessageSquareText },
  email: { word: 'Mail', icon: Mail },
  whatsapp: { word: 'WhatsApp', icon: MessageCircle },
  discord: { word: 'Discord', icon: Gamepad2 },
  slack: { word: 'Slack', icon: Hash },
  teams: { word: 'Teams', icon: AtSign },
  telegram: { word: 'Telegram', icon: Send },
  voice: { word: 'Call', icon: Phone }
};

/** `sms.twilio` is of the family `sms`. */
export function family(type: string, title = ''): Family {
  const name = type.split('.')[0] ?? '';
  return FAMILIES[name] ?? { word: title || (name ? name.charAt(0).toUpperCase() + name.slice(1) : 'Channel'), icon: Plug };
}

export function accountState(account: Pick<Account, 'state' | 'reason'>): State {
  if (account.state === 'active') return { word: 'Connected', tone: 'good', help: 'Takes and sends messages' };
  if (account.state === 'disabled') return { word: 'Switched off', tone: 'plain', help: 'Sends and takes nothing until it is switched on' };
  return { word: 'Set up wrongly', tone: 'bad', help: account.reason || 'The provider refuses these settings' };
}
