/**
 * Whatever the log, the readings and the lists do to each other, a list of conversations ends up equal to the store's.
 *
 * The store here answers late, answers from an older state, refuses, and loses stretches of its log; time is virtual.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Time } from './by-hand';
import { listed, reachAfter, standing, type Kind, type Reach } from './listed';
import { Reader } from './reader';
import { emptyShelf, heard, taken, type Row } from './shelf';

interface Talk extends Row {
  readonly at: number;
  readonly mine: boolean;
}

const MINE: Kind<Talk> = { place: (talk) => talk.at, matches: (talk) => talk.mine };

class Store {
  talks = new Map<string, Talk>();
  /** The store a moment ago, as a reading that was slow finds it. */
  before = new Map<string, Talk>();
  made = 0;
  moment = 0;
  change(pick: number): [string, number] {
    this.before = new Map(this.talks);
    const all = [...this.talks.values()];
    this.moment += 1;
    const act = pick % 5;
    if (act === 0 || all.length === 0) {
      const id = `conv_${String(++this.made).padStart(4, '0')}`;
      this.talks.set(id, { id, version: 1, at: this.moment, mine: pick % 2 === 0 });
      return [id, pick % 3 ? 1 : 0];
    }
    const old = all[pick % all.length] as Talk;
    if (act === 4) {
      this.talks.delete(old.id);
      return [old.id, 0];
    }
    const talk = { ...old, version: old.version + 1, mine: act === 1 ? !old.mine : old.mine, at: act === 2 ? this.moment : old.at };
    this.talks.set(talk.id, talk);
    return [talk.id, talk.version];
  }
}

type Step = { do: 'change' | 'jump' | 'refuse' | 'late' | 'slow' | 'list'; n: number };
const steps = fc.array(
  fc.record({ do: fc.constantFrom<Step['do']>('change', 'change', 'change', 'change', 'jump', 'refuse', 'late', 'slow', 'list'), n: fc.nat(1000) }),
  { minLength: 1, maxLength: 60 }
);

describe('a live list of conversations', () => {
  it('equals the store after any history of changes, lost numbers, refused, slow and outdated readings', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const time = new Time();
        const store = new Store();
        let refuse = 0;
        let outdated = 0;
        let slow = 0;
        let reach: Reach;
        let round = 0;
        const answer = <V>(make: () => V): Promise<V> => {
          if (refuse > 0) {
            refuse -= 1;
            return Promise.reject(new Error('refused'));
          }
          const got = make();
          if (slow <= 0) return Promise.resolve(got);
          slow -= 1;
          return new Promise((done) => time.after(700, () => done(got)));
        };
        const reader = new Reader<Talk>({
          read: (ids) =>
            answer(() => {
              const late = outdated-- > 0;
              // (what the log names without a version, or not at all, is read after it was heard of, from the store that wrote it)
              const from = (id: string): Talk | undefined => (late && (reader.shelf.asked.get(id) ?? 0) > 0 ? store.before.get(id) : undefined) ?? store.talks.get(id);
              return ids.flatMap((id) => (store.talks.has(id) ? (from(id) ?? []) : []));
            }),
          now: () => time.now, random: () => 0.5, after: time.after, publish: () => undefined
        });
        const list = async (): Promise<void> => {
          const mine = ++round;
          for (;;) {
            try {
              const page = await answer(() => listed(store.talks, MINE, null).slice(0, 4));
              if (mine !== round) return;
              reader.take(page);
              reach = reachAfter(page.at(-1), page.length === 4, MINE.place);
              return;
            } catch {
              await new Promise<void>((done) => time.after(300, done));
              if (mine !== round) return;
            }
          }
        };
        reader.open();
        void list();
        for (const step of history) {
          if (step.do === 'change') reader.hear([store.change(step.n)]);
          else if (step.do === 'jump') {
            for (let n = 0; n < 3; n++) store.change(step.n + n);
            reader.doubt();
            void list();
          } else if (step.do === 'refuse') refuse = 1 + (step.n % 3);
          else if (step.do === 'late') outdated = 1 + (step.n % 2);
          else if (step.do === 'slow') slow = 1;
          else void list();
          await time.run(step.n % 40);
        }
        refuse = outdated = 0;
        await time.run(60_000);
        const shown = listed(reader.shelf.rows, MINE, reach);
        const edge = reach ?? null;
        const truth = listed(store.talks, MINE, edge);
        expect(shown).toEqual(truth);
        expect(reader.behind).toBe(0);
        expect(reader.lateSince).toBe(0);
      }),
      { numRuns: 250 }
    );
  });

  it('reads nothing while nobody looks, and what changed meanwhile as soon as somebody does', async () => {
    const time = new Time();
    const asked: string[][] = [];
    const reader = new Reader<Talk>({
      read: (ids) => {
        asked.push([...ids]);
        return Promise.resolve(ids.map((id) => ({ id, version: 2, at: 1, mine: true })));
      },
      now: () => time.now, random: () => 0.5, after: time.after, publish: () => undefined
    });
    reader.hear([['a', 2], ['b', 0]]);
    await time.run(60_000);
    expect(asked).toEqual([]);
    expect(reader.lateSince).toBeGreaterThan(0);
    reader.open();
    await time.run(1);
    expect(asked).toEqual([['a', 'b']]);
    expect(reader.behind).toBe(0);
  });

  it('does not read again what an answer to an action has brought already', () => {
    const shelf = taken(emptyShelf<Talk>(), [{ id: 'a', version: 7, at: 1, mine: true }]);
    expect(heard(shelf, [['a', 7]])).toBe(shelf);
    expect(heard(shelf, [['a', 8]]).wanted.get('a')).toBe(8);
  });
});

describe('a list under a hand', () => {
  const row = (id: string, at: number, version = 1): Talk => ({ id, at, version, mine: true });
  const map = (...rows: Talk[]): Map<string, Talk> => new Map(rows.map((one) => [one.id, one]));

  it('keeps every row where it is, changes values in place and counts what waits', () => {
    const before = { rows: [row('c', 3), row('b', 2), row('a', 1)], waiting: 0 };
    const now = [row('d', 5), row('a', 4, 2), row('c', 3)];
    const after = standing(before, now, map(row('a', 4, 2), row('b', 2, 2), row('c', 3), row('d', 5)), true);
    expect(after.rows.map(({ id, version }) => `${id}${version}`)).toEqual(['c1', 'b2', 'a2']);
    expect(after.waiting).toBe(1);
    expect(standing(after, now, new Map(), false)).toEqual({ rows: now, waiting: 0 });
  });

  it('lets older rows come in below while one scrolls', () => {
    const before = { rows: [row('c', 3), row('b', 2)], waiting: 0 };
    const after = standing(before, [row('c', 3), row('b', 2), row('a', 1)], new Map(), true);
    expect(after.rows.map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    expect(after.waiting).toBe(0);
  });
});
