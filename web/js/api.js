/** The HTTP side: conversations, their older messages, and what the server says of itself. */

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Api {
  #key;

  /** @param {() => string | null} key the credential at the time of the call */
  constructor(key) {
    this.#key = key;
  }

  /** @returns {Promise<{data: object[], next: string | null}>} newest first */
  conversations({ limit = 40, page = null } = {}) {
    return this.#call('GET', `/v1/conversations?${query({ limit, page })}`);
  }

  conversation(id) {
    return this.#call('GET', `/v1/conversations/${encodeURIComponent(id)}`);
  }

  rename(id, title) {
    return this.#call('PATCH', `/v1/conversations/${encodeURIComponent(id)}`, { title });
  }

  remove(id) {
    return this.#call('DELETE', `/v1/conversations/${encodeURIComponent(id)}`);
  }

  /** @returns {Promise<{data: object[], has_more: boolean}>} oldest first */
  messages(id, { limit = 50, before = null } = {}) {
    return this.#call('GET', `/v1/conversations/${encodeURIComponent(id)}/messages?${query({ limit, before })}`);
  }

  /** Readiness is also told with a failing status: the body counts. */
  async readiness() {
    const response = await fetch('/readyz', { cache: 'no-store' });
    return response.json();
  }

  async settings() {
    const response = await fetch('/console/config.json', { cache: 'no-store' });
    return response.ok ? response.json() : {};
  }

  async #call(method, path, body) {
    const headers = { Authorization: `Bearer ${this.#key()}` };
    if (body) headers['Content-Type'] = 'application/json';
    const response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: 'no-store',
    });
    const text = await response.text();
    const parsed = text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : null;
    if (response.ok) return parsed;
    const error = parsed?.error ?? {};
    throw new ApiError(
      response.status,
      error.code ?? 'internal',
      error.message ?? `The server answered ${response.status}.`,
    );
  }
}

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null);
  return new URLSearchParams(given).toString();
}
