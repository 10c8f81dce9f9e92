/** Small facts about a call, for views. */
import type { CallView } from '$lib/phone/protocol';
import type { VoiceView } from '$lib/phone/voices';

/** Whether they cannot hear us: the switch says so, or our own microphone is cut here. */
export const mutedIn = (call: CallView, voices: Readonly<Record<string, VoiceView>>): boolean => voices[call.leg]?.muted ?? call.muted;

/** Who hears whom now, in one sentence. */
export function hearing(call: CallView, muted: boolean, asked = ''): string {
  const them = call.other_name || 'They';
  switch (call.state) {
    case 'ringing': return 'It rings at the other side.';
    case 'connecting': return 'The sound is being connected.';
    case 'held': if (call.transfer) return `${them} ${call.other_name ? 'waits' : 'wait'} and ${call.other_name ? 'hears' : 'hear'} music, while ${asked || 'your colleague'} is rung.`;
      return `${them} ${call.other_name ? 'waits' : 'wait'} and ${call.other_name ? 'hears' : 'hear'} music. Nobody hears you.`;
    case 'consulting': return `${them} ${call.other_name ? 'waits' : 'wait'} and ${call.other_name ? 'hears' : 'hear'} music, while you talk with ${asked || 'your colleague'}.`;
    default: return muted ? `You are muted: you hear ${call.other_name || 'them'}, nobody hears you.` : 'You hear each other.';
  }
}
