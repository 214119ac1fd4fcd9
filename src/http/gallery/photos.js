// How photos are shown: elements and words for them, and the justified grid.

import { contentPath, showImage, thumbnailPath } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
/// What every browser of today shows; of other types only the preview is asked for.
const SHOWN_TYPES = new Set([
  "image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif", "image/svg+xml",
]);
/// Tiles this far outside the window have their picture; further ones give it back.
const NEAR = "1400px 0px";
const GAP = 6;
/// What a photo of the grid is dragged as.
export const OWN_PHOTO = "application/x-lucida-photo";

/// Builds an element: attributes, `on…` listeners, children. Strings become text, never markup.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("data-icon", name);
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const nameOf = (photo) => photo.filename || "Photo without a name";

export function countOf(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytesOf(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = bytes;
  for (; value >= 1000 && step < units.length - 1; step += 1) value /= 1000;
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 10 && step ? 1 : 0 })} ${units[step]}`;
}

/// When a photo was taken, by the clock where it was taken; where that is not known, by UTC.
export function takenOf(photo, style = "long") {
  const local = localTimeOf(photo);
  if (local) return dateOf(`${local}Z`, style, "UTC");
  return photo.taken_at ? dateOf(photo.taken_at, style, "UTC") : null;
}

/// The date and time of the photo's own clock, as in `2024-09-30T23:45:00`, without an offset.
function localTimeOf(photo) {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.exec(photo.taken_at_local ?? "")?.[0] ?? null;
}

export function dateOf(iso, style = "long", timeZone = undefined) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return String(iso);
  const options = style === "day" ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(undefined, { ...options, timeZone }).format(date);
}

export function altOf(photo) {
  const parts = [nameOf(photo)];
  if (photo.taken_at) parts.push(`taken ${takenOf(photo, "day")}`);
  if (photo.tags?.length) parts.push(photo.tags.join(", "));
  return parts.join("; ");
}

/// Where a photo's small picture may come from, best first: the preview, this device's own copy, the
/// original. Before a photo is ready its preview is hardly ever there.
export function previewsOf(photo, size, localFile) {
  const preview = thumbnailPath(photo.id, size);
  const copies = localFile ? [localFile] : SHOWN_TYPES.has(photo.content_type) ? [contentPath(photo.id)] : [];
  return photo.state === "ready" || !copies.length ? [preview, ...copies] : [...copies, preview];
}

/// Where a photo's full picture may come from; a type that browsers don't show has its preview only.
export function originalsOf(photo) {
  const preview = thumbnailPath(photo.id, 1280);
  return SHOWN_TYPES.has(photo.content_type) ? [contentPath(photo.id), preview] : [preview];
}

/// Breaks photos into rows of one height each that fill `width`. The last row may stay short:
/// it keeps the target height. Returns `[{ count, height }]`.
export function rowsOf(ratios, width, target, gap = GAP) {
  const rows = [];
  let start = 0;
  let sum = 0;
  const heightOf = (total, count) => (width - gap * (count - 1)) / total;
  for (let at = 0; at < ratios.length; at += 1) {
    sum += ratios[at];
    const count = at - start + 1;
    const height = heightOf(sum, count);
    if (height > target) continue;
    const without = count > 1 ? heightOf(sum - ratios[at], count - 1) : Infinity;
    // Too low with this photo or too high without it: whichever is nearer to the target.
    const takesIt = without / target > target / height;
    rows.push({ count: takesIt ? count : count - 1, height: takesIt ? height : without });
    start = takesIt ? at + 1 : at;
    sum = takesIt ? 0 : ratios[at];
    if (!takesIt && heightOf(sum, 1) <= target) {
      rows.push({ count: 1, height: heightOf(sum, 1) });
      start = at + 1;
      sum = 0;
    }
  }
  const left = ratios.length - start;
  if (left) rows.push({ count: left, height: Math.min(target, heightOf(sum, left)) });
  return rows;
}

/// The justified grid: keeps photos and their tiles in step, loads pictures as they come near.
export class Grid {
  photos = [];
  #list;
  #tiles = new Map();
  #on;
  #fileOf;
  #near;
  #settled = 0;
  #width = 0;

  /// `on` holds `open(photo)` and `similar(photo)`; `fileOf(id)` gives this device's own copy.
  constructor(list, { on, fileOf }) {
    this.#list = list;
    this.#on = on;
    this.#fileOf = fileOf;
    this.#near = new IntersectionObserver(
      (entries) => entries.forEach((entry) => this.#picture(entry.target, entry.isIntersecting)),
      { rootMargin: NEAR });
    new ResizeObserver(() => {
      if (this.#room() === this.#width) return;
      this.#settled = 0;
      this.#layout();
    }).observe(list);
    list.addEventListener("keydown", (event) => this.#move(event));
    list.addEventListener("click", (event) => this.#click(event));
    list.addEventListener("dragstart", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) event.dataTransfer.setData(OWN_PHOTO, tile.dataset.id);
    });
  }

  get(id) {
    return this.#tiles.get(id)?.photo ?? null;
  }

  indexOf(id) {
    return this.photos.findIndex((photo) => photo.id === id);
  }

  clear() {
    for (const { item, stop } of this.#tiles.values()) {
      this.#near.unobserve(item);
      stop?.abort();
    }
    this.photos = [];
    this.#tiles.clear();
    this.#settled = 0;
    this.#list.replaceChildren();
  }

  /// Shows these instead of what was there.
  set(photos) {
    this.clear();
    this.append(photos);
  }

  append(photos) {
    const fresh = photos.filter((photo) => !this.#tiles.has(photo.id));
    this.photos.push(...fresh);
    this.#list.append(...fresh.map((photo) => this.#tile(photo)));
    this.#layout();
  }

  prepend(photos) {
    const fresh = photos.filter((photo) => !this.#tiles.has(photo.id));
    if (!fresh.length) return;
    this.photos.unshift(...fresh);
    this.#list.prepend(...fresh.map((photo) => this.#tile(photo)));
    this.#settled = 0;
    this.#layout();
  }

  /// Takes news of a photo that is shown; others are left alone.
  update(photo) {
    const entry = this.#tiles.get(photo.id);
    if (!entry) return;
    const { item } = entry;
    const focused = item.contains(document.activeElement);
    this.photos[this.indexOf(photo.id)] = photo;
    const reshaped = ratioOf(photo) !== ratioOf(entry.photo);
    entry.photo = photo;
    this.#dress(item, photo);
    if (!entry.shown) this.#retry(entry);
    if (reshaped) this.#settled = 0;
    if (reshaped) this.#layout();
    if (focused) item.querySelector(".tile").focus({ preventScroll: true });
  }

  remove(id) {
    const entry = this.#tiles.get(id);
    if (!entry) return;
    const at = this.indexOf(id);
    const hadFocus = entry.item.contains(document.activeElement);
    this.#near.unobserve(entry.item);
    entry.stop?.abort();
    entry.item.remove();
    this.#tiles.delete(id);
    this.photos.splice(at, 1);
    this.#settled = 0;
    this.#layout();
    if (hadFocus && this.photos.length) this.focus(this.photos[Math.min(at, this.photos.length - 1)].id);
  }

  focus(id) {
    this.#tiles.get(id)?.item.querySelector(".tile").focus();
  }

  #tile(photo) {
    const item = el("li", { "data-id": photo.id },
      el("a", { class: "tile", href: `?photo=${encodeURIComponent(photo.id)}`, draggable: "true", "data-id": photo.id },
        el("img", { alt: "", decoding: "async", draggable: "false" }),
        el("span", { class: "stand-in" })),
      el("button", { class: "icon similar", type: "button", title: "More like this" }, icon("similar")),
      el("div", { class: "caption", "aria-hidden": "true" }, el("span", { class: "name" }), el("span", { class: "when" })),
      el("div", { class: "badges" }));
    this.#tiles.set(photo.id, { item, photo, shown: false, near: false, stop: null });
    this.#dress(item, photo);
    this.#near.observe(item);
    return item;
  }

  #dress(item, photo) {
    const tile = item.querySelector(".tile");
    const state = { pending: "processing", failed: "failed", deleting: "being deleted" }[photo.state];
    item.dataset.state = photo.state;
    tile.setAttribute("aria-label", [altOf(photo), state].filter(Boolean).join("; "));
    item.querySelector(".stand-in").textContent = nameOf(photo);
    item.querySelector(".name").textContent = nameOf(photo);
    item.querySelector(".when").textContent = takenOf(photo, "day") ?? "";
    const similar = item.querySelector(".similar");
    similar.setAttribute("aria-label", `More like ${nameOf(photo)}`);
    similar.hidden = photo.state !== "ready";
    const badges = [];
    if (photo.state === "pending") {
      const again = photo.attempts > 0 && photo.error;
      badges.push(el("span", { class: "badge", title: again ? photo.error.message : "Processing" }, el("i", { class: "spinner", "aria-hidden": "true" }), again ? "trying again" : ""));
    }
    if (photo.state === "failed") badges.push(el("span", { class: "badge bad", title: photo.error?.message ?? "" }, icon("warning"), "failed"));
    item.querySelector(".badges").replaceChildren(...badges);
  }

  /// Shows the picture of a tile that has come near, gives back that of one that went away.
  #picture(item, near) {
    const entry = this.#tiles.get(item.dataset.id);
    if (!entry || entry.near === near) return;
    entry.near = near;
    if (near) {
      this.#retry(entry);
      return;
    }
    entry.stop?.abort();
    entry.shown = false;
    item.classList.remove("shown", "blank");
    item.querySelector("img").removeAttribute("src");
  }

  #retry(entry) {
    if (!entry.near) return;
    const { item, photo } = entry;
    entry.stop?.abort();
    entry.stop = new AbortController();
    const { signal } = entry.stop;
    const size = previewSize(item.clientWidth, item.clientHeight);
    showImage(item.querySelector("img"), previewsOf(photo, size, this.#fileOf(photo.id)), signal).then(
      () => {
        entry.shown = true;
        item.classList.add("shown");
        item.classList.remove("blank");
      },
      () => item.classList.toggle("blank", !signal.aborted));
  }

  /// The width for tiles in whole pixels; `clientWidth` would round up, and a row would wrap.
  #room() {
    return Math.floor(this.#list.getBoundingClientRect().width);
  }

  /// Lays out from the first row that may still change.
  #layout() {
    const width = this.#room();
    if (!width) return;
    this.#width = width;
    const target = width < 560 ? Math.max(110, width / 3) : Math.min(280, Math.max(180, width / 6));
    let at = this.#settled;
    const rows = rowsOf(this.photos.slice(at).map(ratioOf), width, target);
    rows.forEach((row, index) => {
      if (index === rows.length - 1) this.#settled = at;
      const height = Math.round(row.height);
      const full = index < rows.length - 1 || row.height < target;
      let left = width - GAP * (row.count - 1);
      for (let n = 0; n < row.count; n += 1, at += 1) {
        const own = Math.min(left, Math.floor(ratioOf(this.photos[at]) * row.height));
        const { style } = this.#tiles.get(this.photos[at].id).item;
        style.width = `${full && n === row.count - 1 ? left : own}px`;
        style.height = `${height}px`;
        left -= own;
      }
    });
  }

  #click(event) {
    const item = event.target.closest("li");
    const photo = item && this.get(item.dataset.id);
    if (!photo || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest(".similar")) {
      this.#on.similar(photo);
    } else if (event.target.closest(".tile")) {
      event.preventDefault();
      this.#on.open(photo);
    }
  }

  /// Arrow keys go from tile to tile; up and down to the nearest one in the next row.
  #move(event) {
    const here = event.target.closest("li");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    let there = null;
    if (event.key === "ArrowRight") there = here.nextElementSibling;
    else if (event.key === "ArrowLeft") there = here.previousElementSibling;
    else if (event.key === "Home") there = this.#list.firstElementChild;
    else if (event.key === "End") there = this.#list.lastElementChild;
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") there = nearestInRow(here, event.key === "ArrowDown");
    else return;
    event.preventDefault();
    there?.querySelector(".tile").focus();
  }
}

/// The size to ask of the thumbnail call for a box of so many CSS pixels.
export function previewSize(width, height) {
  const wanted = Math.max(width, height) * Math.min(devicePixelRatio || 1, 2);
  return wanted <= 360 ? 320 : wanted <= 700 ? 640 : 1280;
}

/// Width by height, kept within what a tile can show; a square where it is not known.
function ratioOf(photo) {
  const ratio = photo.width / photo.height;
  return Number.isFinite(ratio) && ratio > 0 ? Math.min(Math.max(ratio, 0.45), 3.2) : 1;
}

function nearestInRow(here, down) {
  const next = (node) => (down ? node.nextElementSibling : node.previousElementSibling);
  const centre = here.offsetLeft + here.offsetWidth / 2;
  let node = next(here);
  while (node && node.offsetTop === here.offsetTop) node = next(node);
  let best = node;
  for (const row = node?.offsetTop; node && node.offsetTop === row; node = next(node)) {
    const off = (tile) => Math.abs(tile.offsetLeft + tile.offsetWidth / 2 - centre);
    if (off(node) < off(best)) best = node;
  }
  return best;
}
