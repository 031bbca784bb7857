// The console of zkserver, second part: the tree, and the search in it.
"use strict";

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
