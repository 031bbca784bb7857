// The console of zkserver, last part: the ensemble, sessions, quotas, and the router.
"use strict";

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
