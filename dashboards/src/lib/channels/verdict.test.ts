import { describe, expect, it } from 'vitest';
import { newer, verdict, type Job } from './verdict';

const JOB: Job = {
  id: 'job_1', kind: 'plugin.check', subject: 'slack', state: 'done', done: 0, total: null, detail: '', result: null, error: null, cancel_asked: false, created_by: 'usr_1', request_id: '',
  created_at: '2026-11-02T10:00:00.000Z', started_at: null, ended_at: null
};
const checked = (...held: (boolean | null)[]): Job => ({ ...JOB, result: { checks: held.map((one, n) => ({ name: `promise ${n}`, held: one, why: '' })) } });

describe('a check in words', () => {
  it('counts what holds and what does not apply, and one broken promise is the headline', () => {
    expect(verdict(checked(true, true, null))).toMatchObject({ tone: 'good', word: '2 hold, 1 does not apply' });
    expect(verdict(checked(true))).toMatchObject({ tone: 'good', word: '1 holds' });
    expect(verdict(checked(true, false, null))).toMatchObject({ tone: 'bad', word: '1 of 3 promises does not hold' });
  });
  it('is never good without a result', () => {
    expect(verdict(checked()).tone).toBe('attention');
    expect(verdict({ ...JOB, state: 'failed', error: { code: 'check_failed', detail: 'it ended with 1' } })).toMatchObject({ tone: 'bad', why: 'it ended with 1' });
    expect(verdict({ ...JOB, state: 'cancelled' }).tone).toBe('plain');
  });
  it('does not go back when readings arrive in the wrong order', () => {
    const later = { ...JOB, id: 'job_2', state: 'queued' as const, created_at: '2026-11-02T10:05:00.000Z' };
    expect(newer(later, JOB)).toBe(later);
    expect(newer(JOB, later)).toBe(later);
    expect(newer(JOB, { ...JOB, state: 'running' })).toBe(JOB);
    expect(newer({ ...JOB, state: 'running' }, JOB)).toBe(JOB);
  });
});
