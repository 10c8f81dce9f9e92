/** Timers that go on in a tab nobody looks at: browsers slow those of hidden pages to one a minute, but not a worker's. */
const jobs = new Map<number, ReturnType<typeof setTimeout>>();

onmessage = ({ data }: MessageEvent<{ id: number; ms?: number }>): void => {
  const { id, ms } = data;
  clearTimeout(jobs.get(id));
  jobs.delete(id);
  if (ms === undefined) return;
  jobs.set(id, setTimeout(() => {
    jobs.delete(id);
    postMessage(id);
  }, ms));
};
