// Dimension by dimension: one run's table, sorted and filtered, and a plot of the same dimensions.
const TRACKS = { std_mean: "σ", exponent: "λ", kl: "KL" };
function track(run, key, dimension) {
  const packed = run.tracks[key];
  if (!packed) return null;
  if (!packed.steps) {
    const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
    packed.steps = new Uint16Array(bytes.buffer);
  }
  const count = run.epochs.length;
  return Array.from(packed.steps.subarray(dimension * count, (dimension + 1) * count), (s) => packed.low + s * packed.step);
}

// A verdict as the name of a style.
const word = (verdict) => verdict.replace(/[^a-z]+/g, "-");

function dimensions() {
  const shown = runs.filter((run) => Object.keys(run.dims).length);
  const state = { run: shown[0], sort: "kl", down: true, chosen: null };
  const body = $("dim-table").tBodies[0], head = $("dim-table").tHead;
  const count = (run) => run.verdict.length || Object.values(run.dims)[0].length;
  const columns = () => data.columns.filter((c) => state.run.dims[c.key] && state.run.dims[c.key].some((v) => v !== null));
  const verdict = (i) => state.run.verdict[i] || "";
  const value = (key, i) => (key === "dimension" ? i : key === "verdict" ? verdict(i) : key === "cause" ? state.run.cause[i] || "" : state.run.dims[key][i]);

  function order() {
    const wanted = new Set([...$("dim-verdicts").querySelectorAll("input:checked")].map((box) => box.value));
    const find = $("dim-find").value.trim(), cause = $("dim-cause").value;
    const all = [...Array(count(state.run)).keys()].filter((i) => (!state.run.verdict.length || wanted.has(verdict(i)))
      && (!find || String(i).startsWith(find)) && (!cause || state.run.cause[i] === cause));
    const sign = state.down ? -1 : 1;
    // What was not measured stands last, whichever way the order runs.
    return all.sort((a, b) => {
      const u = value(state.sort, a), v = value(state.sort, b);
      if (u === null || v === null) return (u === null) - (v === null) || a - b;
      return (u < v ? -1 : u > v ? 1 : 0) * sign || a - b;
    });
  }

  function header() {
    const cell = (key, title, hint) => {
      const th = document.createElement("th"), button = document.createElement("button");
      th.scope = "col"; th.dataset.key = key; th.title = hint;
      button.type = "button"; button.textContent = title;
      button.addEventListener("click", () => {
        state.down = state.sort === key ? !state.down : !["dimension", "verdict", "cause"].includes(key);
        state.sort = key;
        update();
      });
      th.append(button);
      return th;
    };
    const row = document.createElement("tr");
    row.append(cell("dimension", "dim.", "index of the dimension"), ...columns().map((c) => cell(c.key, c.title, c.hint)));
    if (state.run.verdict.length) row.append(cell("verdict", "verdict", Object.keys(VERDICTS).map(verdictName).join(", ")), cell("cause", "cause", "why it collapsed"));
    head.replaceChildren(row);
  }

  let rows = [];
  function build() {
    const shape = columns();
    rows = [...Array(count(state.run)).keys()].map((i) => {
      const row = document.createElement("tr"), first = document.createElement("th");
      first.scope = "row"; first.textContent = i; row.append(first);
      for (const c of shape) row.insertCell().textContent = fixed(state.run.dims[c.key][i], c.digits);
      if (state.run.verdict.length) {
        const cell = row.insertCell(), mark = document.createElement("span");
        cell.className = "word"; mark.className = `mark ${word(verdict(i))}`;
        mark.textContent = (VERDICTS[verdict(i)] || ["·"])[0];
        cell.append(mark, verdictName(verdict(i)));
        const why = row.insertCell(), cause = CAUSES[state.run.cause[i]];
        why.className = "word";
        if (cause) {
          const dot = document.createElement("span");
          dot.className = "swatch"; dot.style.background = cause.color; why.title = cause.meaning;
          why.append(dot, cause.name);
        }
      }
      row.addEventListener("click", () => choose(i));
      return row;
    });
  }

  function choose(i) {
    if (state.chosen !== null) rows[state.chosen].classList.remove("chosen");
    state.chosen = i;
    rows[i].classList.add("chosen");
    const known = Object.keys(TRACKS).filter((key) => state.run.tracks[key]);
    const why = state.run.explanations[i];
    $("dim-why").textContent = why ? `Dimension ${i}: ${why}` : "";
    const plot = $("plot-track");
    plot.hidden = !known.length;
    if (!known.length) return;
    const run = state.run;
    draw("plot-track", () => {
      const traces = known.map((key, n) => ({
        x: run.epochs, y: track(run, key, i), mode: "lines", name: TRACKS[key], xaxis: `x${n ? n + 1 : ""}`, yaxis: `y${n ? n + 1 : ""}`,
        line: { color: color(run.index), width: 2 }, hovertemplate: `epoch %{x}: ${TRACKS[key]} %{y:.3f}<extra></extra>`,
      }));
      const base = layout("epoch", "");
      const axes = Object.assign({}, ...known.map((key, n) => ({
        [`xaxis${n ? n + 1 : ""}`]: { ...base.xaxis, anchor: `y${n ? n + 1 : ""}` },
        [`yaxis${n ? n + 1 : ""}`]: { ...base.yaxis, anchor: `x${n ? n + 1 : ""}`, title: { text: TRACKS[key], standoff: 4 } },
      })));
      return [traces, { ...base, ...axes, grid: { rows: 1, columns: known.length, pattern: "independent", xgap: 0.22 },
        title: { text: `dimension ${i} of ${plain(runName(run))}`, font: { size: 13.5 }, x: 0.02 } }];
    });
  }

  function scatter(kept) {
    const y = $("dim-y").value, x = $("dim-x").value, run = state.run;
    const name = (key) => (data.columns.find((c) => c.key === key) || { title: key }).title;
    const rank = new Map(kept.map((i, place) => [i, place + 1]));
    const hover = (i) => [`<b>dimension ${i}</b> ${plain(verdictName(verdict(i)))}`, ...(run.cause[i] ? [plain(run.cause[i])] : []),
      ...columns().map((c) => `${c.title} ${fixed(run.dims[c.key][i], c.digits)}`)].join("<br>");
    // A collapse is drawn by its cause.
    const parts = (name) => [...data.causes.map((cause) => [name, cause.name]), [name, ""]]
      .filter(([, cause]) => kept.some((i) => verdict(i) === name && (run.cause[i] || "") === cause));
    const groups = run.verdict.length ? Object.keys(VERDICTS).flatMap((name) => (name === "collapsed" ? parts(name) : [[name, null]])) : [["", null]];
    const traces = groups.map(([group, cause]) => {
      const members = kept.filter((i) => !group || (verdict(i) === group && (cause === null || (run.cause[i] || "") === cause)));
      const shade = cause ? CAUSES[cause].color : css(`--${word(group || "active")}`);
      const common = { name: cause ? `${verdictName(group)}, ${cause}` : verdictName(group), customdata: members, text: members.map(hover), hovertemplate: "%{text}<extra></extra>",
        y: members.map((i) => run.dims[y][i]) };
      // Outlined, filled and hatched bars can be told apart without colour.
      if (x === "rank") return { ...common, type: "bar", x: members.map((i) => rank.get(i)), width: 0.85, textposition: "none",
        marker: { color: shade, pattern: kept.length > 200 ? {} : { shape: { active: "", collapsed: "/", "over-sharp": "x" }[group] || "", solidity: 0.35 } } };
      return { ...common, type: "scatter", mode: "markers", x: members.map((i) => run.dims[x][i]),
        marker: { color: shade, size: kept.length > 200 ? 6 : 9, symbol: (VERDICTS[group] || [0, "circle"])[1], opacity: 0.85 } };
    });
    if (x === "std_mean" && y === "exponent") traces.unshift({ x: run.curve.std, y: run.curve.exponent, mode: "lines", hoverinfo: "skip",
      name: run.delta === null ? "λ = 1" : `Eq. 16 at δ = ${run.delta}`, line: { color: css("--muted"), dash: "dot", width: 1.5 } });
    const across = x === "rank" ? `dimensions in the order of the table (by ${name(state.sort)})` : name(x);
    return [traces, layout(across, name(y), { showlegend: run.verdict.length > 0, barmode: "overlay", bargap: 0, hovermode: "closest" })];
  }

  function update() {
    const kept = order();
    body.replaceChildren(...kept.map((i) => rows[i]));
    for (const th of head.rows[0].cells) {
      if (th.dataset.key === state.sort) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    $("dim-count").textContent = `${kept.length} of ${count(state.run)} dimensions`;
    draw("plot-dims", () => scatter(kept));
  }

  function choices() {
    const items = columns().map((c) => [c.key, c.title]);
    const keep = (select, list, fallback) => options(select, list, list.some(([v]) => v === select.value) ? select.value : fallback);
    keep($("dim-y"), items, "kl");
    keep($("dim-x"), [["rank", "table order"], ...items], "rank");
    keep($("dim-cause"), [["", "any"], ...[...new Set(state.run.cause.filter(Boolean))].sort().map((c) => [c, c])], "");
    const boxes = Object.keys(VERDICTS).filter((name) => name !== "not measured" || state.run.verdict.includes(name)).map((name) => {
      const label = document.createElement("label"), box = document.createElement("input");
      const mark = document.createElement("span");
      box.type = "checkbox"; box.value = name; box.checked = true;
      box.addEventListener("change", update);
      mark.className = `mark ${word(name)}`; mark.textContent = VERDICTS[name][0];
      label.append(box, mark, `${verdictName(name)} (${state.run.verdict.filter((v) => v === name).length})`);
      return label;
    });
    $("dim-verdicts").replaceChildren($("dim-verdicts").querySelector("legend"), ...boxes);
    $("dim-verdicts").hidden = !state.run.verdict.length;
  }

  function open(run) {
    state.run = run; state.chosen = null;
    if (!["dimension", "verdict", "cause"].includes(state.sort) && !columns().some((c) => c.key === state.sort)) state.sort = columns()[0].key;
    $("plot-track").hidden = true;
    $("dim-why").textContent = "";
    header(); build(); choices(); update();
  }

  options($("dim-run"), shown.map((run, i) => [String(i), runName(run)]), "0");
  $("dim-run").addEventListener("change", () => open(shown[$("dim-run").value]));
  for (const id of ["dim-y", "dim-x", "dim-cause"]) $(id).addEventListener("change", update);
  $("dim-find").addEventListener("input", update);
  open(state.run);
  $("plot-dims").on("plotly_click", (event) => {
    const i = event.points[0].customdata;
    if (i === undefined) return;
    choose(i);
    rows[i].scrollIntoView({ block: "nearest" });
  });
}
