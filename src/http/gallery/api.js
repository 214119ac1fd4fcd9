// The server as the gallery sees it: requests and their problems, the API key, images, and the
// watch that follows photos until they are ready.

const KEY_NAME = "lucida.api-key";
const BUSY_TRIES = 4;
/// Photos in one page of a list.
const PAGE = 100;
/// Photos followed one by one; above it, whole lists of pending photos are cheaper.
const FOLLOW_EACH = 6;

let currentKey = readKey();
let declined = false;
let asking = null;
let askForKey = async () => false;

/// An answer that is not a success: the server's own sentence, and what a caller may decide by.
export class Problem extends Error {
  constructor(status, body, retryAfterMs = null) {
    super(body?.detail || body?.title || `the server answered ${status}`);
    this.status = status;
    this.code = body?.code ?? null;
    this.requestId = body?.request_id ?? null;
    this.retryAfterMs = retryAfterMs;
  }

  /// Whether the same request may succeed a little later.
  get busy() {
    return this.status === 429 || this.status === 503;
  }
}

export const apiKey = () => currentKey;

export function setApiKey(key) {
  currentKey = key;
  declined = false;
  try {
    if (key) localStorage.setItem(KEY_NAME, key);
    else localStorage.removeItem(KEY_NAME);
  } catch {
    // Storage is switched off: the key lives as long as the page.
  }
}

/// Sets the function that asks the user for a key. It is given whether one was refused, and
/// returns whether there is a new one.
export function onUnauthorized(ask) {
  askForKey = ask;
}

/// The address of an API path, relative to the page, so that a path prefix of a proxy is kept.
export function address(path, query = {}) {
  const url = new URL(path, new URL("./", document.baseURI));
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url.href;
}

export const contentPath = (id) => `v1/photos/${encodeURIComponent(id)}/content`;
export const thumbnailPath = (id, size) => `v1/photos/${encodeURIComponent(id)}/thumbnail?size=${size}`;

export const listPhotos = (filter, cursor, signal) =>
  json("GET", "v1/photos", { query: { limit: PAGE, cursor, ...filter }, signal });
export const getPhoto = (id, signal) => json("GET", `v1/photos/${encodeURIComponent(id)}`, { signal });
export const retryPhoto = (id) => json("POST", `v1/photos/${encodeURIComponent(id)}/retry`);
export const deletePhoto = (id) => request("DELETE", `v1/photos/${encodeURIComponent(id)}`);
export const getStats = (signal) => json("GET", "v1/stats", { signal });
export const searchPhotos = (query, signal) => json("POST", "v1/search", { json: query, signal });

export function searchByFile(file, { limit, filter }, signal) {
  const form = new FormData();
  form.set("limit", String(limit));
  if (filter) form.set("filter", JSON.stringify(filter));
  form.set("file", file, file.name || "photo");
  return json("POST", "v1/search", { form, signal });
}

export async function fetchOriginal(id, signal) {
  return (await request("GET", contentPath(id), { signal })).blob();
}

/// Sends one photo; `onProgress` hears the share that has been sent. One try: the caller decides
/// when to try again, as it shows the wait.
export async function uploadPhoto(file, { onProgress, signal }) {
  for (;;) {
    const usedKey = currentKey;
    try {
      return await send(file, usedKey, onProgress, signal);
    } catch (problem) {
      if (problem.status !== 401 || !(await renewKey(usedKey))) throw problem;
    }
  }
}

function send(file, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const abort = () => xhr.abort();
    xhr.open("POST", address("v1/photos"));
    if (key) xhr.setRequestHeader("x-api-key", key);
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    xhr.onerror = () => reject(new Problem(0, { detail: "the connection broke while sending" }));
    xhr.onload = () => {
      const body = parsed(xhr.responseText);
      if (xhr.status >= 200 && xhr.status < 300 && body) resolve({ known: xhr.status === 200, photo: body });
      else reject(new Problem(xhr.status, body, retryAfter(xhr.getResponseHeader("retry-after"))));
    };
    xhr.onloadend = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) return reject(new DOMException("cancelled", "AbortError"));
    signal?.addEventListener("abort", abort);
    const form = new FormData();
    form.set("file", file, file.name || "photo");
    xhr.send(form);
  });
}

async function json(method, path, options) {
  const response = await request(method, path, options);
  const body = parsed(await response.text());
  if (body === null) throw new Problem(response.status, { detail: "the server's answer is not JSON" });
  return body;
}

/// One request; waits and tries again while the server says that it is busy, and asks for a key
/// when it wants one.
async function request(method, path, { query, json: data, form, signal } = {}) {
  for (let tries = 1; ; tries += 1) {
    const usedKey = currentKey;
    const headers = {};
    if (usedKey) headers["x-api-key"] = usedKey;
    if (data) headers["content-type"] = "application/json";
    let response;
    try {
      response = await fetch(address(path, query), {
        method, headers, signal, body: data ? JSON.stringify(data) : form,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { detail: "the server can't be reached: is it running?" });
    }
    if (response.ok) return response;
    const problem = new Problem(
      response.status, parsed(await response.text()), retryAfter(response.headers.get("retry-after")));
    if (problem.status === 401 && (await renewKey(usedKey))) continue;
    if (!problem.busy || tries === BUSY_TRIES) throw problem;
    await pause(problem.retryAfterMs ?? 500 * 2 ** tries, signal);
  }
}

/// Whether it is worth trying again with another key than `usedKey`. All who wait share one dialog.
async function renewKey(usedKey) {
  if (usedKey !== currentKey) return true;
  if (declined) return false;
  asking ??= askForKey(Boolean(usedKey)).finally(() => { asking = null; });
  const renewed = await asking;
  if (!renewed) declined = true;
  return renewed;
}

export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done() {
      signal?.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    }
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/// Milliseconds from a `Retry-After` header, which holds seconds or a date.
function retryAfter(header) {
  if (!header) return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 250), 120_000) : null;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function readKey() {
  try {
    return localStorage.getItem(KEY_NAME);
  } catch {
    return null;
  }
}

/// Shows the first of `sources` (API paths, or files of this device) that is a picture, and returns
/// it. With a key the bytes are fetched, since an `<img>` can't send one.
export async function showImage(img, sources, signal) {
  for (const source of sources) {
    let url = null;
    try {
      if (source instanceof Blob) url = URL.createObjectURL(source);
      else if (currentKey) url = URL.createObjectURL(await (await request("GET", source, { signal })).blob());
      await loaded(img, url ?? address(source), signal);
      return source;
    } catch (error) {
      if (signal?.aborted) throw error;
    } finally {
      if (url) URL.revokeObjectURL(url);
    }
  }
  throw new Problem(404, { detail: "there is no picture that this browser can show" });
}

function loaded(img, url, signal) {
  return new Promise((resolve, reject) => {
    const settle = (how, value) => {
      img.onload = img.onerror = null;
      signal?.removeEventListener("abort", stop);
      how(value);
    };
    const stop = () => {
      img.removeAttribute("src");
      settle(reject, new DOMException("cancelled", "AbortError"));
    };
    if (signal?.aborted) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    img.onload = () => settle(resolve);
    img.onerror = () => settle(reject, new Error("not a picture"));
    img.src = url;
  });
}

/// Follows photos until they leave `pending`; `onChange` hears each photo whose version is news,
/// or its id and null when it is gone.
export class Watch {
  #pending = new Map();
  #timer = null;
  #delayMs = 0;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#soon(); });
  }

  get size() {
    return this.#pending.size;
  }

  add(photo) {
    if (photo.state !== "pending" && photo.state !== "deleting") return;
    if (this.#pending.has(photo.id)) return;
    this.#pending.set(photo.id, photo.attempts ?? 0);
    this.#soon();
  }

  #soon() {
    this.#delayMs = 600;
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (this.#pending.size) this.#timer = setTimeout(() => this.#look(), this.#delayMs);
  }

  async #look() {
    const before = this.#pending.size;
    try {
      const ids = await this.#candidates();
      await eachAtOnce(ids, 3, (id) => this.#refresh(id));
    } catch {
      // The server is unavailable or busy: the next look shows.
    }
    const moved = this.#pending.size < before;
    this.#delayMs = moved ? 600 : Math.min(this.#delayMs * 1.4, document.hidden ? 60_000 : 6_000);
    this.#schedule();
  }

  /// The ids worth a look: all when there are few, else those that no longer are in the lists of
  /// pending photos, the oldest first since they are worked on first.
  async #candidates() {
    const ids = [...this.#pending.keys()];
    if (ids.length <= FOLLOW_EACH) return ids;
    const listed = new Set();
    let cursor = null;
    do {
      const page = await listPhotos({ state: "pending" }, cursor);
      for (const photo of page.photos) listed.add(photo.id);
      cursor = page.next_cursor;
    } while (cursor && listed.size < 500);
    const gone = ids.filter((id) => !listed.has(id));
    return (gone.length ? gone : ids).slice(0, 30);
  }

  async #refresh(id) {
    let photo;
    try {
      photo = await getPhoto(id);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      this.#pending.delete(id);
      this.#onChange(id, null);
      return;
    }
    const waits = photo.state === "pending" || photo.state === "deleting";
    const news = !waits || photo.attempts !== this.#pending.get(id);
    if (waits) this.#pending.set(id, photo.attempts);
    else this.#pending.delete(id);
    if (news) this.#onChange(id, photo);
  }
}

/// Runs `work` on every item, at most `width` at a time.
export async function eachAtOnce(items, width, work) {
  const rest = [...items];
  const lane = async () => {
    while (rest.length) await work(rest.shift());
  };
  await Promise.all(Array.from({ length: Math.min(width, rest.length) }, lane));
}
