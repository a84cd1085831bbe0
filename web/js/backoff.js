/**
 * When to dial again: pure decisions.
 *
 * Exponential with full jitter, as in AWS's "Exponential Backoff And Jitter"; the first try after a
 * lost connection comes at once, spread over a fifth of a second.
 */

const FIRST_SPREAD_MS = 200;
const BASE_MS = 500;
const CAP_MS = 15_000;

/** Close codes after which dialling again cannot help. */
const FINAL = new Set([4400, 4401, 4403]);

/** @returns {boolean} whether a socket closed with `code` is worth dialling again */
export function mayRetry(code) {
  return !FINAL.has(code);
}

/**
 * @param {number} attempt failures in a row so far, 0 for the first
 * @param {number} random in [0, 1)
 * @param {number} retryAfterMs the server's wish, 0 when it has none
 * @returns {number} milliseconds to wait
 */
export function retryDelayMs(attempt, random, retryAfterMs = 0) {
  if (retryAfterMs > 0) return retryAfterMs * (1 + random / 2);
  if (attempt === 0) return random * FIRST_SPREAD_MS;
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** (attempt - 1));
  return ceiling / 4 + random * ceiling * 0.75;
}
