/** Whether sound can get out of this browser: which ways it finds, and whether two ends in it find each other. */
import type { IceServer } from '$lib/phone/client';

export interface NetworkCheck {
  /** Kinds of ways that were found, in words. */
  readonly words: string;
  /** Ms until two ends in this browser were connected; -1 when they were not within five seconds. */
  readonly connectMs: number;
}

const KINDS: Readonly<Record<string, string>> = { host: 'directly', srflx: 'through the router', prflx: 'through the router', relay: 'over a relay' };
const LIMIT_MS = 5_000;

export async function checkNetwork(ice: readonly IceServer[]): Promise<NetworkCheck> {
  const [one, two] = [new RTCPeerConnection({ iceServers: [...ice] }), new RTCPeerConnection({ iceServers: [...ice] })];
  const kinds = new Map<string, number>();
  const began = performance.now();
  try {
    one.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      kinds.set(candidate.type ?? '', (kinds.get(candidate.type ?? '') ?? 0) + 1);
      void two.addIceCandidate(candidate).catch(() => undefined);
    };
    two.onicecandidate = ({ candidate }) => {
      if (candidate) void one.addIceCandidate(candidate).catch(() => undefined);
    };
    one.createDataChannel('check');
    const connected = new Promise<number>((done) => {
      const timer = setTimeout(() => done(-1), LIMIT_MS);
      one.onconnectionstatechange = () => {
        if (one.connectionState !== 'connected') return;
        clearTimeout(timer);
        done(Math.round(performance.now() - began));
      };
    });
    await one.setLocalDescription(await one.createOffer());
    if (one.localDescription) await two.setRemoteDescription(one.localDescription);
    await two.setLocalDescription(await two.createAnswer());
    if (two.localDescription) await one.setRemoteDescription(two.localDescription);
    const connectMs = await connected;
    const found = [...kinds].map(([kind, n]) => `${n} ${KINDS[kind] ?? kind}`);
    return { words: found.length ? found.join(', ') : 'none: a firewall or a setting of the browser holds them back', connectMs };
  } catch {
    return { words: 'none', connectMs: -1 };
  } finally {
    one.close();
    two.close();
  }
}
