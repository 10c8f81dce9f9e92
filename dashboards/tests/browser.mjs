// Starts the machine's Chromium or Firefox with an empty profile and hands out pages of a given size and theme.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { accessSync, constants } from 'node:fs';
import puppeteer from 'puppeteer-core';

/** A microphone that beeps, given without asking; sound without a press; loopback addresses for sound between two pages. */
const SOUND = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection'];
const SOUND_FIREFOX = { 'media.navigator.streams.fake': true, 'permissions.default.microphone': 1, 'media.peerconnection.ice.loopback': true, 'media.autoplay.default': 0 };
const NAMES = { chromium: ['chromium', 'chromium-browser', 'google-chrome'], firefox: ['firefox-esr', 'firefox'] };

/** The path of the browser, or null where the machine has none. */
export function find(browser) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES[browser]) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        continue;
      }
    }
  }
  return null;
}

export async function launch(browser) {
  const path = find(browser);
  if (!path) throw new Error(`${browser} is not installed`);
  const profile = mkdtempSync(join(tmpdir(), `irisx-${browser}-`));
  const chromium = browser === 'chromium';
  const running = await puppeteer.launch({
    browser: chromium ? 'chrome' : 'firefox',
    executablePath: path,
    headless: true,
    // Firefox gets its own temporary profile from puppeteer, with the preferences that automation needs.
    ...(chromium ? { userDataDir: profile } : {}),
    args: chromium
      ? ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars', ...SOUND]
      : [],
    extraPrefsFirefox: { ...SOUND_FIREFOX, 'datareporting.policy.dataSubmissionEnabled': false, 'app.update.enabled': false, 'browser.safebrowsing.downloads.enabled': false, 'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false, 'ui.prefersReducedMotion': 0 },
    protocolTimeout: 60_000
  });
  return {
    running,
    /** A page in a context of its own: no cookie of another journey. */
    async page({ width = 1440, height = 900, theme = 'light', reduced = false } = {}) {
      const context = await running.createBrowserContext();
      const page = await context.newPage();
      await page.setViewport({ width, height, deviceScaleFactor: 1 });
      page.problems = [];
      page.on('pageerror', (error) => page.problems.push(`page: ${error.message}`));
      page.on('console', (message) => {
        const text = message.text();
        // A refused request is the journey's own doing; a policy violation or a warning of the app is not.
        if (['error', 'warn'].includes(message.type()) && !/Failed to load resource|WebSocket|can.t establish a connection|ERR_|NetworkError/i.test(text)) page.problems.push(`console: ${text}`);
      });
      await page.evaluateOnNewDocument((wanted) => {
        try {
          if (!localStorage.getItem('irisx.theme')) localStorage.setItem('irisx.theme', wanted);
        } catch {
          return; // no storage on this kind of page
        }
      }, theme);
      if (reduced && chromium) await page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }]);
      page.leave = () => context.close();
      return page;
    },
    async close() {
      await running.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  };
}
