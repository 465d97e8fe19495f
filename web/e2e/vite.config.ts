// Builds the page that the end-to-end tests measure with; it is no part of what users are served.
import { defineConfig } from 'vite';
import { fileURLToPath } from 'node:url';

export default defineConfig({
  root: fileURLToPath(new URL('page', import.meta.url)),
  build: { target: 'es2022', outDir: '../../test-results/page', emptyOutDir: true },
});
