import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mayRetry, retryDelayMs } from '../js/backoff.js';

test('the first retry comes at once with a spread, later ones grow up to a bound', () => {
  assert.ok(retryDelayMs(0, 0.99) < 200);
  assert.ok(retryDelayMs(3, 0.5) > retryDelayMs(1, 0.5));
  assert.ok(retryDelayMs(50, 0.999) <= 15_000);
});

test("the server's wish is never undercut", () => {
  assert.ok(retryDelayMs(0, 0, 4_000) >= 4_000);
});

test('what a client did wrong is not retried', () => {
  assert.deepEqual([4400, 4401, 4403, 1006, 1012, 1013, 4413].map(mayRetry), [
    false,
    false,
    false,
    true,
    true,
    true,
    true,
  ]);
});
