// The gallery's page: what is shown (the library, a search), filters, dialogs, and drops.

import {
  Problem, Watch, apiKey, eachAtOnce, getPhoto, getStats, listPhotos, onUnauthorized, retryPhoto,
  searchByFile, searchPhotos, setApiKey, showImage,
} from "./api.js";
import { Lightbox } from "./lightbox.js";
import { Grid, countOf, dateOf, el, icon, nameOf, previewsOf } from "./photos.js";
import { Uploads, watchDrops } from "./uploads.js";

const FIRST_HITS = 50;
const MOST_HITS = 100;
const TYPING_MS = 450;
const STATS_MS = 15_000;
/// What the search box says of the bundled model, measured in the README of `backends/onnx`.
const STARTER_LANGUAGES = "Words in about a hundred languages find photos. English works best; then Japanese, Spanish, German, Russian, Chinese, " +
  "Portuguese and French; less well Dutch, Italian, Hindi and Korean, and least Arabic, Polish and Turkish.";
/// How many pages are loaded at most to find the place of a photo that was opened by its address.
const MOST_PAGES_TO_PLACE = 50;

const byId = (id) => document.getElementById(id);
const query = byId("query");

/// What is shown, as in the address: words, a photo's id, filters, and the photo that is open.
let view = {};
/// The file of this device that is searched by; it can't be in the address.
let queryFile = null;
let cursor = null;
let loading = null;
let loadingMore = null;
let searchLimit = FIRST_HITS;
let knownTotal = null;
/// Whether the key may add, retry and delete photos; until the server has said so it is taken for granted.
let mayWrite = true;
/// Photos that are being tried again, and how those that are settled ended.
let retried = null;
const tags = new Set();

const uploads = new Uploads(byId("tray"), {
  photo: (photo, known) => took(photo, known),
  retried: (photo) => news(photo.id, photo),
  open: (id) => openById(id),
  skipped: (count) => toast(`${countOf(count, "file")} skipped: not ${count === 1 ? "a photo" : "photos"}`),
  failed: report,
});

const grid = new Grid(byId("grid"), {
  on: { open: (photo) => open(photo), similar: (photo) => go({ q: "", like: photo.id }) },
  fileOf: (id) => uploads.fileOf(id),
});

const watch = new Watch((id, photo) => {
  news(id, photo);
  stats();
});

const lightbox = new Lightbox(byId("lightbox"), {
  step,
  place: (photo) => ({ index: grid.indexOf(photo.id), count: grid.photos.length, more: Boolean(cursor) }),
  closed: () => leavePhoto(),
  similar: (photo) => go({ q: "", like: photo.id, photo: "" }),
  tag: (tag) => go({ q: "", like: "", state: "", from: "", to: "", tag, photo: "" }),
  removed: (photo) => removed(photo),
  changed: (photo) => news(photo.id, photo),
  confirm,
  failed: report,
  mayWrite: () => mayWrite,
});

// What is shown, and the address

function viewOfAddress() {
  const params = new URLSearchParams(location.search);
  const of = (name) => params.get(name) ?? "";
  return { q: of("q"), like: of("like"), state: of("state"), from: of("from"), to: of("to"), tag: of("tag"), photo: of("photo") };
}

const isSearch = () => Boolean(view.q || view.like || queryFile);
const listOf = ({ q, like, state, from, to, tag }) => JSON.stringify([q, like, state, from, to, tag]);

/// Changes what is shown. Each change is a step of the browser's history unless it replaces the last.
function go(changes, { replace = false, file = null } = {}) {
  const next = { ...view, ...changes };
  const params = new URLSearchParams(Object.entries(next).filter(([, value]) => value));
  const address = params.size ? `?${params}` : location.pathname;
  const inApp = replace ? history.state?.inApp : true;
  history[replace ? "replaceState" : "pushState"]({ inApp }, "", address);
  // A photo's own search stays until another search takes its place.
  if (file || "q" in changes || "like" in changes) queryFile = file;
  follow(next, Boolean(file));
}

function follow(next, reload = false) {
  const changed = reload || listOf(next) !== listOf(view);
  view = next;
  showControls();
  if (changed) load();
  if (!view.photo) {
    const last = lightbox.photo;
    lightbox.close();
    if (last && !changed) grid.focus(last.id);
  } else if (lightbox.photo?.id !== view.photo) {
    openById(view.photo, true);
  }
}

addEventListener("popstate", () => {
  const hadFile = Boolean(queryFile);
  const next = viewOfAddress();
  if (hadFile && (listOf(next) !== listOf(view) || !view.photo)) queryFile = null;
  follow(next, hadFile && !queryFile);
});

/// The first and the last day of the filter; the server compares them with the clock where a photo was taken.
function filterOfView() {
  const day = (text) => (Number.isNaN(Date.parse(`${text}T00:00:00Z`)) ? null : text);
  return { taken_from: day(view.from), taken_to: day(view.to) };
}

function searchFilter() {
  const range = Object.entries(filterOfView()).filter(([, value]) => value);
  if (view.tag) range.push(["tags", [view.tag]]);
  return range.length ? Object.fromEntries(range) : null;
}

async function load(limit = FIRST_HITS) {
  loading?.abort();
  loading = new AbortController();
  loadingMore = null;
  searchLimit = limit;
  const { signal } = loading;
  byId("grid").setAttribute("aria-busy", "true");
  byId("empty").hidden = true;
  byId("tail").replaceChildren();
  if (isReversed()) {
    grid.clear();
    cursor = null;
    byId("title").textContent = "Photos";
    byId("grid").removeAttribute("aria-busy");
    showEmpty();
    stats();
    return;
  }
  try {
    if (isSearch()) await loadHits(signal);
    else await loadList(signal);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    grid.clear();
    cursor = null;
    byId("title").textContent = "Photos";
    showTrouble(problem);
  }
  byId("grid").removeAttribute("aria-busy");
  stats();
  findPlace();
}

/// Whether the filter's first day is after its last one.
const isReversed = () => Boolean(view.from && view.to && view.from > view.to);

/// Loads on until the open photo is in the list, so that a link to it shows where it is, with its neighbours. The list
/// begins with the newest photo, and ids sort by time, so it can be seen whether the photo is still to come.
async function findPlace() {
  lightbox.placed();
  const { photo } = view;
  if (!photo || isSearch()) return;
  for (let page = 0; page < MOST_PAGES_TO_PLACE; page += 1) {
    const last = grid.photos.at(-1);
    if (!cursor || view.photo !== photo || grid.indexOf(photo) >= 0 || !last || last.id < photo) return;
    const before = cursor;
    await more();
    lightbox.placed();
    if (cursor === before) return;
  }
}

async function loadList(signal) {
  const page = await listPhotos({ state: view.state, tag: view.tag, ...filterOfView() }, null, signal);
  grid.set(page.photos);
  learn(page.photos);
  cursor = page.next_cursor;
  byId("title").textContent = view.state === "failed" ? "Failed photos" : "Photos";
  if (!page.photos.length && !cursor) showEmpty();
  showTail();
}

async function loadHits(signal) {
  const options = { limit: searchLimit };
  const filter = searchFilter();
  if (filter) options.filter = filter;
  const asked = queryFile
    ? await searchByFile(queryFile, options, signal)
    : await searchPhotos({ ...(view.like ? { photo_id: view.like } : { text: view.q }), ...options }, signal);
  const hits = asked.hits.filter(({ photo }) => photo.id !== view.like);
  cursor = null;
  grid.set(hits.map(({ photo }) => photo));
  learn(hits.map(({ photo }) => photo));
  byId("title").textContent = titleOfSearch(hits.length);
  byId("announce").textContent = `${countOf(hits.length, "result")}`;
  if (!hits.length) showEmpty();
  if (asked.hits.length >= searchLimit && searchLimit < MOST_HITS) {
    byId("tail").replaceChildren(el("button", { type: "button", class: "quiet", onclick: () => load(MOST_HITS) }, "Show more"));
  }
}

function titleOfSearch(count) {
  if (view.q) return count ? `Closest to “${view.q}”` : `“${view.q}”`;
  return "More like this photo";
}

async function more() {
  if (!cursor || loadingMore || !loading) return loadingMore;
  const { signal } = loading;
  loadingMore = (async () => {
    try {
      const page = await listPhotos({ state: view.state, tag: view.tag, ...filterOfView() }, cursor, signal);
      grid.append(page.photos);
      learn(page.photos);
      cursor = page.next_cursor;
      loadingMore = null;
      if (!grid.photos.length && !cursor) showEmpty();
      showTail();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      // A cursor that the server no longer takes means beginning again.
      const again = problem.status === 422 ? () => load() : () => { loadingMore = null; more(); };
      byId("tail").replaceChildren(el("p", { class: "sentence" }, problem.message), el("button", { type: "button", class: "quiet", onclick: again }, "Try again"));
    }
  })();
  return loadingMore;
}

const nearEnd = new IntersectionObserver((entries) => { if (entries.at(-1).isIntersecting) more(); }, { rootMargin: "1600px 0px" });

function showTail() {
  nearEnd.disconnect();
  byId("tail").replaceChildren(...(cursor ? [el("i", { class: "spinner", "aria-hidden": "true" }), el("span", { class: "unseen" }, "Loading more")] : []));
  if (cursor) nearEnd.observe(byId("tail"));
}

// News: uploads, the watch, deletions

function took(photo, known) {
  watch.add(photo);
  const plain = !isSearch() && !view.tag && !view.from && !view.to;
  if (!known && plain && (!view.state || view.state === photo.state)) {
    byId("empty").hidden = true;
    grid.prepend([photo]);
  }
  if (knownTotal !== null && !known) knownTotal += 1;
  stats();
}

function news(id, photo) {
  uploads.update(id, photo);
  if (!photo) {
    grid.remove(id);
    if (lightbox.photo?.id === id) leavePhoto();
    return;
  }
  learn([photo]);
  grid.update(photo);
  lightbox.update(photo);
  settled(photo);
}

function removed(photo) {
  const at = grid.indexOf(photo.id);
  const neighbour = grid.photos[at + 1] ?? grid.photos[at - 1];
  grid.remove(photo.id);
  uploads.update(photo.id, null);
  toast(`${nameOf(photo)} is deleted`);
  knownTotal = null;
  stats();
  if (at >= 0 && neighbour) open(neighbour, true);
  else leavePhoto();
  if (!grid.photos.length) showEmpty();
}

/// Remembers the tags seen, to complete them in the filter, and follows what is not ready yet.
function learn(photos) {
  const before = tags.size;
  for (const photo of photos) {
    watch.add(photo);
    for (const tag of photo.tags ?? []) tags.add(tag);
  }
  if (tags.size === before) return;
  byId("known-tags").replaceChildren(...[...tags].sort().slice(0, 300).map((tag) => el("option", { value: tag })));
}

let statsTimer = null;
let statsDue = false;

/// Refreshes the line of counts: soon after a change, at most once a second, and now and then without one.
function stats() {
  if (statsDue) return;
  statsDue = true;
  clearTimeout(statsTimer);
  statsTimer = setTimeout(async () => {
    try {
      await showStats(await getStats());
    } catch {
      // The line is a courtesy: whatever is wrong shows where it matters.
    }
    statsDue = false;
    statsTimer = setTimeout(stats, document.hidden ? 20 * STATS_MS : STATS_MS);
  }, 700);
}

async function showStats({ photos, model, scopes }) {
  showRights(scopes);
  const link = (state, text) => el("button", { type: "button", class: `link ${state}`, onclick: () => go({ q: "", like: "", state }) }, text);
  const total = photos.pending + photos.ready + photos.failed;
  const name = typeof model === "string" ? model : model?.id ?? model?.name ?? "";
  const parts = [el("span", {}, countOf(total, "photo"))];
  if (photos.pending) parts.push(link("pending", `${photos.pending.toLocaleString()} processing`));
  if (photos.failed) parts.push(link("failed", `${photos.failed.toLocaleString()} failed`));
  if (photos.deleting) parts.push(el("span", {}, `${photos.deleting.toLocaleString()} being deleted`));
  if (name) parts.push(el("span", { class: "model", title: `The model that searches use: ${name}` }, name));
  byId("query").title = name === "starter" ? STARTER_LANGUAGES : "";
  byId("stats").replaceChildren(...parts);
  byId("stats").hidden = total === 0 && !isSearch();
  const grew = knownTotal !== null && total > knownTotal;
  knownTotal = total;
  // Photos that came by another way than this page.
  if (grew && !isSearch() && !byId("grid").hasAttribute("aria-busy")) {
    const { photos } = await listPhotos({ state: view.state, tag: view.tag, ...filterOfView() }, null, loading?.signal);
    if (photos.length) byId("empty").hidden = true;
    grid.prepend(photos.filter((photo) => !grid.photos.length || photo.id > grid.photos[0].id));
    learn(photos);
  }
}

/// A key that only reads is offered neither uploads nor anything else that changes photos.
function showRights(scopes) {
  const may = !Array.isArray(scopes) || scopes.includes("write");
  if (may === mayWrite) return;
  mayWrite = may;
  byId("add-photos").hidden = !may;
  byId("add-folder").hidden = !may;
  showControls();
  lightbox.placed();
  if (!byId("empty").hidden) showEmpty();
}

// The photo that is open

function open(photo, replace = false) {
  lightbox.show(photo);
  go({ photo: photo.id }, { replace: replace || Boolean(view.photo) });
}

async function openById(id, isInView = false) {
  try {
    const photo = grid.get(id) ?? (await getPhoto(id));
    if (isInView && view.photo !== id) return;
    if (isInView) lightbox.show(photo);
    else open(photo);
    if (isInView && !byId("grid").hasAttribute("aria-busy")) findPlace();
  } catch (problem) {
    report(problem);
    if (view.photo === id) go({ photo: "" }, { replace: true });
  }
}

/// Closes the photo: back to the step before it was opened, where that was on this page.
function leavePhoto() {
  if (!view.photo) lightbox.close();
  else if (history.state?.inApp) history.back();
  else go({ photo: "" }, { replace: true });
}

async function step(photo, by) {
  const at = grid.indexOf(photo.id);
  if (at < 0) return;
  if (at + by >= grid.photos.length) await more();
  const next = grid.photos[at + by];
  if (next && lightbox.photo?.id === photo.id) open(next, true);
}

// Search, filters and what they look like

let typing = null;
query.addEventListener("input", () => {
  clearTimeout(typing);
  byId("clear").hidden = !query.value && !view.like && !queryFile;
  const text = query.value.trim();
  if (text.length === 1) return;
  typing = setTimeout(() => { if (text !== view.q) go({ q: text, like: "", photo: "" }, { replace: Boolean(view.q) }); }, TYPING_MS);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  const text = query.value.trim();
  if (text) go({ q: text, like: "", photo: "" }, { replace: text === view.q });
});
query.addEventListener("keydown", (event) => {
  if (event.key === "Backspace" && !query.value && (view.like || queryFile)) clearSearch();
  if (event.key === "ArrowDown" && grid.photos.length) {
    event.preventDefault();
    grid.focus(grid.photos[0].id);
  }
});
query.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  searchFor(file);
});
byId("clear").addEventListener("click", () => clearSearch());
byId("by-photo").addEventListener("click", () => byId("pick-query").click());
byId("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ q: "", like: "", state: "", from: "", to: "", tag: "", photo: "" });
  scrollTo({ top: 0 });
});

function clearSearch() {
  clearTimeout(typing);
  query.value = "";
  const hadFile = Boolean(queryFile);
  queryFile = null;
  if (hadFile && !view.q && !view.like) {
    showControls();
    load();
  } else if (view.q || view.like) {
    go({ q: "", like: "" });
  } else {
    showControls();
  }
  query.focus();
}

function searchFor(file) {
  go({ q: "", like: "", photo: "" }, { file });
}

let chipFor = null;

/// Brings the search box, the chips and the filter form in line with the view.
function showControls() {
  if (document.activeElement !== query || !view.q) query.value = view.q;
  byId("clear").hidden = !isSearch();
  showQueryPhoto();
  const form = byId("filters");
  form.elements.state.value = view.state;
  form.elements.from.value = view.from;
  form.elements.to.value = view.to;
  form.elements.tag.value = view.tag;
  byId("filter-state").disabled = isSearch();
  byId("filter-state").querySelector(".hint").hidden = !isSearch();
  const chips = [];
  const chip = (text, changes) => chips.push(el("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${text}`, onclick: () => go(changes) }, text, icon("close")));
  if (view.state && !isSearch()) chip({ ready: "Ready", pending: "Processing", failed: "Failed" }[view.state] ?? view.state, { state: "" });
  if (view.from || view.to) {
    const day = (iso) => dateOf(`${iso}T00:00:00Z`, "day", "UTC");
    const text = view.from && view.to ? `${day(view.from)} – ${day(view.to)}` : view.from ? `From ${day(view.from)}` : `Until ${day(view.to)}`;
    chip(text, { from: "", to: "" });
  }
  if (view.tag) chip(view.tag, { tag: "" });
  const dot = byId("filter-button").querySelector(".dot");
  dot.hidden = chips.length === 0;
  byId("dates-hint").hidden = !isReversed();
  if (view.state === "failed" && !isSearch() && mayWrite) {
    chips.push(el("button", { type: "button", class: "quiet small", onclick: (event) => retryAll(event.currentTarget) }, icon("retry"), "Try all again"));
  }
  byId("chips").replaceChildren(...chips);
  byId("key-button").hidden = !apiKey();
}

/// The picture in the search box, while a photo is what is searched by.
async function showQueryPhoto() {
  const subject = queryFile ?? view.like;
  const box = byId("query-photo");
  box.hidden = !subject;
  query.placeholder = subject ? "or describe a photo" : "Describe a photo, or drop one here";
  if (subject === chipFor) return;
  chipFor = subject;
  box.replaceChildren();
  if (!subject) return;
  const img = el("img", { alt: "" });
  const label = el("span", {}, "Like this photo");
  box.append(img, label);
  try {
    const photo = queryFile ? null : grid.get(view.like) ?? (await getPhoto(view.like));
    if (chipFor !== subject) return;
    label.textContent = photo ? `Like ${nameOf(photo)}` : `Like ${queryFile.name || "this photo"}`;
    await showImage(img, photo ? previewsOf(photo, 320, uploads.fileOf(photo.id)) : [queryFile]);
  } catch {
    img.remove();
  }
}

byId("filters").addEventListener("change", (event) => {
  const { state, from, to, tag } = event.currentTarget.elements;
  go({ state: state.value, from: from.value, to: to.value, tag: tag.value.trim(), photo: "" });
});
byId("filters").addEventListener("reset", () => go({ state: "", from: "", to: "", tag: "" }));
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  event.currentTarget.hidePopover();
});

async function retryAll(button) {
  button.disabled = true;
  const failed = grid.photos.filter((photo) => photo.state === "failed");
  retried = { left: new Set(failed.map(({ id }) => id)), ready: 0, failed: 0 };
  if (failed.length) toast(`Trying ${countOf(failed.length, "photo")} again`);
  try {
    await eachAtOnce(failed, 4, async ({ id }) => {
      const photo = await retryPhoto(id);
      news(id, photo);
    });
  } catch (problem) {
    retried = null;
    report(problem);
  }
  button.disabled = false;
  stats();
}

/// Says how photos ended that were tried again, once all of them are settled.
function settled({ id, state }) {
  if (state === "pending" || !retried?.left.delete(id)) return;
  if (state === "ready") retried.ready += 1;
  if (state === "failed") retried.failed += 1;
  if (retried.left.size) return;
  const { ready, failed } = retried;
  retried = null;
  const parts = [ready ? `${countOf(ready, "photo")} ready` : null, failed ? `${countOf(failed, "photo")} failed again` : null];
  toast(parts.filter(Boolean).join(", "), !ready);
  stats();
}

// Empty pages and trouble

function showEmpty() {
  const filtered = view.tag || view.from || view.to || view.state;
  const box = byId("empty");
  if (isReversed()) {
    box.replaceChildren(icon("filter"), el("h2", {}, "The first day is after the last one"),
      el("p", {}, "No photo can have been taken then."),
      el("button", { type: "button", class: "primary", onclick: () => go({ from: view.to, to: view.from }) }, "Swap the days"));
  } else if (view.state === "failed" && !isSearch() && uploads.refused) {
    box.replaceChildren(icon("warning"), el("h2", {}, `${countOf(uploads.refused, "upload")} failed`),
      el("p", {}, "The server did not take these files, so they are not among the photos. The list of uploads says why."),
      el("button", { type: "button", class: "primary", onclick: () => uploads.unfold() }, "Show the uploads"));
  } else if (isSearch()) {
    box.replaceChildren(icon("search"), el("h2", {}, "Nothing found"),
      el("p", {}, filtered ? "No photo that matches the filters can be searched." : "No photo can be searched yet. New ones are found as soon as they are ready."));
  } else if (filtered) {
    box.replaceChildren(icon("filter"),
      el("h2", {}, view.state === "failed" ? "Nothing has failed" : "No photo matches"),
      el("p", {}, view.state === "failed" ? "Every photo could be read." : "Change the filters to see more."),
      el("button", { type: "button", class: "quiet", onclick: () => go({ state: "", from: "", to: "", tag: "" }) }, "Clear the filters"));
  } else if (!mayWrite) {
    box.replaceChildren(icon("logo"), el("h2", {}, "No photos yet"),
      el("p", {}, "This key may look at photos and search them, but not add any."));
  } else {
    box.replaceChildren(icon("logo"), el("h2", {}, "Drop your photos here"),
      el("p", {}, "They stay on this server. A moment later you find them again by describing what is in them, or by another photo."),
      el("div", { class: "buttons" },
        el("button", { type: "button", class: "primary", onclick: () => byId("pick-photos").click() }, icon("upload"), "Choose photos"),
        el("button", { type: "button", class: "quiet", onclick: () => byId("pick-folder").click() }, icon("folder"), "Choose a folder")));
  }
  box.hidden = false;
}

function showTrouble(problem) {
  const away = problem.status === 401;
  byId("empty").replaceChildren(icon(away ? "key" : "warning"),
    el("h2", {}, away ? "This server wants an API key" : "That did not work"),
    el("p", { class: "sentence" }, problem.message),
    problem.requestId ? el("p", { class: "id" }, `request ${problem.requestId}`) : "",
    el("button", { type: "button", class: "primary", onclick: () => (away ? enterKey() : load()) }, away ? "Enter the key" : "Try again"));
  byId("empty").hidden = false;
}

function toast(text, bad = false) {
  const box = byId("toasts");
  // A modal dialog covers what is outside it.
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(box);
  const note = el("div", { class: bad ? "toast bad" : "toast" }, bad ? icon("warning") : "", el("span", {}, text));
  box.append(note);
  setTimeout(() => note.remove(), bad ? 9000 : 4500);
}

// A dialog that closes would take the notes in it along.
document.addEventListener("close", ({ target }) => {
  if (target.contains(byId("toasts"))) document.body.append(byId("toasts"));
}, true);

function report(problem) {
  if (problem.name === "AbortError") return;
  toast(problem.requestId ? `${problem.message} (request ${problem.requestId})` : problem.message, true);
  if (!(problem instanceof Problem)) console.error(problem);
}

function answerOf(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

async function confirm({ title, text, yes }) {
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  return (await answerOf(byId("confirm"))) === "yes";
}

// The API key

async function askForKey(refused) {
  const input = byId("key-input");
  input.value = "";
  byId("key-text").textContent = refused
    ? "The server does not know this key. Enter one that is in its configuration."
    : "This server shows photos to those who have a key. Enter one that is in its configuration.";
  byId("key-forget").hidden = !apiKey();
  input.required = true;
  const answer = await answerOf(byId("key-dialog"));
  const key = input.value.trim();
  input.value = "";
  if (answer === "forget") setApiKey(null);
  if (answer !== "save" || !key) return false;
  setApiKey(key);
  return true;
}

async function enterKey() {
  const before = apiKey();
  if ((await askForKey(false)) || apiKey() !== before) {
    showControls();
    load();
  }
}

onUnauthorized(async (refused) => {
  const renewed = await askForKey(refused);
  showControls();
  return renewed;
});
byId("key-button").addEventListener("click", () => enterKey());
// Return in the field means the key, not the first button of the form.
byId("key-input").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  byId("key-save").click();
});

// Drops and files

watchDrops({
  overlay: byId("drop"),
  search: byId("search"),
  add: (files) => {
    if (mayWrite) uploads.add(files);
    else toast("This key may not add photos", true);
  },
  searchFor,
  similar: (id) => go({ q: "", like: id, photo: "" }),
});

function picked(id, use) {
  byId(id).addEventListener("change", (event) => {
    const files = [...event.currentTarget.files];
    event.currentTarget.value = "";
    if (files.length) use(files);
  });
}
picked("pick-photos", (files) => uploads.add(files));
picked("pick-folder", (files) => uploads.add(files));
picked("pick-query", ([file]) => searchFor(file));
byId("add-photos").addEventListener("click", () => byId("pick-photos").click());
byId("add-folder").addEventListener("click", () => byId("pick-folder").click());

// A slash goes to the search box, as in most galleries.
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, dialog")) return;
  event.preventDefault();
  query.focus();
  query.select();
});

view = viewOfAddress();
showControls();
load();
if (view.photo) openById(view.photo, true);
