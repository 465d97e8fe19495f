// Builds the viewing page, and says where the unit tests are.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  build: { target: 'es2022', sourcemap: true },
  test: { include: ['sdk/test/**/*.test.ts', 'test/**/*.test.ts'] },
});
