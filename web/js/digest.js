/** SHA-256 of a text's UTF-8 bytes, as `run.completed` carries it. */

/** @returns {Promise<string | null>} lower-case hex; null where the browser has no Web Crypto (plain http) */
export async function sha256Hex(text) {
  if (!globalThis.crypto?.subtle) return null;
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
