// Asks for the state every two seconds, and only while the page is seen. An answer that is known already is empty (304).

const EVERY = 2000;
const PATIENCE = 15000;

export class SignedOut extends Error {}

/** JSON from `path`, null where it is the one with this tag. Throws SignedOut, or Error with a sentence. */
export async function ask(path, tag = "", options = {}) {
  const headers = { ...options.headers, ...(tag ? { "If-None-Match": `"${tag}"` } : {}) };
  const answer = await fetch(path, {
    signal: AbortSignal.timeout(PATIENCE), ...options, headers,
  });
  if (answer.status === 304) return { value: null, tag, at: sentAt(answer) };
  if (answer.status === 401 || answer.status === 403) throw new SignedOut((await sentence(answer)) ?? "");
  if (!answer.ok) throw new Error((await sentence(answer)) ?? `the server answered ${answer.status}`);
  const sent = (answer.headers.get("ETag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  return { value: await answer.json(), tag: sent, at: sentAt(answer) };
}

async function sentence(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return null;
  }
}

const sentAt = (answer) => Date.parse(answer.headers.get("Date") ?? "") || Date.now();

/** Calls `seen(layout, state, changed)` after every answer, and `lost(error)` after every failure. */
export class Feed {
  #layout = null;
  #layoutTag = "";
  #state = null;
  #stateTag = "";
  #timer = 0;

  constructor(seen, lost) {
    this.seen = seen;
    this.lost = lost;
    this.skew = 0; // the server's clock ahead of ours, ms
  }

  start() {
    document.addEventListener("visibilitychange", () => this.#next(0));
    this.#next(0);
  }

  /** Seconds since the epoch by the server's clock. */
  now() {
    return (Date.now() + this.skew) / 1000;
  }

  #next(wait) {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.#look(), wait);
  }

  async #look() {
    try {
      const [layout, state] = await Promise.all([this.#layout ? null : ask("api/layout"), ask("api/state", this.#stateTag)]);
      if (layout) this.#take(layout);
      this.skew = state.at - Date.now();
      const changed = state.value !== null;
      if (changed) [this.#state, this.#stateTag] = [state.value, state.tag];
      if (this.#state.layout !== this.#layoutTag) this.#take(await ask("api/layout"));
      // Hosts came or went between the two answers: the next look has both.
      if (this.#state.layout === this.#layoutTag) this.seen(this.#layout, this.#state, changed);
      else this.#stateTag = "";
    } catch (error) {
      this.lost(error);
      if (error instanceof SignedOut) return;
    }
    this.#next(EVERY);
  }

  #take(layout) {
    [this.#layout, this.#layoutTag] = [layout.value, layout.tag];
  }
}
