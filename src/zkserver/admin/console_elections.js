// The console of zkserver, fourth part: the elections of this server.
"use strict";

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
