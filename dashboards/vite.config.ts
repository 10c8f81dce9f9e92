import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

/**
 * SvelteKit's route announcer and bits-ui's command items come with style attributes, which `style-src 'self'`
 * refuses. Classes of ours do the same.
 */
const noStyleAttributes = {
  name: 'no-style-attributes',
  enforce: 'pre' as const,
  transform(code: string, id: string) {
    if (id.endsWith('/generated/root.svelte')) return { code: code.replace(/style="position: absolute[^"]*"/, 'class="unseen"'), map: null };
    if (/bits-ui\/dist\/bits\/command\/.*\.svelte$/.test(id)) return { code: code.replaceAll('style="display: contents;"', 'class="contents"'), map: null };
    return null;
  }
};

export default defineConfig({
  plugins: [noStyleAttributes, sveltekit()],
  build: { target: 'es2022' },
  server: { host: '127.0.0.1', proxy: { '/v1': { target: process.env['IRISX_API'] ?? 'http://127.0.0.1:8080', ws: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 30_000 }
});
