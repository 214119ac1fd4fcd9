// What the test of the gallery does in a browser: opens the page in a frame, looks at it, and writes what it saw.

const WIDTHS = [320, 380, 640, 800, 900, 901, 950, 1100, 1280, 1600];
const given = JSON.parse(document.getElementById("given").textContent);

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(what, look) {
  for (let tries = 0; tries < 400; tries += 1) {
    const seen = look();
    if (seen) return seen;
    await sleep(50);
  }
  throw new Error(`waited in vain for ${what}`);
}

/// Opens an address of the gallery in a frame of its own, and waits until its list is loaded.
async function open(address, width = 1280) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  frame.src = address;
  document.getElementById("stage").replaceChildren(frame);
  await new Promise((resolve) => { frame.addEventListener("load", resolve, { once: true }); });
  const page = frame.contentDocument;
  const loaded = () => page.querySelector("#stats")?.children.length && !page.querySelector("#grid[aria-busy]");
  await until(`the list of ${address}`, loaded);
  return { frame, page };
}

const isShown = (node) => Boolean(node) && node.getClientRects().length > 0;

function headerOf(page) {
  const nodes = [...page.querySelectorAll(".bar a, .bar button, .bar input")].filter(isShown);
  const boxes = nodes.map((node) => node.getBoundingClientRect());
  const overlaps = [];
  for (let one = 0; one < nodes.length; one += 1) {
    for (let other = one + 1; other < nodes.length; other += 1) {
      const [a, b] = [boxes[one], boxes[other]];
      const covers = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
      if (covers) overlaps.push(`${nodes[one].id} and ${nodes[other].id}`);
    }
  }
  // What a click on the middle of a button hits.
  const covered = nodes.filter((node, at) => {
    const { left, top, width, height } = boxes[at];
    return !node.contains(page.elementFromPoint(left + width / 2, top + height / 2));
  });
  const nameless = [...page.querySelectorAll("button")].filter(isShown)
    .filter((node) => !node.getAttribute("aria-label") && !node.innerText.trim());
  return { overlaps, covered: covered.map(({ id }) => id), nameless: nameless.map(({ id }) => id) };
}

async function layout() {
  const { frame, page } = await open("./");
  const faults = [];
  for (const width of WIDTHS) {
    frame.style.width = `${width}px`;
    // The grid is laid out anew after the frame has changed.
    const fits = await until("the layout", () => page.documentElement.scrollWidth <= width).catch(() => false);
    const { overlaps, covered, nameless } = headerOf(page);
    for (const fault of [...overlaps, ...covered.map((id) => `${id} is covered`), ...nameless.map((id) => `${id} has no name`)]) faults.push(`${width}: ${fault}`);
    if (!fits) faults.push(`${width}: the page is wider`);
    page.querySelector("#filters").showPopover();
    const sheet = page.querySelector("#filters").getBoundingClientRect();
    for (const input of page.querySelectorAll("#filters input:not([type=radio])")) {
      if (input.getBoundingClientRect().right > sheet.right - 8) faults.push(`${width}: ${input.name} sticks out`);
    }
    page.querySelector("#filters").hidePopover();
  }
  return faults;
}

async function deepLink() {
  const { page } = await open(`./?photo=${given.photo}`);
  const place = page.querySelector("#lightbox-place");
  await until("the photo's place", () => place.textContent);
  const summary = page.querySelector("#lightbox-info summary");
  return {
    place: place.textContent,
    next: isShown(page.querySelector('[data-do="next"]')),
    details: [...page.querySelectorAll("#lightbox-info > dl dt")].map((node) => node.textContent),
    technical: [summary?.textContent, page.querySelector("#lightbox-info details")?.open],
    mayDelete: isShown(page.querySelector('[data-do="delete"]')),
    mayAdd: isShown(page.querySelector("#add-photos")),
  };
}

async function reversed() {
  const { page } = await open("./?from=2024-06-01&to=2024-01-01");
  const empty = page.querySelector("#empty");
  await until("an answer", () => isShown(empty));
  return empty.querySelector("h2").textContent;
}

/// How many photos a day has, and the days that they show.
async function day(date) {
  const { page } = await open(`./?from=${date}&to=${date}`);
  return [...page.querySelectorAll("#grid .when")].map((node) => node.textContent);
}

async function search() {
  const { page } = await open("./?q=red");
  await until("hits", () => page.querySelector("#grid li"));
  return page.querySelectorAll(".badge").length;
}

async function failed() {
  const { page } = await open("./?state=failed");
  page.querySelector("#grid .tile").click();
  const words = await until("the reason", () => page.querySelector(".no-picture")?.textContent);
  return words;
}

/// What happens to files of a folder that is added: the names in the tray with what they came to, and the notes.
async function added() {
  const { frame, page } = await open("./");
  const { DataTransfer, File, Event } = frame.contentWindow;
  const chosen = new DataTransfer();
  const files = [["IMG_1.NEF", ""], ["noextension", ""], ["clip.mov", "video/quicktime"], ["notes.txt", "text/plain"],
    ["._IMG_1.jpg", "image/jpeg"], [".DS_Store", ""], ["Thumbs.db", ""]];
  for (const [name, type] of files) chosen.items.add(new File([`bytes of ${name}`], name, { type }));
  const input = page.querySelector("#pick-folder");
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
  const rows = await until("the tray", () => {
    const found = [...page.querySelectorAll("#tray-list li")];
    return found.length && found.every((row) => row.dataset.state === "failed") && found;
  });
  const textOf = (row, part) => row.querySelector(part).textContent;
  return {
    tray: rows.map((row) => `${textOf(row, ".name")}: ${textOf(row, ".how")}`).sort(),
    notes: [...page.querySelectorAll(".toast")].map((note) => note.textContent),
  };
}

async function readOnly() {
  localStorage.setItem("lucida.api-key", given.readOnlyKey);
  const seen = await deepLink();
  return { mayDelete: seen.mayDelete, mayAdd: seen.mayAdd };
}

const seen = {};
try {
  if (given.key) localStorage.setItem("lucida.api-key", given.key);
  seen.layout = await layout();
  seen.deepLink = await deepLink();
  seen.reversed = await reversed();
  seen.days = [await day("2024-09-30"), await day("2024-10-01")];
  seen.badges = await search();
  seen.failed = await failed();
  seen.added = await added();
  seen.readOnly = await readOnly();
} catch (error) {
  seen.error = String(error);
}
const bytes = new TextEncoder().encode(JSON.stringify(seen));
document.getElementById("seen").textContent = btoa(String.fromCharCode(...bytes));
document.title = "done";
