import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';
import staticBuild from './scripts/adapter.js';

/** @type {import('@sveltejs/kit').Config} */
export default {
  preprocess: vitePreprocess(),
  compilerOptions: { runes: true },
  // Accessibility findings among them: a warning is an error here.
  onwarn(warning) {
    if (warning.filename?.includes('node_modules')) return;
    throw new Error(`${warning.code}: ${warning.message} (${warning.filename}:${warning.start?.line})`);
  },
  kit: {
    adapter: staticBuild({ pages: 'build', assets: 'build', fallback: 'index.html', strict: true }),
    paths: { relative: false },
    version: { pollInterval: 0 },
    alias: { $lib: 'src/lib' },
    typescript: {
      config: (config) => {
        config.compilerOptions = { ...config.compilerOptions, noUncheckedIndexedAccess: true };
        return config;
      }
    }
  }
};
