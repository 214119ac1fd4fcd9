// Sending photos: the files of a drop or a folder, four at a time, and the tray that shows how each fares.

import { Problem, pause, retryPhoto, uploadPhoto } from "./api.js";
import { OWN_PHOTO, bytesOf, countOf, el, icon } from "./photos.js";

const AT_ONCE = 4;
const MOST_BREAKS = 5;
/// Answers about the file itself: the same bytes get the same answer again.
const FINAL = new Set([413, 415, 422]);
/// Names of pictures that browsers may know no type for, those of formats that the server refuses by name included.
const PHOTO_NAMES = new RegExp(
  "\\.(jpe?g|jpe|jfif|mpo|a?png|webp|gif|bmp|dib|tiff?|hei[cf]|hif|avif|jxl|jp2|psd" +
  "|dng|nef|nrw|cr2|cr3|crw|arw|srf|sr2|raf|orf|rw2|rwl|pef|srw|x3f|3fr|erf|kdc|dcr|mrw|iiq|raw)$", "i");
/// What systems and NAS keep beside photos, as `lucida import` leaves it out.
const JUNK_NAMES = /^(\.|thumbs\.db$|ehthumbs|desktop\.ini$)/i;
const JUNK_FOLDERS = /^(\..*|@eaDir|#recycle|#snapshot|@Recycle|@Recently-Snapshot|~snapshot|\$RECYCLE\.BIN|RECYCLER|System Volume Information|lost\+found|__MACOSX)$/i;

/// Takes what is dropped on the page: on the search box, a file or a photo of the grid is what to search
/// by; anywhere else, files and folders are added.
export function watchDrops({ overlay, search, add, searchFor, similar }) {
  let depth = 0;
  const holds = (event, type) => Boolean(event.dataTransfer?.types.includes(type));
  const show = (on, own = false) => {
    overlay.hidden = !on || own;
    document.body.classList.toggle("dragging", on);
    if (on) return;
    depth = 0;
    search.classList.remove("over");
  };
  addEventListener("dragenter", (event) => {
    const own = holds(event, OWN_PHOTO);
    if (!own && !holds(event, "Files")) return;
    event.preventDefault();
    depth += 1;
    show(true, own);
  });
  addEventListener("dragover", (event) => {
    const own = holds(event, OWN_PHOTO);
    if (!own && !holds(event, "Files")) return;
    const over = search.contains(event.target);
    search.classList.toggle("over", over);
    if (own && !over) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) show(false);
  });
  addEventListener("dragend", () => show(false));
  addEventListener("drop", async (event) => {
    const id = event.dataTransfer.getData(OWN_PHOTO);
    const over = search.contains(event.target);
    show(false);
    if (!id && !holds(event, "Files")) return;
    event.preventDefault();
    if (id) {
      if (over) similar(id);
      return;
    }
    const files = await filesOf(event.dataTransfer);
    if (!over) add(files);
    else if (files.length) searchFor(files[0]);
  });
}

/// Returns the files of a drop; folders are walked. Call it inside the event: its data goes away after.
function filesOf(dataTransfer) {
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Promise.resolve([...dataTransfer.files]);
  return Promise.all(entries.map(walk)).then((lists) => lists.flat());
}

async function walk(entry) {
  if (entry.isFile) {
    return new Promise((resolve) => entry.file((file) => resolve([file]), () => resolve([])));
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A reader hands out a folder in parts, an empty one last.
    const part = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!part.length) return files;
    for (const child of part) {
      if (!child.isDirectory || !JUNK_FOLDERS.test(child.name)) files.push(...(await walk(child)));
    }
  }
}

/// The bytes of a file decide, on the server: one without an extension may well be a photo.
const isPhoto = (file) => file.type.startsWith("image/") || PHOTO_NAMES.test(file.name) ||
  (!file.type && !file.name.includes("."));

const isJunk = (file) => JUNK_NAMES.test(file.name) ||
  (file.webkitRelativePath ?? "").split("/").slice(1, -1).some((folder) => JUNK_FOLDERS.test(folder));

/// The queue of uploads and its tray.
export class Uploads {
  #tray;
  #list;
  #title;
  #bar;
  #on;
  #items = [];
  #byPhoto = new Map();
  #queue = [];
  #active = 0;
  #pausedUntil = 0;
  #busyRow = 0;
  #drawing = false;

  /// `on` holds `photo(photo, known)` for each that the server took, `retried(photo)`, `open(id)`,
  /// `skipped(count)` and `failed(problem)`.
  constructor(tray, on) {
    this.#tray = tray;
    this.#list = tray.querySelector("#tray-list");
    this.#title = tray.querySelector("#tray-title");
    this.#bar = tray.querySelector("#tray-progress");
    this.#on = on;
    const fold = tray.querySelector("#tray-fold");
    fold.addEventListener("click", () => {
      const folded = tray.classList.toggle("folded");
      fold.setAttribute("aria-expanded", String(!folded));
    });
    tray.querySelector("#tray-close").addEventListener("click", () => this.#clear());
    addEventListener("beforeunload", (event) => { if (this.#unsent()) event.preventDefault(); });
  }

  add(files) {
    const wanted = files.filter((file) => !isJunk(file));
    const photos = wanted.filter(isPhoto);
    const skipped = wanted.length - photos.length;
    if (skipped) this.#on.skipped(skipped);
    for (const file of photos) {
      const item = { file, state: "queued", share: 0, photo: null, message: "", stop: null, breaks: 0, final: false };
      item.row = this.#row(item);
      this.#items.push(item);
      this.#queue.push(item);
      this.#list.append(item.row);
      this.#show(item);
    }
    if (photos.length) this.#tray.hidden = false;
    this.#pump();
  }

  /// Takes news of a photo from the watch; null when it has been deleted meanwhile.
  update(id, photo) {
    for (const item of this.#byPhoto.get(id) ?? []) {
      item.photo = photo ?? item.photo;
      if (!photo) this.#set(item, "cancelled", "deleted");
      else this.#settle(item, item.state === "known");
    }
  }

  /// This device's own copy of a photo that it has just sent.
  fileOf(id) {
    return this.#byPhoto.get(id)?.[0].file ?? null;
  }

  /// How many files of this page were not taken by the server, and so are in no list of photos.
  get refused() {
    return this.#items.filter((item) => item.state === "failed" && !item.photo).length;
  }

  /// Brings the list of uploads into view.
  unfold() {
    this.#tray.hidden = false;
    this.#tray.classList.remove("folded");
    const fold = this.#tray.querySelector("#tray-fold");
    fold.setAttribute("aria-expanded", "true");
    fold.focus();
  }

  #unsent() {
    return this.#items.some((item) => item.state === "queued" || item.state === "sending" || item.state === "waiting");
  }

  #pump() {
    while (this.#active < AT_ONCE && this.#queue.length && Date.now() >= this.#pausedUntil) {
      const item = this.#queue.shift();
      this.#active += 1;
      this.#send(item).finally(() => {
        this.#active -= 1;
        this.#pump();
      });
    }
  }

  async #send(item) {
    item.stop = new AbortController();
    item.share = 0;
    this.#set(item, "sending");
    try {
      const { known, photo } = await uploadPhoto(item.file, {
        signal: item.stop.signal,
        onProgress: (share) => {
          item.share = share;
          this.#show(item);
        },
      });
      this.#busyRow = 0;
      item.photo = photo;
      this.#byPhoto.set(photo.id, [...(this.#byPhoto.get(photo.id) ?? []), item]);
      this.#on.photo(photo, known);
      this.#settle(item, known);
    } catch (problem) {
      this.#trouble(item, problem);
    } finally {
      item.stop = null;
    }
  }

  #settle(item, known) {
    const { state, error } = item.photo;
    if (state === "failed") this.#set(item, "failed", error?.message ?? "it could not be made searchable");
    else if (known) this.#set(item, "known");
    else this.#set(item, state === "ready" ? "ready" : "pending", item.photo.attempts && error ? `trying again: ${error.message}` : "");
  }

  /// A busy server sets the pace for all uploads; a broken connection is tried a few times.
  #trouble(item, problem) {
    if (problem.name === "AbortError") return this.#set(item, "cancelled", "cancelled");
    const broke = problem instanceof Problem && problem.status === 0;
    if (broke) item.breaks += 1;
    if (!problem.busy && (!broke || item.breaks > MOST_BREAKS)) {
      const text = broke ? `${problem.message}: the server is unavailable, or the file is larger than it takes` : problem.message;
      item.final = FINAL.has(problem.status);
      return this.#set(item, "failed", text);
    }
    this.#busyRow += 1;
    const ms = problem.retryAfterMs ?? Math.min(1000 * 2 ** Math.min(this.#busyRow, 5), 30_000);
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + ms);
    item.share = 0;
    this.#set(item, "waiting", problem.message);
    this.#queue.unshift(item);
    return pause(this.#pausedUntil - Date.now() + 20).then(() => this.#pump());
  }

  async #again(item) {
    item.breaks = 0;
    if (item.photo) {
      try {
        const photo = await retryPhoto(item.photo.id);
        this.#on.retried(photo);
        this.update(photo.id, photo);
      } catch (problem) {
        this.#on.failed(problem);
      }
      return;
    }
    this.#set(item, "queued");
    this.#queue.push(item);
    this.#pump();
  }

  #cancel(item) {
    if (item.stop) return item.stop.abort();
    this.#queue = this.#queue.filter((other) => other !== item);
    return this.#set(item, "cancelled", "cancelled");
  }

  /// Takes finished rows out of the tray; cancels what has not been sent.
  #clear() {
    for (const item of this.#items) {
      if (item.state === "queued" || item.state === "waiting" || item.state === "sending") this.#cancel(item);
    }
    this.#items = [];
    this.#list.replaceChildren();
    this.#tray.hidden = true;
  }

  #row(item) {
    const img = el("img", { alt: "", loading: "lazy", decoding: "async" });
    const url = URL.createObjectURL(item.file);
    img.onload = img.onerror = (event) => {
      URL.revokeObjectURL(url);
      if (event.type === "error") img.remove();
    };
    img.src = url;
    return el("li", {},
      el("span", { class: "thumb" }, img),
      el("span", { class: "what" },
        el("span", { class: "name", title: item.file.webkitRelativePath || item.file.name }, item.file.name),
        el("span", { class: "how" })),
      el("span", { class: "act" }),
      el("span", { class: "track" }, el("span", { class: "run" })));
  }

  #set(item, state, message = "") {
    item.state = state;
    item.message = message;
    // What needs a decision goes to the top.
    if (state === "failed") this.#list.prepend(item.row);
    this.#show(item);
  }

  #show(item) {
    const { row, state, message, share } = item;
    if (!row.isConnected && state !== "queued") return;
    const sent = share >= 1 ? "Checking…" : `Uploading ${Math.round(share * 100)} % of ${bytesOf(item.file.size)}`;
    const text = {
      queued: "Waiting its turn",
      sending: sent,
      waiting: `Waiting for the server: ${message}`,
      pending: message || "Processing",
      ready: "Ready",
      known: "Already in the library",
      failed: message,
      cancelled: message,
    }[state];
    row.querySelector(".how").textContent = text;
    row.querySelector(".how").title = state === "failed" ? message : "";
    row.querySelector(".run").style.width = `${state === "sending" ? share * 100 : 0}%`;
    if (row.dataset.state !== state) {
      row.dataset.state = state;
      row.querySelector(".act").replaceChildren(...this.#actions(item));
    }
    this.#draw();
  }

  #actions(item) {
    const button = (name, label, act) =>
      el("button", { class: "icon", type: "button", title: label, "aria-label": `${label}: ${item.file.name}`, onclick: act }, icon(name));
    switch (item.state) {
      case "queued": case "sending": case "waiting":
        return [button("close", "Cancel", () => this.#cancel(item))];
      case "pending":
        return [el("i", { class: "spinner", "aria-hidden": "true" })];
      case "ready": case "known":
        return [button(item.state === "ready" ? "check" : "image", "Show", () => this.#on.open(item.photo.id))];
      default:
        return item.final ? [] : [button("retry", "Try again", () => this.#again(item))];
    }
  }

  /// Redraws the summary, once for all that changed since the last frame.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      const total = this.#items.length;
      const counts = {};
      for (const { state } of this.#items) counts[state] = (counts[state] ?? 0) + 1;
      const unsent = (counts.queued ?? 0) + (counts.sending ?? 0) + (counts.waiting ?? 0);
      const done = this.#items.reduce((sum, item) => sum + weightOf(item), 0);
      this.#bar.value = total ? done / total : 0;
      this.#bar.hidden = unsent === 0 && !counts.pending;
      const added = (counts.ready ?? 0) + (counts.pending ?? 0);
      const rest = [
        counts.known ? `${counts.known} already in the library` : null,
        counts.failed ? `${counts.failed} failed` : null,
        counts.cancelled ? `${counts.cancelled} cancelled` : null,
      ];
      if (unsent) rest.unshift(`Adding ${total - unsent} of ${total}`);
      else if (counts.pending) rest.unshift(`${countOf(added, "photo")} added, ${counts.pending} processing`);
      else if (added) rest.unshift(`${countOf(added, "photo")} added`);
      const text = rest.filter(Boolean).join(" · ");
      if (this.#title.textContent !== text) this.#title.textContent = text;
    }, 120);
  }
}

/// How far an upload has come, from 0 to 1: most of it is sending, the rest is being looked at.
function weightOf({ state, share }) {
  if (state === "queued" || state === "waiting") return 0;
  if (state === "sending") return share * 0.7;
  return state === "pending" ? 0.7 : 1;
}
