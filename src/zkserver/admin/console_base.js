// The console of zkserver, first part of five: elements, numbers, requests, credentials.
//
// No framework, no outside address. The parts are plain scripts in the order of console.html, and
// see each other's names: console_base, console_tree, console_znode, console_elections, console (the
// other views, and the router). Texts of the server go into the page by `textContent` alone. A view gives
// `{ refresh, every, close }`; the router calls `refresh` every `every` ms while the page is seen.
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
