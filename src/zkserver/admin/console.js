// The console of zkserver: one page, no framework, no outside address.
//
// Order: elements, numbers, requests, credentials, the views (ensemble, tree, sessions, quotas,
// elections: one function each, with its helpers behind it), the router. Texts of the server go
// into the page by `textContent` alone. A view gives `{ refresh, close }`; the router calls
// `refresh` every `every` ms while the page is seen.
"use strict";

// Elements ------------------------------------------------------------------------------------

const $ = (selector, root = document) => root.querySelector(selector);

/** An element. `given`: properties, `data-…`/`aria-…`/`role` attributes, `on…` listeners. */
function el(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, given = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set a text only if it is another one, so that a selection in it is not lost. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Numbers -------------------------------------------------------------------------------------

const grouped = new Intl.NumberFormat("en");
const count = (number) => (number === null || number === undefined ? "–" : grouped.format(number));
const plural = (number, one, many = one + "s") => `${count(number)} ${number === 1 ? one : many}`;

function bytes(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1024) return plural(number, "byte");
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let unit = -1;
  for (; number >= 1024 && unit < 3; unit++) number /= 1024;
  return `${number.toFixed(number < 10 ? 1 : 0)} ${units[unit]}`;
}

function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.floor(ms / 60_000) % 60} min`;
  return plural(Math.floor(ms / 86_400_000), "day");
}

function moment(ms) {
  const at = new Date(ms);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const clock = (ms) => moment(ms).slice(11);
const ago = (ms) => (Date.now() - ms < 1500 ? "just now" : `${duration(Date.now() - ms)} ago`);

// Requests ------------------------------------------------------------------------------------

const page = { token: "", user: "", self: null, lost: false };

class Refusal extends Error {
  constructor(status, report) {
    super(report.error || `HTTP status ${status}`);
    this.status = status;
    this.code = report.code || "";
    this.report = report;
  }
}

/** Bytes of a text in UTF-8, each as a character: what a header can carry. */
const latin = (text) => Array.from(new TextEncoder().encode(text), (each) => String.fromCharCode(each)).join("");

async function request(path, { body, signal, token = page.token } = {}) {
  const headers = { "X-Zkserver-Console": "1" };
  if (token) headers.Authorization = `digest ${latin(token)}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
  if (body !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch(`/console/api/${path}`, options);
  } catch (error) {
    if (error.name !== "AbortError") lose();
    throw error;
  }
  find();
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
  return response;
}

const ask = async (path, options) => (await request(path, options)).json();
const query = (name, given) => `${name}?${new URLSearchParams(given)}`;

/** The lines of a streamed answer, each as JSON. */
async function* lines(path, options) {
  const reader = (await request(path, options)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const each of parts) yield JSON.parse(each);
  }
}

function lose() {
  if (page.lost) return;
  page.lost = true;
  warn("This server does not answer. What you see is what it said last; trying again …");
}

function warn(text) {
  say($("#banner"), text);
  $("#banner").hidden = false;
}

function find() {
  if (!page.lost) return;
  page.lost = false;
  $("#banner").hidden = true;
  refresh();
}

/** What went wrong, for people. */
function reason(error) {
  if (error instanceof Refusal) {
    const known = {
      NOAUTH: "The ACL of this znode does not permit it. Sign in as somebody whom it names.",
      NONODE: "There is no such znode (any more).",
      NODEEXISTS: "There is such a znode already.",
      NOTEMPTY: "It has children: delete them first.",
      NOTREADONLY: "This server takes no changes while it has no leader.",
      QUOTAEXCEEDED: "A quota does not permit it.",
      NOCHILDRENFOREPHEMERALS: "An ephemeral znode has no children.",
    };
    return known[error.code] || error.message;
  }
  return error instanceof TypeError ? "This server does not answer." : String(error.message || error);
}

// Credentials ---------------------------------------------------------------------------------

/** Open a dialog; `submit` gives nothing when it may close, or throws what to show. */
function dialog(selector, prepare, submit) {
  const box = $(selector);
  const form = $("form", box);
  const error = $(".error", box);
  error.hidden = true;
  prepare(form);
  return new Promise((resolve) => {
    let result = null;
    form.onsubmit = async (event) => {
      event.preventDefault();
      const button = $("button.main", form);
      button.disabled = true;
      try {
        result = (await submit(form)) ?? true;
        box.close();
      } catch (found) {
        error.textContent = reason(found);
        error.hidden = false;
      } finally {
        button.disabled = false;
      }
    };
    $("[data-act=cancel]", form).onclick = () => box.close();
    box.onclose = () => {
      form.reset();
      resolve(result);
    };
    box.showModal();
    const first = $("input", form);
    if (first) first.setSelectionRange(first.value.length, first.value.length);
  });
}

function signIn() {
  return dialog("#sign-in", () => {}, async (form) => {
    const { user, password } = Object.fromEntries(new FormData(form));
    if (user.includes(":")) throw new Error("The name of a user has no colon.");
    const token = `${user}:${password}`;
    const who = await ask("whoami", { token });
    if (!who.may_change) throw new Error("The server takes these credentials for nobody's.");
    Object.assign(page, { token, user });
    askAgain(tree.root);
    const isSuper = who.ids.some((each) => each.scheme === "super");
    $("#who").textContent = isSuper ? `${user} (super) – sign out` : `${user} – sign out`;
  });
}

/** What was hidden from nobody in particular may be seen now. */
function askAgain(node) {
  if (!node) return;
  if (node.stat === null) node.stat = undefined;
  (node.children || []).forEach(askAgain);
}

function signOut() {
  Object.assign(page, { token: "", user: "" });
  $("#who").textContent = "Sign in";
  credentialsChanged();
}

/** What was seen as somebody else is not to be shown any more. */
function credentialsChanged() {
  Object.assign(tree, { root: null, active: null });
  if (router.name === "tree" || router.name === "quotas") route();
}

/** Whether there are credentials, after asking for them; what was begun goes on. */
const mayChange = async () => Boolean(page.token || (await signIn()));

// The ensemble --------------------------------------------------------------------------------

const SERVING = ["leader", "follower", "observer", "standalone"];

function ensembleView(main) {
  const lead = el("p", { className: "lead" });
  const body = el("tbody");
  const heads = ["Server", "Role", "Epoch", "Zxid", "Lag", "Requests a second", "Answers after", "Latency", "Connections", "Waiting"];
  const table = el("table", { "aria-label": "Servers of the ensemble" },
    el("thead", {}, el("tr", {}, ...heads.map((each) => el("th", { scope: "col", textContent: each })))), body);
  const note = el("p", { className: "lead" });
  note.style.marginTop = "12px";
  note.textContent = "Servers are asked with the word srvr on their client ports. Answers after: how long that took from here and back. Latency: what the server says of its requests, average and most since its figures began.";
  main.append(lead, table, note);
  const rows = new Map();
  const state = { after: 0 };

  async function refreshNow() {
    const report = await ask(query("ensemble", { after: state.after }));
    if (report.now_ms < state.after) {
      rows.forEach((row) => row.tr.remove());
      rows.clear();
    }
    showSelf(report.self);
    for (const server of report.servers) {
      const row = rows.get(server.id) || newRow(server.id, heads, body, rows);
      row.server = server;
      for (const sample of server.samples) state.after = Math.max(state.after, sample.at_ms);
      row.samples.push(...server.samples);
      row.samples.splice(0, row.samples.length - 61);
    }
    for (const [id, row] of rows) {
      if (!report.servers.some((each) => each.id === id)) {
        row.tr.remove();
        rows.delete(id);
      }
    }
    const all = [...rows.values()];
    const leader = all.map((row) => row.samples.at(-1)).find((each) => each && each.mode === "leader");
    all.forEach((row) => fillRow(row, report.self, leader));
    sayEnsemble(lead, report.self, all);
  }

  return { refresh: refreshNow, every: 1000, close() {} };
}

function newRow(id, heads, body, rows) {
  const cells = heads.map((label) => el("td", { "data-label": label }));
  const row = { samples: [], cells, tr: el("tr", {}, ...cells), sparks: {} };
  for (const [index, label] of [[5, "requests a second"], [6, "milliseconds until it answered"]]) {
    const number = el("b");
    const spark = svg("svg", { class: "spark", viewBox: "0 0 120 26", preserveAspectRatio: "none", role: "img" });
    spark.append(svg("path", { class: "area" }), svg("path"));
    cells[index].append(el("div", { className: "sparked" }, number, spark));
    row.sparks[index] = { number, spark, label };
  }
  rows.set(id, row);
  const after = [...rows.keys()].filter((each) => each > id).sort((a, b) => a - b)[0];
  body.insertBefore(row.tr, after === undefined ? null : rows.get(after).tr);
  return row;
}

function fillRow(row, self, leader) {
  const { server, cells } = row;
  const last = row.samples.at(-1) || {};
  const isSelf = server.id === self.id;
  const name = self.is_standalone ? "this server" : `${server.id}${isSelf ? " (this server)" : ""}`;
  twoLines(cells[0], name, server.place || server.host || "", "strong");
  const role = el("span", { className: "role", textContent: last.mode || "no answer" });
  if (last.mode === "leader") role.classList.add("leader");
  else if (SERVING.includes(last.mode)) role.classList.add("serves");
  else role.classList.add("absent");
  const under = last.silence || (server.kind === "observer" && last.mode !== "observer" ? "observer" : "");
  cells[1].replaceChildren(role, el("span", { className: "under", textContent: under }));
  say(cells[2], count(last.epoch));
  cells[3].replaceChildren(el("span", { className: "mono", textContent: last.zxid || "–" }));
  say(cells[4], lag(last, leader));
  const rates = row.samples.map((each, index) => rate(row.samples[index - 1], each));
  drawSpark(row.sparks[5], row.samples, rates, (number) => count(Math.round(number)));
  drawSpark(row.sparks[6], row.samples, row.samples.map((each) => each.answer_ms ?? null), (number) => `${number.toFixed(number < 10 ? 1 : 0)} ms`);
  say(cells[7], last.latency_ms === undefined || last.latency_ms === null ? "–" : `${short(last.latency_ms)} / ${short(last.max_latency_ms)} ms`);
  say(cells[8], count(last.connections));
  say(cells[9], count(last.outstanding));
}

const short = (number) => (number === null ? "–" : String(Math.round(number * 100) / 100));

function twoLines(cell, first, second, tag = "span") {
  if (cell.dataset.shown === `${first}\n${second}`) return;
  cell.dataset.shown = `${first}\n${second}`;
  cell.replaceChildren(el("span", {}, el(tag, { textContent: first }), el("span", { className: "under", textContent: second })));
}

function lag(sample, leader) {
  if (!sample.zxid || !leader || !leader.zxid) return "–";
  if (sample.mode === "leader") return "leads";
  const behind = BigInt(leader.zxid) - BigInt(sample.zxid);
  if (BigInt(leader.zxid) >> 32n !== BigInt(sample.zxid) >> 32n) return behind > 0n ? "an epoch" : "ahead";
  return behind <= 0n ? "none" : plural(Number(behind), "transaction");
}

function rate(before, after) {
  if (!before || before.received === undefined || after.received === undefined) return null;
  const passed = after.at_ms - before.at_ms;
  const more = after.received - before.received;
  return passed > 0 && more >= 0 ? (more * 1000) / passed : null;
}

/** A line of the last minute, two units a second; it is interrupted where nothing is known. */
function drawSpark({ number, spark, label }, samples, values, shown) {
  const known = values.filter((each) => each !== null);
  const last = values.length ? values.at(-1) : null;
  say(number, last === null ? "–" : shown(last));
  const most = Math.max(...known, 0.001);
  spark.setAttribute("aria-label", known.length ? `${label}: at most ${shown(most)} in the last minute` : `${label}: not known`);
  const runs = [[]];
  values.forEach((value, index) => {
    const x = 120 - (samples.at(-1).at_ms - samples[index].at_ms) / 500;
    if (value === null) runs.push([]);
    else runs.at(-1).push([x.toFixed(1), (25 - (value / most) * 23).toFixed(1)]);
  });
  const drawn = runs.filter((run) => run.length);
  const path = (run) => run.map((point) => point.join(" ")).join("L");
  spark.firstChild.setAttribute("d", drawn.map((run) => `M${run[0][0]} 26L${path(run)}L${run.at(-1)[0]} 26Z`).join(""));
  spark.lastChild.setAttribute("d", drawn.map((run) => `M${path(run)}`).join(""));
}

function sayEnsemble(lead, self, rows) {
  const parts = [];
  if (self.is_standalone) parts.push("One server, standalone.");
  else {
    const serving = rows.filter((row) => SERVING.includes((row.samples.at(-1) || {}).mode)).length;
    parts.push(`${plural(rows.length, "server")}, ${serving === rows.length ? "all" : serving ? count(serving) : "none"} of them seen serving.`);
    parts.push(self.leader === null ? "This server knows of no leader." : `Server ${self.leader} leads.`);
  }
  if (self.is_serving) parts.push(`${plural(self.sessions, "session")}.`);
  else parts.push("This server serves nobody just now: sessions, quotas and the tree are not to be had; its elections are.");
  const own = rows.map((row) => row.samples.at(-1) || {}).find((each) => each.znodes !== undefined);
  if (own) parts.push(`${plural(own.znodes, "znode")}.`);
  say(lead, parts.join(" "));
}

function showSelf(self) {
  page.self = self;
  say($("#self"), self.is_standalone ? self.mode : `server ${self.id}, ${self.mode}`);
}

// The tree ------------------------------------------------------------------------------------

const ROW = 26;
const tree = { root: null, active: null, abort: null };

const join = (parent, name) => (parent === "/" ? `/${name}` : `${parent}/${name}`);
const parentOf = (path) => path.slice(0, path.lastIndexOf("/")) || "/";

function newNode(parent, name) {
  const path = parent ? join(parent.path, name) : "/";
  return { parent, name, path, depth: parent ? parent.depth + 1 : 0, children: null, open: false, stat: undefined, progress: "" };
}

function treeView(main, wanted) {
  main.classList.add("tight");
  tree.root = tree.root || newNode(null, "");
  const list = treeList((node) => show(node.path));
  const detail = el("div", { className: "znode", "aria-label": "The chosen znode", role: "region", tabIndex: -1 });
  const search = searchBox(list, (path) => reveal(path));
  const side = el("div", { className: "side" }, search.form, search.note, list.box, search.found);
  main.append(el("div", { className: "split" }, side, detail));
  let current = null;

  function show(path) {
    const hash = `#/tree${path === "/" ? "" : path.split("/").map(encodeURIComponent).join("/")}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    markCurrent();
    if (current) current.close();
    current = znodeDetail(detail, path, { reveal, reload: (where) => list.reload(where), show });
  }

  async function reveal(path) {
    const node = await list.open(path);
    if (node && node.path === path) show(path);
    else if (node) {
      show(node.path);
      current.say(`There is no ${path} (any more), or it may not be seen.`);
    }
  }

  /** Once there is a tree again, show it. */
  async function refreshNow() {
    if (!tree.root.children && page.self && page.self.is_serving) await reveal(wanted);
  }

  reveal(wanted);
  return { refresh: refreshNow, every: 1500, close: () => { if (current) current.close(); search.close(); } };
}

/** The list of rows: only those in sight are elements, however many there are. */
function treeList(chosen) {
  const space = el("div", { role: "presentation" });
  const box = el("div", { className: "tree", role: "tree", tabIndex: 0, "aria-label": "Znodes" }, space);
  let rows = [];
  let timer = 0;
  let statTimer = 0;

  function flatten() {
    rows = [];
    const walk = (node) => {
      rows.push(node);
      if (node.open && node.children) node.children.forEach(walk);
    };
    walk(tree.root);
    space.style.height = `${rows.length * ROW}px`;
    draw();
  }

  function draw() {
    const first = Math.max(Math.floor(box.scrollTop / ROW) - 4, 0);
    const last = Math.min(first + Math.ceil((box.clientHeight || 600) / ROW) + 8, rows.length);
    space.replaceChildren(...rows.slice(first, last).map((node, index) => rowOf(node, first + index)));
    const active = space.querySelector("[aria-selected=true]");
    if (active) box.setAttribute("aria-activedescendant", active.id);
    else box.removeAttribute("aria-activedescendant");
    clearTimeout(statTimer);
    statTimer = setTimeout(() => fetchStats(rows.slice(first, last), draw), 60);
  }

  function rowOf(node, index) {
    const isLeaf = node.stat && node.stat.num_children === 0;
    const isEphemeral = node.stat && node.stat.owner;
    const shown = node.progress || (node.stat && node.stat.num_children ? count(node.stat.num_children) : "");
    const siblings = node.parent ? node.parent.children : [node];
    const row = el("div", { className: "row", id: `row-${index}`, role: "treeitem",
      "aria-level": node.depth + 1, "aria-selected": String(node === tree.active),
      "aria-setsize": siblings.length, "aria-posinset": node.place + 1 || 1, title: node.path,
      "aria-expanded": isLeaf ? undefined : String(node.open),
      onclick: (event) => {
        activate(node);
        if (event.target.className === "twist" || node.path === "/") toggle(node);
      },
      ondblclick: (event) => { if (event.target.className !== "twist" && node.path !== "/") toggle(node); } },
      el("span", { className: "twist", "aria-hidden": "true", textContent: isLeaf ? "" : node.open ? "▼" : "▶" }),
      el("span", { className: `name ${isEphemeral ? "ephemeral" : node.stat === null ? "soft" : ""}`, textContent: node.name || "/" }),
      el("span", { className: "count", textContent: shown, "aria-label": shown ? `${shown} children` : undefined }));
    row.style.top = `${index * ROW}px`;
    row.style.paddingLeft = `${6 + node.depth * 14}px`;
    return row;
  }

  function activate(node, wait = 0) {
    tree.active = node;
    const top = rows.indexOf(node) * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => chosen(node), wait);
  }

  async function toggle(node, open = !node.open) {
    node.open = open;
    if (open && !node.children) await load(node);
    flatten();
  }

  async function load(node) {
    const known = new Map((node.children || []).map((each) => [each.name, each]));
    const names = [];
    try {
      for await (const line of lines(query("children", { path: node.path }))) {
        if (Array.isArray(line)) {
          names.push(...line);
          node.progress = `${count(names.length)} of ${count(node.stat.num_children)}`;
          if (names.length % 5000 === 0) draw();
        } else node.stat = line.stat;
      }
    } catch (error) {
      node.progress = reason(error);
      node.open = false;
      return false;
    }
    node.progress = "";
    names.sort();
    node.children = names.map((name) => known.get(name) || newNode(node, name));
    node.children.forEach((each, index) => { each.place = index; });
    return true;
  }

  /** Open all above a path; the node of the path, or the last one on the way that there is. */
  async function open(path) {
    let node = tree.root;
    const names = path === "/" ? [] : path.slice(1).split("/");
    if (!node.children) await toggle(node, true);
    for (const name of names) {
      let next = (node.children || []).find((each) => each.name === name);
      if (!next && (await load(node))) next = node.children.find((each) => each.name === name);
      if (!next) break;
      node.open = true;
      if (next.path !== path && !next.children) await load(next);
      node = next;
    }
    flatten();
    tree.active = node;
    const at = rows.indexOf(node) * ROW;
    if (at < box.scrollTop || at + ROW > box.scrollTop + box.clientHeight) box.scrollTop = Math.max(at - 60, 0);
    draw();
    return node;
  }

  async function reload(path) {
    let node = tree.root;
    for (const name of path === "/" ? [] : path.slice(1).split("/")) {
      node = node && (node.children || []).find((each) => each.name === name);
    }
    if (!node) return;
    node.stat = undefined;
    if (node.children || node.open) await load(node);
    flatten();
  }

  box.addEventListener("scroll", () => requestAnimationFrame(draw));
  box.addEventListener("keydown", (event) => {
    const at = rows.indexOf(tree.active);
    const node = rows[at];
    const page = Math.max(Math.floor(box.clientHeight / ROW) - 1, 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: Math.min(at + page, rows.length - 1), PageUp: Math.max(at - page, 0) }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (to !== undefined) {
      if (rows[to]) activate(rows[to], 150);
    } else if (event.key === "ArrowRight" && node) {
      if (!node.open) toggle(node, true);
      else if (node.children && node.children.length) activate(node.children[0], 150);
    } else if (event.key === "ArrowLeft" && node) {
      if (node.open && node.children && node.children.length) toggle(node, false);
      else if (node.parent) activate(node.parent, 150);
    } else if (event.key === "Enter" && node) activate(node);
    else if (event.key === " " && node) toggle(node);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => draw()).observe(box);
  return { box, open, reload };
}

/** Ask for the Stats of rows in sight that have none yet, by parent. */
async function fetchStats(rows, draw) {
  const byParent = new Map();
  for (const node of rows) {
    if (node.stat !== undefined || !node.parent) continue;
    node.stat = null;
    byParent.set(node.parent, [...(byParent.get(node.parent) || []), node]);
  }
  for (const [parent, nodes] of byParent) {
    try {
      const { stats } = await ask("stats", { body: { path: parent.path, names: nodes.map((each) => each.name) } });
      nodes.forEach((node, index) => { node.stat = stats[index]; });
    } catch {
      nodes.forEach((node) => { node.stat = undefined; });
      return;
    }
  }
  if (byParent.size) draw();
}

/** A path that is begun, or a name to look for below the open node. */
function searchBox(list, chosen) {
  const input = el("input", { type: "search", name: "search", autocomplete: "off", spellcheck: false,
    placeholder: "/path or part of a name", "aria-label": "Path, or part of a name below the open znode" });
  const text = el("span", { role: "status" });
  const more = el("button", { type: "button", textContent: "Search on", hidden: true });
  const end = el("button", { type: "button", textContent: "Back to the tree" });
  const note = el("div", { className: "note", hidden: true }, text, more, end);
  const found = el("div", { className: "found", hidden: true });
  const form = el("form", { role: "search" }, input, el("button", { textContent: "Search" }));
  let run = 0;
  let timer = 0;

  function stop() {
    run++;
    note.hidden = found.hidden = true;
    list.box.hidden = false;
  }

  function begin() {
    found.replaceChildren();
    note.hidden = found.hidden = false;
    list.box.hidden = more.hidden = true;
    text.textContent = "Searching …";
    return ++run;
  }

  function add(paths, part) {
    found.append(...paths.map((path) => {
      const at = path.toLowerCase().lastIndexOf(part.toLowerCase());
      return el("button", { type: "button", className: "plain", title: path, onclick: () => { stop(); input.value = ""; chosen(path); } },
        path.slice(0, at), el("mark", { textContent: path.slice(at, at + part.length) }), path.slice(at + part.length));
    }));
  }

  async function complete(prefix) {
    const mine = begin();
    try {
      const report = await ask(query("complete", { prefix }));
      if (mine !== run) return;
      add(report.paths, prefix);
      text.textContent = report.count > report.paths.length ? `The first ${report.paths.length} of ${plural(report.count, "path")}` : plural(report.count, "path");
    } catch (error) {
      if (mine === run) text.textContent = reason(error);
    }
  }

  /** Many short requests, so that the server never works long for one; a pause after enough. */
  async function look(name, below) {
    const mine = begin();
    let state = { path: below, name };
    let seen = 0;
    more.onclick = () => { more.hidden = true; go(20_000); };
    async function go(budget) {
      const limit = seen + budget;
      try {
        while (state) {
          const report = await ask(query("search", state));
          if (mine !== run) return;
          add(report.matches, name);
          seen = report.looked_at;
          state = report.id ? { id: report.id } : null;
          const many = found.childElementCount;
          const left = report.left_out ? `; ${count(report.left_out)} were too many to look into` : "";
          text.textContent = `${plural(many, "name")} below ${below}, ${plural(seen, "znode")} looked into${state ? " …" : ""}${left}`;
          if (state && (seen >= limit || many >= 1000)) { more.hidden = false; return; }
        }
      } catch (error) {
        if (mine === run) text.textContent = reason(error);
      }
    }
    await go(20_000);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    const value = input.value.trim();
    if (value.startsWith("/")) {
      stop();
      input.value = "";
      chosen(value.length > 1 ? value.replace(/\/+$/, "") : value);
    } else if (value) {
      let below = tree.active || tree.root;
      while (!below.open && below.parent) below = below.parent;
      look(value, below.path);
    }
    else stop();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    const value = input.value.trim();
    if (value.startsWith("/") && value.length > 1) timer = setTimeout(() => complete(value), 200);
    else if (!value) stop();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { input.value = ""; stop(); }
    if (event.key === "ArrowDown" && !found.hidden && found.firstChild) { found.firstChild.focus(); event.preventDefault(); }
  });
  found.addEventListener("keydown", (event) => {
    const to = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key];
    if (to && document.activeElement.parentNode === found) {
      (document.activeElement[to] || input).focus();
      event.preventDefault();
    }
  });
  end.onclick = () => { input.value = ""; stop(); list.box.focus(); };
  return { form, note, found, close: () => { run++; clearTimeout(timer); } };
}

// One znode -----------------------------------------------------------------------------------

function znodeDetail(box, path, { reveal, reload, show }) {
  let closed = false;
  let found = null;
  const status = el("p", { className: "error", role: "alert", hidden: true });
  const body = el("div");
  box.replaceChildren(crumbs(path, reveal), status, body);
  box.scrollTop = 0;

  function tell(text) {
    status.textContent = text;
    status.hidden = !text;
  }

  async function load() {
    try {
      found = await ask(query("znode", { path }));
    } catch (error) {
      if (closed) return;
      // Who may not read here may yet be one who may create.
      const mayCreate = error.code === "NOAUTH";
      body.replaceChildren(el("p", { className: "buttons left" }, button("Try again", load), mayCreate ? button("New child", create) : null));
      tell(reason(error));
      return;
    }
    if (closed) return;
    tell("");
    showZnode();
  }

  function showZnode() {
    body.replaceChildren(
      el("p", { className: "buttons left" }, button("Edit", edit), button("New child", create),
        path === "/" ? null : button("Delete", remove), button("Refresh", () => { load(); reload(path); })),
      dataSection(found), statSection(found.stat), aclSection(found.acl));
  }

  async function edit() {
    if (!(await mayChange()) || closed) return;
    editData(body, found, { saved: () => load(), cancelled: showZnode });
  }

  async function create() {
    if (!(await mayChange())) return;
    const made = await dialog("#create", (form) => {
      form.elements.path.value = path === "/" ? "/" : `${path}/`;
      form.elements.mode.onchange = () => { $(".ttl", form).hidden = form.elements.mode.value !== "ttl"; };
      form.elements.mode.onchange();
    }, async (form) => {
      const given = Object.fromEntries(new FormData(form));
      const body = { path: given.path, mode: given.mode, acl: given.acl, data: base64(new TextEncoder().encode(given.data)) };
      if (given.mode === "ttl") body.ttl_ms = Math.round(Number(given.ttl) * 1000);
      return (await ask("create", { body })).path;
    });
    if (!made) return;
    await reload(parentOf(made));
    await reveal(made);
  }

  async function remove() {
    if (!(await mayChange()) || closed) return;
    const version = found.stat.version;
    const done = await dialog("#delete", (form) => {
      $(".path", form).textContent = path;
      $(".note", form).textContent = found.stat.num_children
        ? `It has ${plural(found.stat.num_children, "child", "children")}, so the server will refuse.`
        : `Version ${version}, ${bytes(found.stat.data_length)}. It cannot be brought back.`;
    }, async () => {
      try {
        await ask("delete", { body: { path, version } });
      } catch (error) {
        if (error.code !== "BADVERSION") throw error;
        found = error.report.current;
        showZnode();
        throw new Error(`Somebody has changed it meanwhile: it has version ${found.stat.version} now, you saw ${version}. Look at it, then delete it again.`);
      }
    });
    if (!done) return;
    await reload(parentOf(path));
    await reveal(parentOf(path));
  }

  load();
  return { close() { closed = true; }, say: tell, show };
}

const button = (text, onclick, className = "") => el("button", { type: "button", textContent: text, onclick, className });

function crumbs(path, reveal) {
  const line = el("nav", { className: "crumbs mono", "aria-label": "Path" });
  const names = path === "/" ? [] : path.slice(1).split("/");
  line.style.width = "auto";
  line.style.display = "block";
  if (!names.length) return (line.append(el("b", { textContent: "/" })), line);
  line.append(button("/", () => reveal("/"), "plain"));
  names.forEach((name, index) => {
    if (index) line.append(el("i", { textContent: "/" }));
    const above = `/${names.slice(0, index + 1).join("/")}`;
    line.append(index === names.length - 1 ? el("b", { textContent: name }) : button(name, () => reveal(above), "plain"));
  });
  return line;
}

// Data: text, JSON, hex

function unbase64(text) {
  return Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
}

function base64(data) {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(text);
}

/** The text that these bytes are, or null. */
function textOf(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function isJson(text) {
  if (text === null || text.length > 1 << 20 || !/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function dataSection(found) {
  const data = found.data === null ? new Uint8Array() : unbase64(found.data);
  const text = textOf(data);
  const can = { text: text !== null, json: isJson(text), hex: true };
  let form = can.json ? "json" : can.text ? "text" : "hex";
  const pre = el("pre", { tabIndex: 0, "aria-label": "Data" });
  const more = button("Show more", () => {});
  const paint = () => {
    pre.className = form === "text" ? "wrap" : "";
    more.hidden = true;
    if (!data.length) pre.replaceChildren(el("span", { className: "off", textContent: found.data === null ? "null" : "empty" }));
    else if (form === "json") pre.replaceChildren(...prettyJson(text));
    else if (form === "text") pre.textContent = text;
    else paintHex(pre, data, more, 2048);
  };
  const choice = el("span", { className: "choice", role: "radiogroup", "aria-label": "How the data are shown" },
    ...["text", "json", "hex"].map((each) => el("label", {},
      el("input", { type: "radio", name: "form", value: each, checked: each === form, disabled: !can[each], onchange: () => { form = each; paint(); } }),
      { text: "Text", json: "JSON", hex: "Hex" }[each])));
  paint();
  return el("section", {}, el("div", { className: "data-head" }, el("h3", { textContent: `Data, ${bytes(data.length)}` }), choice), pre, more);
}

/** JSON with line ends and blanks, token by token: numbers and doubled keys stay as they are. */
function prettyJson(text) {
  if (text.length > 200_000) return [text];
  const parts = [];
  let depth = 0;
  let plain = "";
  const newLine = () => { plain += `\n${"  ".repeat(depth)}`; };
  const word = (className, value) => {
    if (plain) parts.push(plain);
    plain = "";
    parts.push(el("span", { className, textContent: value }));
  };
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[[\]{},:]|[^\s[\]{},:"]+/g) || [];
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      plain += token;
      depth++;
      if (next !== "}" && next !== "]") newLine();
    } else if (token === "}" || token === "]") {
      depth--;
      if (tokens[index - 1] !== "{" && tokens[index - 1] !== "[") newLine();
      plain += token;
    } else if (token === ",") {
      plain += token;
      newLine();
    } else if (token === ":") plain += ": ";
    else if (token.startsWith('"')) word(next === ":" ? "key" : "string", token);
    else word("word", token);
  });
  if (plain) parts.push(plain);
  return parts;
}

function paintHex(pre, data, more, limit) {
  const width = matchMedia("(max-width: 720px)").matches ? 8 : 16;
  const rows = [];
  for (let at = 0; at < Math.min(data.length, limit); at += width) {
    const row = Array.from(data.subarray(at, at + width));
    const hex = row.map((each) => each.toString(16).padStart(2, "0")).join(" ").padEnd(width * 3 - 1);
    const seen = row.map((each) => (each >= 32 && each < 127 ? String.fromCharCode(each) : "·")).join("");
    rows.push(el("span", { className: "off", textContent: `${at.toString(16).padStart(6, "0")}  ` }), `${hex}  `, el("span", { className: "off", textContent: `${seen}\n` }));
  }
  pre.replaceChildren(...rows);
  more.hidden = data.length <= limit;
  more.onclick = () => paintHex(pre, data, more, limit * 8);
}

// Stat and ACL

function statSection(stat) {
  // Servers do not tell clients which of the others they are.
  const kind = stat.owner ? `ephemeral, of session ${stat.owner}` : "persistent, container or TTL";
  const facts = [
    ["Kind", kind],
    ["Changed", `${moment(stat.mtime_ms)} (${ago(stat.mtime_ms)})`],
    ["Created", `${moment(stat.ctime_ms)} (${ago(stat.ctime_ms)})`],
    ["Version of the data", count(stat.version)],
    ["Version of the children", count(stat.cversion)],
    ["Version of the ACL", count(stat.aversion)],
    ["Children", count(stat.num_children)],
    ["Created by", stat.czxid],
    ["Changed by", stat.mzxid],
    ["Children changed by", stat.pzxid],
  ];
  return el("section", {}, el("h3", { textContent: "Stat" }),
    el("dl", { className: "stat" }, ...facts.map(([name, value]) => el("div", {}, el("dt", { textContent: name }),
      el("dd", { className: value.startsWith("0x") ? "mono" : "", textContent: value })))));
}

const PERMISSIONS = { c: "create", d: "delete", r: "read", w: "write", a: "admin" };

function aclSection(acl) {
  const rows = acl === null ? [el("li", { className: "soft", textContent: "may not be seen by you" })] : acl.map((entry) => {
    const names = entry.perms === "cdrwa" ? "everything" : [...entry.perms].map((each) => PERMISSIONS[each]).join(", ") || "nothing";
    return el("li", {}, el("span", { className: "mono", textContent: `${entry.scheme}:${entry.id}` }), ` ${names}`);
  });
  return el("section", {}, el("h3", { textContent: "ACL" }), el("ul", {}, ...rows));
}

// Editing

function hexOf(data) {
  return Array.from(data, (each) => each.toString(16).padStart(2, "0")).join(" ").replace(/((?:.. ){15}..) /g, "$1\n");
}

function bytesOfHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("These are no hexadecimal bytes.");
  return Uint8Array.from(digits.match(/../g) || [], (each) => parseInt(each, 16));
}

function editData(box, found, { saved, cancelled }) {
  const data = found.data === null ? new Uint8Array() : unbase64(found.data);
  const text = textOf(data);
  const isHex = text === null;
  let version = found.stat.version;
  const area = el("textarea", { rows: 16, spellcheck: false, "aria-label": isHex ? "Data, in hexadecimal" : "Data, as text", value: isHex ? hexOf(data) : text });
  const problem = el("p", { className: "error", role: "alert" });
  const conflict = el("div");
  const current = () => (isHex ? bytesOfHex(area.value) : new TextEncoder().encode(area.value));

  async function save() {
    problem.textContent = "";
    try {
      await ask("set", { body: { path: found.path, version, data: base64(current()) } });
      saved();
    } catch (error) {
      if (error.code === "BADVERSION") showConflict(error.report.current);
      else problem.textContent = reason(error);
    }
  }

  function showConflict(theirs) {
    const other = theirs.data === null ? new Uint8Array() : unbase64(theirs.data);
    const otherText = textOf(other);
    const shown = (value, isText) => el("pre", { className: "wrap", tabIndex: 0, textContent: isText ? value : hexOf(value) });
    conflict.replaceChildren(el("section", { className: "conflict", role: "alert", tabIndex: -1 },
      el("h3", { textContent: "Somebody has changed it meanwhile. Nothing was written." }),
      el("div", { className: "sides" },
        el("div", {}, el("p", { textContent: `Yours, made from version ${version}` }), isHex ? shown(current(), false) : shown(area.value, true)),
        el("div", {}, el("p", { textContent: `Theirs, version ${theirs.stat.version}, ${ago(theirs.stat.mtime_ms)}` }), otherText === null ? shown(other, false) : shown(otherText, true))),
      el("p", { className: "buttons left" },
        button(`Write mine over version ${theirs.stat.version}`, () => { version = theirs.stat.version; save(); }),
        button("Take theirs", saved))));
    // Neither button: both give something up, and Enter may still be pressed.
    conflict.firstChild.focus();
  }

  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
    if (event.key === "Escape") { event.preventDefault(); cancelled(); }
  });
  box.replaceChildren(
    el("section", {}, el("h3", { textContent: `Data, version ${version}${isHex ? ", in hexadecimal" : ""}` }), area, problem,
      el("p", { className: "buttons left" }, button("Save", save, "main"), button("Cancel", cancelled),
        el("span", { className: "soft", textContent: "Ctrl+Enter saves, Esc leaves it as it was" })), conflict));
  area.focus();
}

// Sessions ------------------------------------------------------------------------------------

function sessionsView(main) {
  const filter = el("input", { type: "search", placeholder: "Part of an id, address or path", "aria-label": "Show only sessions with this" });
  const previous = button("Previous", () => turn(-500));
  const next = button("Next", () => turn(500));
  const status = el("span", { className: "soft", role: "status" });
  const heads = ["Session", "Timeout", "Client", "Last request", "Requests", "Latency", "Ephemerals", "Watches"];
  const body = el("tbody");
  const table = el("table", { "aria-label": "Sessions" }, el("thead", {}, el("tr", {}, ...heads.map((each) => el("th", { scope: "col", textContent: each })))), body);
  main.append(el("div", { className: "tools" }, filter, status, previous, next), table);
  const rows = new Map();
  let begin = 0;
  let last = null;

  function turn(by) {
    begin = Math.max(begin + by, 0);
    rows.clear();
    body.replaceChildren();
    refreshNow().catch(() => {});
  }

  async function refreshNow() {
    try {
      last = await ask(query("sessions", { begin }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      last = { sessions: [], count: 0, begin, without_session: 0 };
      draw();
      table.hidden = true;
      status.textContent = reason(error);
      return;
    }
    table.hidden = false;
    draw();
  }

  function draw() {
    if (!last) return;
    const part = filter.value.trim().toLowerCase();
    const shown = last.sessions.filter((each) => !part || JSON.stringify(each).toLowerCase().includes(part));
    const keep = new Set(shown.map((each) => each.id));
    for (const [id, row] of rows) if (!keep.has(id)) { row.tr.remove(); rows.delete(id); }
    shown.forEach((session, index) => {
      const row = rows.get(session.id) || sessionRow(session.id, heads, rows);
      fillSession(row, session);
      if (body.children[index] !== row.tr) body.insertBefore(row.tr, body.children[index] || null);
    });
    const others = last.without_session ? `, ${plural(last.without_session, "connection")} without a session` : "";
    say(status, `${plural(last.count, "session")}${others}${part ? `, ${shown.length} shown` : ""}`);
    previous.hidden = next.hidden = last.count <= 500;
    previous.disabled = begin === 0;
    next.disabled = begin + 500 >= last.count;
  }

  filter.addEventListener("input", draw);
  return { refresh: refreshNow, every: 2000, close() {} };
}

function sessionRow(id, heads, rows) {
  const cells = heads.map((label) => el("td", { "data-label": label }));
  const row = { cells, tr: el("tr", {}, ...cells) };
  cells[0].append(el("span", { className: "mono", textContent: id }));
  rows.set(id, row);
  return row;
}

function fillSession({ cells }, session) {
  const connection = session.connection;
  for (const index of [3, 4, 5]) cells[index].classList.toggle("nothing", !connection);
  cells[7].classList.toggle("nothing", !session.watch_count);
  say(cells[1], duration(session.timeout_ms));
  if (connection) {
    twoLines(cells[2], connection.remote_socket_address, `since ${moment(connection.established)}`);
    say(cells[3], connection.last_operation === "NA" ? "–" : connection.last_operation);
    twoLines(cells[4], count(connection.packets_received), connection.outstanding_requests ? `${count(connection.outstanding_requests)} wait` : "");
    say(cells[5], `${connection.avg_latency} / ${connection.max_latency} ms`);
  } else {
    twoLines(cells[2], "–", session.is_local ? "local" : "on another server, or gone");
    for (const index of [3, 4, 5]) { delete cells[index].dataset.shown; say(cells[index], "–"); }
  }
  pathList(cells[6], session.ephemerals, session.ephemeral_count);
  pathList(cells[7], session.watches, session.watch_count);
}

function pathList(cell, paths, total) {
  const key = `${total}\n${paths.join("\n")}`;
  if (cell.dataset.shown === key) return;
  cell.dataset.shown = key;
  const wasOpen = Boolean($("details[open]", cell));
  if (!total) return void cell.replaceChildren("–");
  const items = paths.map((path) => el("li", { className: "mono", textContent: path }));
  if (total > paths.length) items.push(el("li", { className: "soft", textContent: `and ${count(total - paths.length)} more` }));
  cell.replaceChildren(el("details", { open: wasOpen }, el("summary", { textContent: count(total) }), el("ul", {}, ...items)));
}

// Quotas --------------------------------------------------------------------------------------

function quotasView(main) {
  const lead = el("p", { className: "lead" });
  const heads = ["Path", "Znodes", "Bytes"];
  const body = el("tbody");
  const table = el("table", { "aria-label": "Quotas", hidden: true }, el("thead", {}, el("tr", {}, ...heads.map((each) => el("th", { scope: "col", textContent: each })))), body);
  main.append(lead, table);

  async function refreshNow() {
    let report;
    try {
      report = await ask("quotas");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      table.hidden = true;
      say(lead, reason(error));
      return;
    }
    table.hidden = !report.quotas.length;
    const more = report.is_complete ? "" : " There are more; these are the first that were found.";
    say(lead, report.quotas.length
      ? `A soft limit is logged when it is passed, a hard one is refused.${more}`
      : "No part of the tree has a quota that you may see. The shell sets one: setquota -N 1000 /path");
    body.replaceChildren(...report.quotas.map((each) => el("tr", {},
      el("td", { "data-label": heads[0] }, el("a", { className: "mono", href: `#/tree${each.path.split("/").map(encodeURIComponent).join("/")}`, textContent: each.path })),
      usageCell(heads[1], each.znodes, each.znodes_soft, each.znodes_hard, count),
      usageCell(heads[2], each.bytes, each.bytes_soft, each.bytes_hard, bytes))));
  }

  return { refresh: refreshNow, every: 5000, close() {} };
}

function usageCell(label, used, soft, hard, shown) {
  const limit = hard ?? soft;
  const said = limit === null ? `${shown(used)}, no limit` : `${shown(used)} of ${shown(limit)}`;
  const kinds = hard !== null && soft !== null ? `hard; soft ${shown(soft)}` : hard !== null ? "hard" : soft !== null ? "soft" : "";
  const cell = el("td", { "data-label": label }, el("div", {}, said, el("span", { className: "under", textContent: kinds })));
  if (limit !== null && used !== null) {
    const fill = el("i");
    fill.style.width = `${limit ? Math.min((used / limit) * 100, 100) : 100}%`;
    const nearest = Math.min(...[soft, hard].filter((each) => each !== null));
    cell.firstChild.append(el("span", { className: used > nearest ? "bar over" : "bar", role: "img", "aria-label": said }, fill));
  }
  return cell;
}

// Elections -----------------------------------------------------------------------------------

function electionsView(main) {
  const place = el("div");
  main.append(place);
  const state = { chosen: null, drawn: "", follow: true };

  async function refreshNow() {
    const report = await ask("elections");
    if (report.is_standalone) {
      place.replaceChildren(el("p", { className: "empty", textContent: "This server stands alone. It has no ensemble, so it holds no elections: it leads itself." }));
      return;
    }
    if (!report.chapters.length) {
      place.replaceChildren(el("p", { className: "empty", textContent: "This server has held no election yet." }));
      return;
    }
    const kept = report.chapters.some((each) => each.began_ms === state.chosen);
    if (state.follow || !kept) state.chosen = report.chapters.at(-1).began_ms;
    const chosen = report.chapters.find((each) => each.began_ms === state.chosen);
    const key = JSON.stringify([report.chapters.map((each) => [each.began_ms, each.took_ms, each.serves_after_ms, each.end]), chosen.began_ms, chosen.line_count, chosen.left_out]);
    const isOpen = report.chapters.at(-1).end === "";
    if (key !== state.drawn) {
      const full = await ask(query("elections", { began: chosen.began_ms }));
      state.drawn = key;
      draw(report, full);
    } else if (isOpen) $(".past", place).replaceWith(pastOf(report, choose));
  }

  function choose(began, isLast) {
    Object.assign(state, { chosen: began, follow: isLast });
    refreshNow().then(() => { const pressed = $("[aria-pressed=true]", place); if (pressed) pressed.focus(); }).catch(() => {});
  }

  function draw(report, full) {
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(
      el("p", { className: "lead", textContent: `What server ${report.server_id} has seen of its last elections. An election is held whenever a server has no leader: each says whom it would follow, preferring whoever has the newest data, and when more than half name the same server, that one leads.` }),
      pastOf(report, choose),
      el("p", { className: "legend" }, el("i"), "looking for a leader, or joining it", el("i", { className: "serving" }), "following one", el("i", { className: "leading" }), "leading"),
      el("div", { className: "story" }, chapterList(report, full, choose), sequence(report, full)));
    if (hadFocus) { const pressed = $("[aria-pressed=true]", place); if (pressed) pressed.focus(); }
  }

  return { refresh: refreshNow, every: 2000, close() {} };
}

/** When this server followed, led and looked, as a strip of time. */
function pastOf(report, choose) {
  const first = report.chapters[0].began_wall_ms;
  const span = Math.max(report.now_wall_ms - first, 1);
  const width = 1000;
  const x = (at) => ((at - first) / span) * width;
  const strip = svg("svg", { viewBox: `0 0 ${width} 34`, preserveAspectRatio: "none", role: "img", "aria-label": "What this server did over time" });
  report.chapters.forEach((each, index) => {
    const next = report.chapters[index + 1];
    const begin = x(each.began_wall_ms);
    const end = next ? x(next.began_wall_ms) : width;
    const serves = each.serves_after_ms === null ? null : Math.min(x(each.began_wall_ms + each.serves_after_ms), end);
    const bar = (from, to, kind) => svg("rect", { x: from, y: 6, width: Math.max(to - from, 0.5), height: 22, class: kind });
    const group = svg("g", {}, bar(begin, end, ""));
    if (serves !== null) group.append(bar(serves, end, each.role === "leading" ? "leading" : "serving"));
    group.append(svg("line", { x1: begin, x2: begin, y1: 2, y2: 32, "vector-effect": "non-scaling-stroke" }));
    group.append(svg("title", {}, `${clock(each.began_wall_ms)}: ${outcome(each, report.server_id)}`));
    group.addEventListener("click", () => choose(each.began_ms, !next));
    strip.append(group);
  });
  const ends = el("p", {}, el("span", { textContent: moment(first) }), el("span", { textContent: `now, ${duration(span)} later` }));
  return el("div", { className: "past" }, strip, ends);
}

function outcome(chapter, own) {
  if (chapter.winner === null) return "no winner yet";
  const whom = chapter.winner === own ? "this server was elected" : `server ${chapter.winner} was elected`;
  if (chapter.serves_after_ms === null) return `${whom}, it came to nothing ${chapter.end ? "" : "yet"}`.trim();
  const [now, before] = { leading: ["leads", "led"], following: ["follows", "followed"], observing: ["observes", "observed"] }[chapter.role] || ["serves", "served"];
  const did = chapter.end ? before : now;
  return chapter.winner === own ? `${whom} and ${did}` : `${whom}, this one ${did}`;
}

function chapterList(report, full, choose) {
  const list = el("ol", { className: "chapters", "aria-label": "Elections, the last one first" });
  const all = report.chapters;
  [...all].reverse().forEach((each) => {
    const isLast = each === all.at(-1);
    const took = each.took_ms === null ? "goes on" : `decided after ${duration(each.took_ms)}`;
    const served = each.serves_after_ms === null ? "" : `, served after ${duration(each.serves_after_ms)}`;
    const next = all[all.indexOf(each) + 1];
    const lasted = next && each.serves_after_ms !== null ? ` for ${duration(next.began_wall_ms - each.began_wall_ms - each.serves_after_ms)}` : "";
    list.append(el("li", {}, el("button", { type: "button", "aria-pressed": String(each.began_ms === full.began_ms), onclick: () => choose(each.began_ms, isLast) },
      `${moment(each.began_wall_ms)} `, el("strong", { textContent: upper(outcome(each, report.server_id)) }),
      el("span", { textContent: `${upper(took)}${served}${lasted}` }),
      each.end ? el("span", { textContent: `Ended: ${whyOver(each)}` }) : null)));
  });
  return list;
}

/** Why a role was over, without the number that the system has for it. */
const whyOver = (chapter) => chapter.end.replace(/\[Errno \d+\] /, "");

const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The steps of one election: what is said again is counted, not told again. */
function stepsOf(chapter, own) {
  const steps = [];
  const said = new Map();
  for (const line of chapter.lines) {
    const key = [line.happening, line.state, line.for, line.zxid, line.epoch, line.round].join();
    const before = said.get(`${line.happening}${line.server}`);
    if (line.happening === "hears" && before && before.key === key) {
      before.step.times++;
      continue;
    }
    const step = { ...line, times: 1 };
    said.set(`${line.happening}${line.server}`, { key, step });
    steps.push(step);
  }
  if (chapter.serves_after_ms !== null) steps.push({ happening: "serves", server: own, after_ms: chapter.serves_after_ms });
  if (chapter.end) steps.push({ happening: "ends", server: own, after_ms: null });
  return steps;
}

function tellStep(step, chapter, own) {
  const whom = step.for === null ? "nobody" : step.for === step.server ? "itself" : `server ${step.for}`;
  const again = step.times > 1 ? `, ${step.times} times` : "";
  if (step.happening === "proposes") return `This server votes for ${whom}`;
  if (step.happening === "decides") return step.for === own ? "A majority wants this server: it leads" : `A majority wants server ${step.for}: ${step.state === "observing" ? "observe" : "follow"} it`;
  if (step.happening === "serves") return `${chapter.role === "leading" ? "Leads" : "In step"}: serves clients, epoch ${chapter.epoch}`;
  if (step.happening === "ends") return `It was over: ${whyOver(chapter)}`;
  const who = step.server === own ? "This server hears itself: it" : `Server ${step.server}`;
  if (step.state === "looking") return `${who} votes for ${whom}${again}`;
  if (step.state === "leading") return `${who} says that it leads already${again}`;
  return `${who} says that it ${step.state === "observing" ? "observes" : "follows"} ${whom === "itself" ? "itself" : whom}${again}`;
}

function sequence(report, chapter) {
  const own = report.server_id;
  const ids = [...new Set([...report.members.map((each) => each.id), ...chapter.lines.map((each) => each.server)])].sort((a, b) => a - b);
  const all = stepsOf(chapter, own);
  const steps = all.length <= 80 ? all : [...all.slice(0, 40), ...all.slice(-40)];
  const left = all.length - steps.length + chapter.left_out;
  const isNarrow = matchMedia("(max-width: 720px)").matches;
  const gap = Math.max(Math.min((isNarrow ? 120 : 300) / ids.length, isNarrow ? 40 : 84), 20);
  const margin = isNarrow ? 56 : 62;
  const width = margin + gap * ids.length;
  const tall = isNarrow ? 40 : 34;
  const height = 30 + tall * steps.length;
  const lane = (id) => margin + gap * (ids.indexOf(id) + 0.5);
  const picture = svg("svg", { width, height, role: "img", "aria-label": "The steps beside, as a picture: a lane for each server, an arrow for each vote that this server heard" });
  ids.forEach((id) => {
    picture.append(svg("line", { class: id === own ? "lane own" : "lane", x1: lane(id), x2: lane(id), y1: 24, y2: height }));
    picture.append(svg("text", { class: "head", x: lane(id), y: 14, "text-anchor": "middle" }, isNarrow || gap < 60 ? String(id) : `server ${id}`));
  });
  const list = el("ol");
  steps.forEach((step, index) => {
    const y = 30 + tall * (index + 0.5);
    drawStep(picture, step, y, lane, own, chapter.winner);
    const label = step.after_ms === null ? "" : `+${step.after_ms < 10_000 ? `${step.after_ms} ms` : duration(step.after_ms)}`;
    picture.append(svg("text", { class: "at", x: margin - 8, y: y + 4, "text-anchor": "end" }, label));
    const isQuiet = step.happening === "hears";
    const detail = step.zxid ? `zxid ${step.zxid}, epoch ${step.epoch ?? "–"}, round ${step.round}` : "";
    list.append(el("li", { className: isQuiet ? "quiet" : "", title: detail }, el("span", { textContent: tellStep(step, chapter, own) })));
  });
  const head = `${moment(chapter.began_wall_ms)}, as server ${own} saw it`;
  const omitted = left > 0 ? el("p", { className: "soft", textContent: `${plural(left, "step")} in between left out.` }) : null;
  return el("section", { className: "sequence", "aria-label": "The chosen election" }, el("h2", { textContent: head }),
    el("p", { className: "soft", textContent: "A circle names the server that is voted for, filled if that one won; arrows come from the others, a ring is the decision." }), omitted, el("div", { className: "steps" }, picture, list));
}

function drawStep(picture, step, y, lane, own, winner) {
  const x = lane(step.server);
  if (step.happening === "serves" || step.happening === "ends") {
    const kind = step.happening === "serves" ? "served" : "gone";
    if (kind === "served") picture.append(svg("line", { class: kind, x1: x, x2: x, y1: y - 10, y2: y + 10 }));
    else picture.append(svg("path", { class: kind, fill: "none", d: `M${x - 6} ${y - 6}l12 12m-12 0l12 -12` }));
    return;
  }
  if (step.happening === "hears" && step.server !== own) {
    const to = lane(own);
    const side = to > x ? -1 : 1;
    picture.append(svg("line", { class: "flight", x1: x, x2: to + side * 6, y1: y, y2: y }));
    picture.append(svg("path", { class: "tip", d: `M${to} ${y}l${side * 7} -4v8Z` }));
  }
  const isWinner = step.for !== null && step.for === winner;
  if (step.happening === "decides") picture.append(svg("circle", { class: "decision", cx: x, cy: y, r: 14 }));
  picture.append(svg("circle", { class: isWinner ? "vote winner" : "vote", cx: x, cy: y, r: 10 }));
  picture.append(svg("text", { class: isWinner ? "chosen winner" : "chosen", x, y: y + 4, "text-anchor": "middle" }, step.for === null ? "–" : String(step.for)));
}

// The router ----------------------------------------------------------------------------------

const VIEWS = { ensemble: ensembleView, tree: treeView, sessions: sessionsView, quotas: quotasView, elections: electionsView };
const NEVER = 999_999_999_999_999;
const router = { name: "", view: null, timer: 0, beat: 0 };

function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/");
  const name = VIEWS[parts[0]] ? parts[0] : "ensemble";
  let path = "/";
  try {
    path = `/${parts.slice(1).map(decodeURIComponent).join("/")}`;
  } catch {
    path = "/";
  }
  if (router.view) router.view.close();
  const main = $("#main");
  main.className = "";
  main.replaceChildren();
  router.name = name;
  markCurrent();
  document.title = `${name} – zkserver`;
  router.view = VIEWS[name](main, path);
  refresh();
}

function markCurrent() {
  document.querySelectorAll("header nav a").forEach((link) => {
    if (link.hash === `#/${router.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

/** Ask again, now and then every so often, while the page is seen. */
async function refresh() {
  clearTimeout(router.timer);
  const view = router.view;
  if (document.hidden || view.busy) return;
  view.busy = true;
  try {
    if (view.refresh) await view.refresh();
    // Elsewhere a beat now and then tells who this server is, and whether it is still there.
    if (router.name !== "ensemble" && (page.lost || Date.now() - router.beat > 3000)) {
      router.beat = Date.now();
      showSelf((await ask(query("ensemble", { after: NEVER }))).self);
    }
    if (!page.lost) $("#banner").hidden = true;
  } catch (error) {
    if (error instanceof Refusal) warn(reason(error));
    else if (error.name !== "AbortError" && !page.lost) console.error(error);
  } finally {
    view.busy = false;
  }
  if (view !== router.view) return;
  clearTimeout(router.timer);
  router.timer = setTimeout(refresh, page.lost ? 2000 : view.every || 3000);
}

$("#who").onclick = async () => {
  if (page.token) signOut();
  else if (await signIn()) credentialsChanged();
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
window.addEventListener("hashchange", route);
route();
