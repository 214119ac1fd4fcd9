// One photo at full size: the original, what is known of it, and what can be done with it.

import { apiKey, address, contentPath, deletePhoto, fetchOriginal, retryPhoto, showImage, thumbnailPath } from "./api.js";
import { altOf, bytesOf, dateOf, el, icon, nameOf, originalsOf, takenOf } from "./photos.js";

const INFO_NAME = "lucida.details";
/// A small photo is shown at most this much larger than it is.
const MOST_UPSCALED = 2;
const SWIPE_PX = 50;

export class Lightbox {
  photo = null;
  #dialog;
  #stage;
  #frame;
  #notice;
  #info;
  #on;
  #stop = null;
  #zoomed = false;
  #swipe = null;

  /// `on` holds what the page does: `step(photo, by)`, `place(photo)`, `closed()`, `similar(photo)`,
  /// `tag(tag)`, `removed(photo)`, `changed(photo)`, `confirm({…})`, `failed(problem)`, `mayWrite()`.
  constructor(dialog, on) {
    this.#dialog = dialog;
    this.#on = on;
    this.#stage = dialog.querySelector("#stage");
    this.#frame = dialog.querySelector("#frame");
    this.#notice = dialog.querySelector("#lightbox-notice");
    this.#info = dialog.querySelector("#lightbox-info");
    dialog.addEventListener("click", (event) => this.#click(event));
    dialog.addEventListener("keydown", (event) => this.#key(event));
    dialog.addEventListener("cancel", (event) => {
      if (event.target !== dialog) return;
      event.preventDefault();
      this.#on.closed();
    });
    // A second Escape closes a dialog without asking.
    dialog.addEventListener("close", () => { if (this.photo) this.#on.closed(); });
    new ResizeObserver(() => this.#fit()).observe(this.#stage);
    this.#stage.addEventListener("pointerdown", (event) => {
      this.#swipe = event.pointerType === "touch" && event.isPrimary && !this.#zoomed ? event : null;
    });
    this.#stage.addEventListener("pointerup", (event) => this.#swiped(event));
    this.#showInfo(readSetting() ?? innerWidth > 1100);
  }

  get isOpen() {
    return this.#dialog.open;
  }

  show(photo) {
    const other = photo.id !== this.photo?.id;
    this.photo = photo;
    this.#dialog.querySelector("#lightbox-name").textContent = nameOf(photo);
    this.#place();
    this.#describe();
    this.#announce();
    if (other) this.#picture();
    if (!this.#dialog.open) {
      this.#dialog.showModal();
      this.#dialog.focus();
      this.#fit();
    }
  }

  /// Takes news of the photo that is shown.
  update(photo) {
    if (photo.id !== this.photo?.id) return;
    const blank = !this.#frame.querySelector("img.shown");
    this.photo = photo;
    this.#place();
    this.#describe();
    this.#announce();
    if (blank) this.#picture();
  }

  close() {
    this.#stop?.abort();
    this.photo = null;
    this.#frame.replaceChildren();
    if (this.#dialog.open) this.#dialog.close();
  }

  #place() {
    const { index, count, more } = this.#on.place(this.photo);
    const text = index < 0 ? "" : `${(index + 1).toLocaleString()} of ${count.toLocaleString()}${more ? "+" : ""}`;
    this.#dialog.querySelector("#lightbox-place").textContent = text;
    this.#button("previous").hidden = index <= 0;
    this.#button("next").hidden = index < 0 || (index === count - 1 && !more);
    this.#button("similar").hidden = this.photo.state !== "ready";
    this.#button("delete").hidden = !this.#on.mayWrite();
    const download = this.#button("download");
    download.href = address(contentPath(this.photo.id));
    download.download = this.photo.filename || this.photo.id;
  }

  /// Shows the photo's place anew, after the list around it or what the key may do has changed.
  placed() {
    if (this.photo) this.#place();
  }

  #button(name) {
    return this.#dialog.querySelector(`[data-do="${name}"]`);
  }

  /// The preview first, which is there at once, and the original over it when it has come.
  #picture() {
    this.#stop?.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const { photo } = this;
    const preview = el("img", { alt: "", draggable: "false" });
    const original = el("img", { alt: altOf(photo), draggable: "false" });
    this.#zoom(false);
    this.#frame.replaceChildren(preview, original);
    this.#frame.classList.add("loading");
    this.#fit();
    if (photo.state === "ready") {
      showImage(preview, [thumbnailPath(photo.id, 320)], signal).then(() => preview.classList.add("shown"), () => {});
    }
    showImage(original, originalsOf(photo), signal).then(
      () => {
        original.classList.add("shown");
        this.#fit();
      },
      () => {
        if (!signal.aborted) this.#frame.append(el("p", { class: "no-picture" }, whyNoPicture(photo)));
      },
    ).finally(() => { if (!signal.aborted) this.#frame.classList.remove("loading"); });
  }

  /// Sizes the frame to the stage, or to the photo's own pixels while zoomed.
  #fit() {
    if (!this.photo) return;
    const image = this.#frame.querySelector("img.shown:last-of-type");
    const width = this.photo.width || image?.naturalWidth || 1200;
    const height = this.photo.height || image?.naturalHeight || 900;
    const most = this.#zoomed ? Infinity : Math.min(this.#stage.clientWidth / width, this.#stage.clientHeight / height);
    const scale = this.#zoomed ? 1 / Math.min(devicePixelRatio || 1, 2) : Math.min(most, MOST_UPSCALED);
    this.#frame.style.width = `${Math.round(width * scale)}px`;
    this.#frame.style.height = `${Math.round(height * scale)}px`;
    this.#stage.classList.toggle("zoomable", this.#zoomed || most < 1 / Math.min(devicePixelRatio || 1, 2));
  }

  #zoom(zoomed, event = null) {
    const box = this.#frame.getBoundingClientRect();
    this.#zoomed = zoomed;
    this.#stage.classList.toggle("zoomed", zoomed);
    this.#fit();
    if (!zoomed || !event) return;
    // The spot under the pointer stays under it.
    const now = this.#frame.getBoundingClientRect();
    this.#stage.scrollLeft += now.left + ((event.clientX - box.left) / box.width) * now.width - event.clientX;
    this.#stage.scrollTop += now.top + ((event.clientY - box.top) / box.height) * now.height - event.clientY;
  }

  #announce() {
    const { photo } = this;
    this.#notice.hidden = photo.state === "ready";
    this.#notice.className = `notice ${photo.state}`;
    if (photo.state === "failed") {
      this.#notice.replaceChildren(icon("warning"),
        el("span", {}, photo.error?.message || "this photo could not be made searchable"),
        this.#on.mayWrite() ? el("button", { type: "button", class: "quiet", onclick: () => this.#retry() }, "Try again") : "");
    } else if (photo.state === "pending") {
      this.#notice.replaceChildren(el("i", { class: "spinner", "aria-hidden": "true" }),
        el("span", {}, photo.error && photo.attempts
          ? `tried ${photo.attempts}×, trying again: ${photo.error.message}`
          : "processing; searches find it in a moment"));
    } else if (photo.state === "deleting") {
      this.#notice.replaceChildren(el("span", {}, "being deleted"));
    }
  }

  #describe() {
    const { photo } = this;
    const rows = [
      ["Taken", takenOf(photo)],
      ["Time zone", zoneOf(photo)],
      ["Size", sizeOf(photo)],
      ["File", `${bytesOf(photo.size_bytes)} · ${photo.content_type}`],
      ["Added", dateOf(photo.created_at)],
    ];
    const tags = photo.tags ?? [];
    this.#info.replaceChildren(
      el("h3", {}, nameOf(photo)),
      list(rows.filter(([, value]) => value)),
      ...(tags.length ? [el("h4", {}, "Tags"), el("div", { class: "tags" }, ...tags.map((tag) =>
        el("button", { type: "button", class: "chip", title: `Photos tagged ${tag}`, onclick: () => this.#on.tag(tag) }, tag)))] : []),
      ...Object.entries(photo.attributes ?? {}).flatMap(([plugin, values]) => section(plugin, values)),
      el("details", {}, el("summary", {}, "Technical"), list([
        ["Photo id", photo.id],
        ["File hash", photo.hash],
        ["Model", photo.fingerprint],
        ["Owner", photo.user_id],
      ].filter(([, value]) => value))));
  }

  async #retry() {
    try {
      this.#on.changed(await retryPhoto(this.photo.id));
    } catch (problem) {
      this.#on.failed(problem);
    }
  }

  async #delete() {
    const { photo } = this;
    const sure = await this.#on.confirm({
      title: `Delete ${nameOf(photo)}?`,
      text: "The original and everything made from it are deleted from the server. There is no way back.",
      yes: "Delete",
    });
    if (!sure) return;
    try {
      await deletePhoto(photo.id);
      this.#on.removed(photo);
    } catch (problem) {
      if (problem.status === 404) this.#on.removed(photo);
      else this.#on.failed(problem);
    }
  }

  /// With a key a plain link would be refused, so the bytes are fetched and handed over.
  async #download(event) {
    if (!apiKey()) return;
    event.preventDefault();
    const { photo } = this;
    try {
      const url = URL.createObjectURL(await fetchOriginal(photo.id));
      el("a", { href: url, download: photo.filename || photo.id }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (problem) {
      this.#on.failed(problem);
    }
  }

  #click(event) {
    const action = event.target.closest("[data-do]")?.dataset.do;
    if (action === "close") this.#on.closed();
    else if (action === "previous") this.#on.step(this.photo, -1);
    else if (action === "next") this.#on.step(this.photo, 1);
    else if (action === "similar") this.#on.similar(this.photo);
    else if (action === "info") this.#showInfo(!this.#dialog.classList.contains("with-info"), true);
    else if (action === "delete") this.#delete();
    else if (action === "download") this.#download(event);
    else if (this.#frame.contains(event.target)) {
      if (this.#stage.classList.contains("zoomable")) this.#zoom(!this.#zoomed, event);
    } else if (event.target === this.#stage) this.#on.closed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const scrolls = this.#zoomed || this.#info.contains(event.target);
    if (event.key === "ArrowLeft" && !scrolls) this.#on.step(this.photo, -1);
    else if (event.key === "ArrowRight" && !scrolls) this.#on.step(this.photo, 1);
    else if (event.key === "i") this.#showInfo(!this.#dialog.classList.contains("with-info"), true);
    else if (event.key === "Delete" && this.#on.mayWrite()) this.#delete();
    else return;
    event.preventDefault();
  }

  #swiped(event) {
    const start = this.#swipe;
    this.#swipe = null;
    if (!start || event.pointerId !== start.pointerId) return;
    const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY];
    if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) this.#on.step(this.photo, x < 0 ? 1 : -1);
  }

  #showInfo(shown, keep = false) {
    this.#dialog.classList.toggle("with-info", shown);
    this.#button("info").setAttribute("aria-expanded", String(shown));
    this.#info.hidden = !shown;
    this.#fit();
    if (keep) writeSetting(shown);
  }
}

function sizeOf({ width, height }) {
  if (!width || !height) return null;
  const pixels = (width * height) / 1e6;
  const digits = { maximumFractionDigits: pixels < 10 ? 1 : 0 };
  return `${width.toLocaleString()} × ${height.toLocaleString()}${pixels >= 0.1 ? ` · ${pixels.toLocaleString(undefined, digits)} MP` : ""}`;
}

function list(rows) {
  return el("dl", {}, ...rows.flatMap(([label, value]) => [el("dt", {}, label), el("dd", {}, value)]));
}

/// Why there is no picture of a photo to look at.
function whyNoPicture({ state, content_type: type }) {
  const name = (type ?? "").replace("image/", "").toUpperCase() || "files of this type";
  if (state === "failed") return "There is no preview, since this photo could not be read. Download the original to see it.";
  if (state === "pending") return "The preview is being made.";
  return `There is no preview, and browsers don't show ${name}. Download the original to see it.`;
}

/// How the time of a photo is known, where that is worth a word.
function zoneOf(photo) {
  const exif = photo.attributes?.exif ?? {};
  const source = photo.taken_at_source ?? exif.taken_at_source;
  if (!photo.taken_at || !source) return null;
  const offset = photo.taken_at_offset ?? exif.taken_at_offset;
  if (source === "assumed_utc") return "not recorded by the camera";
  const known = { offset: "recorded by the camera", gps: "from the GPS", gps_zone: "from the place" }[source];
  return [offset ? `UTC${offset}` : null, known].filter(Boolean).join(", ") || null;
}

/// The camera's attributes without its clock, which the photo's own rows show.
function withoutTime(values) {
  return Object.fromEntries(Object.entries(values ?? {}).filter(([name]) => !name.startsWith("taken_at")));
}

/// What one plugin found out, whatever its shape.
function section(plugin, values) {
  if (values === null || values === undefined) return [];
  const told = plugin === "exif" ? withoutTime(values) : values;
  const rows = flat(told, []).filter(([, value]) => value !== "");
  return rows.length ? [el("h4", {}, words(plugin)), list(rows)] : [];
}

/// Turns a plugin's attributes into rows: nested names are joined, a place becomes a link to a map.
function flat(value, path) {
  const label = words(path.join(" ") || "value");
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [[label, value.map((part) => (part && typeof part === "object" ? JSON.stringify(part) : plain(part, ""))).join(", ")]];
  if (typeof value !== "object") return [[unitless(label), plain(value, path.at(-1) ?? "")]];
  const rows = [];
  const { latitude, longitude, ...rest } = value;
  if (Number.isFinite(latitude) && Number.isFinite(longitude)) rows.push(["Place", mapLink(latitude, longitude)]);
  else Object.assign(rest, latitude === undefined ? {} : { latitude }, longitude === undefined ? {} : { longitude });
  for (const [name, part] of Object.entries(rest)) rows.push(...flat(part, [...path, name]));
  return rows;
}

function mapLink(latitude, longitude) {
  const href = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=15/${latitude}/${longitude}`;
  return el("a", { href, target: "_blank", rel: "noopener noreferrer", title: "Open on a map (openstreetmap.org)" },
    `${latitude.toFixed(4)}, ${longitude.toFixed(4)}`);
}

const UNITS = { mm: "mm", secs: "s", seconds: "s", ms: "ms", metres: "m", meters: "m", pixels: "px", bytes: "B", percent: "%", degrees: "°" };
const unitOf = (name) => name.split("_").at(-1).toLowerCase();
const unitless = (label) => label.replace(/ (mm|secs|seconds|ms|metres|meters|pixels|bytes|percent|degrees)$/i, "");

function plain(value, name) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (name === "f_number") return `f/${Number(value.toPrecision(3))}`;
  const unit = UNITS[unitOf(name)];
  // A short exposure reads as photographers write it.
  if (unit === "s" && value > 0 && value < 0.4) return `1/${Math.round(1 / value).toLocaleString()} s`;
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  return unit ? `${text} ${unit}` : text;
}

function words(name) {
  const text = name.replaceAll("_", " ").replace(/\bgps\b/gi, "GPS").replace(/\biso\b/gi, "ISO").replace(/\bf number\b/i, "aperture");
  return text === "exif" ? "Camera" : text.charAt(0).toUpperCase() + text.slice(1);
}

function readSetting() {
  try {
    const kept = localStorage.getItem(INFO_NAME);
    return kept === null ? null : kept === "true";
  } catch {
    return null;
  }
}

function writeSetting(shown) {
  try {
    localStorage.setItem(INFO_NAME, String(shown));
  } catch {
    // Storage is switched off: the choice lives as long as the page.
  }
}
