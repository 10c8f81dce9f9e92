import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

/**
 * SvelteKit hides its route announcer with a style attribute, which `style-src 'self'` refuses. A class of ours
 * hides it as well.
 */
const announcerWithoutStyle = {
  name: 'announcer-without-style',
  enforce: 'pre' as const,
  transform(code: string, id: string) {
    if (!id.endsWith('/generated/root.svelte')) return null;
    return code.replace(/style="position: absolute[^"]*"/, 'class="unseen"');
  }
};

export default defineConfig({
  plugins: [announcerWithoutStyle, sveltekit()],
  build: { target: 'es2022' },
  server: { host: '127.0.0.1', proxy: { '/v1': { target: process.env['IRISX_API'] ?? 'http://127.0.0.1:8080', ws: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 30_000 }
});
