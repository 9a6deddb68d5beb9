(function () {
  if (!document.getElementById("list")) return; // a run that sampled nothing has no completions
  const at = (id) => document.getElementById(id);
  const option = (value, words) => make("option", { value }, words ?? value);
  const STEPS = "one query, step by step";
  let player = null, entries = [];

  /** All completions of a group as lanes under one player, and the chosen one in full. */
  function view(group, chosen) {
    const strip = data.films[group.video] || null;
    const screen = make("div", { class: "player" }), lanes = make("div"), detail = make("div", { class: "detail" });
    const own = new Player(screen, { name: group.video, duration_s: group.duration_s, strip, inside: true, codec: "none" });
    if (!strip) screen.hidden = true;
    const all = new Lanes(lanes, own, strip);
    function pick(number) {
      player = own;
      const one = group.completions[number];
      const rows = group.windows === null || group.task !== "tvg" ? [] : [{ name: "truth", kind: "truth", bars: group.windows, iou: null, note: group.windows.length ? "" : "not in this video" }];
      group.completions.forEach((completion, place) => {
        const label = make("button", { class: "pick", type: "button", "aria-pressed": String(place === number), onclick: () => pick(place) }, `${place + 1}`, make("small", {}, ` ${completion.reward.toFixed(2)}`));
        rows.push({ name: `completion ${place + 1}`, label, kind: "completion", bars: completion.bars, iou: completion.iou, note: completion.bars.length ? "" : completion.said });
      });
      all.set(rows);
      const few = one.lanes.filter((lane) => lane.kind === "anchor");
      const inner = make("div");
      const parts = make("p", { class: "facts" }, ...[["reward", one.reward], ["advantage", one.advantage], ...Object.entries(one.rewards), ["tokens", one.tokens]].map(([name, value]) => make("span", {}, `${name} `, make("b", {}, String(value)))));
      detail.replaceChildren(make("h3", {}, `completion ${number + 1}${one.said ? `: ${one.said}` : ""}`), parts, one.failure ? make("p", { class: "wrong" }, one.failure) : "", thought(one.pieces, own), inner);
      if (few.length) new Lanes(inner, own, null).set(one.lanes);
    }
    const box = make("div", { class: "view" }, make("h3", {}, group.query), make("p", { class: "facts" }, ...[`${data.runs[group.run].name}`, `${group.stage}, step ${group.step}`, group.task, group.sample, group.video].map((words) => make("span", {}, words))), screen, lanes, detail);
    return { box, start: () => pick(chosen) };
  }

  function matches(group) {
    const words = at("words").value.toLowerCase();
    const text = () => [group.query, ...group.completions.map((one) => one.pieces.map((piece) => piece.text).join(""))].join("\n").toLowerCase();
    return (at("run").value === "" || group.run === Number(at("run").value)) && (at("stage").value === "" || group.stage === at("stage").value) && (!words || text().includes(words));
  }

  /** The entries that the filters leave: each a list of groups to be shown side by side. */
  function refill() {
    const list = at("list").value;
    at("query").parentElement.hidden = list !== STEPS;
    entries = [];
    if (list === STEPS) {
      const of = data.runs.map((run) => (run.queries[at("query").value] || []).map((number) => [run.groups[number], 0]).filter(([group]) => matches(group)));
      const most = Math.max(...of.map((groups) => groups.length));
      for (let number = 0; number < most; number += 1) {
        entries.push(of.filter((groups) => groups.length).map((groups) => groups[Math.round((number * (groups.length - 1)) / Math.max(1, most - 1))]));
      }
    } else {
      for (const run of data.runs) for (const [number, chosen] of run.lists[list] || []) if (matches(run.groups[number])) entries.push([[run.groups[number], chosen]]);
    }
    at("slider").max = Math.max(0, entries.length - 1);
    at("slider").value = list === STEPS ? Math.max(0, entries.length - 1) : 0;
    at("count").textContent = `${entries.length} group${entries.length === 1 ? "" : "s"}`;
    show();
  }

  function show() {
    const entry = entries[Number(at("slider").value)];
    if (player) player.stop();
    if (!entry) {
      at("where").textContent = "";
      at("views").replaceChildren(make("p", { class: "quiet-note" }, "No group in this page fits the filters."));
      return;
    }
    at("where").textContent = entry.map(([group]) => `step ${group.step}`).join(" | ");
    const views = entry.map(([group, chosen]) => view(group, chosen));
    at("views").replaceChildren(...views.map((one) => one.box));
    views.reverse().forEach((one) => one.start());
  }

  const names = [...new Set(data.runs.flatMap((run) => Object.keys(run.lists)))];
  const groups = data.runs.flatMap((run) => Object.values(run.groups));
  const queries = new Map(data.runs.flatMap((run) => Object.entries(run.queries).filter(([, of]) => of.length).map(([sample, of]) => [sample, run.groups[of[0]].query])));
  if (queries.size) at("list").append(option(STEPS));
  at("list").append(...names.map((name) => option(name)));
  at("query").append(...[...queries].map(([sample, words]) => option(sample, words)));
  at("run").append(option("", "all"), ...data.runs.map((run, number) => option(String(number), run.name)));
  at("run").parentElement.hidden = data.runs.length < 2;
  at("stage").append(option("", "all"), ...[...new Set(groups.map((group) => group.stage))].map((name) => option(name)));
  for (const id of ["list", "query", "run", "stage"]) at(id).addEventListener("change", refill);
  at("words").addEventListener("input", refill);
  at("slider").addEventListener("input", show);
  const move = (by) => { at("slider").value = Number(at("slider").value) + by; show(); };
  listen(() => player, { n: () => move(1), p: () => move(-1) });
  refill();
})();
