// The console of zkserver, third part: one znode, its data, Stat and ACL, and what changes it.
"use strict";

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
