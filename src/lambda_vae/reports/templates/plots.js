// The plots of a whole run or comparison. plots.js, dimensions.js and start.js become one script, in one scope.
const data = JSON.parse(document.getElementById("report-data").textContent);
const $ = (id) => document.getElementById(id);
const runs = data.runs;
const COLORS = data.colors;
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "hexagon"];
const VERDICTS = { active: ["●", "circle"], collapsed: ["✕", "x"], "over-sharp": ["▲", "triangle-up"], "not measured": ["?", "circle-open"] };
const VERDICT_NAMES = { "over-sharp": "under-dispersed" };
const verdictName = (verdict) => VERDICT_NAMES[verdict] || verdict;
const CAUSES = Object.fromEntries(data.causes.map((cause) => [cause.name, cause]));
const NAMES = {
  loss: "loss, nats", reconstruction: "reconstruction, nats", rate_q: "KL(q₁ ‖ prior), nats", kl_weight: "KL weight",
  active_units: "active units", seconds: "seconds per epoch", nll_bound: "NLL bound, nats",
  surrogate_nll: "surrogate (paper's “NLL”, not a bound), nats", excess_kl: "excess KL, nats",
};

// Plotly reads a little HTML in its texts; a name must reach it as text.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const runName = (run) => (run.seed === null ? run.label : `${run.label}, seed ${run.seed}`);
const color = (index) => COLORS[index % COLORS.length];
const shade = (index, alpha) => color(index) + Math.round(alpha * 255).toString(16).padStart(2, "0");
const dash = (index) => DASHES[index % DASHES.length];
const fixed = (value, digits) => (value === null || value === undefined ? "–"
  : Math.abs(value) >= 1e5 ? value.toExponential(1) : value.toFixed(digits));

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = new Map();

function layout(x, y, more = {}) {
  const axis = (title, extra) => ({
    title: { text: title, standoff: 8 }, gridcolor: css("--line"), zeroline: false, linecolor: css("--muted"),
    ticks: "outside", tickcolor: css("--line"), automargin: true, ...extra,
  });
  const { xaxis, yaxis, ...rest } = more;
  return {
    margin: { l: 56, r: 14, t: 30, b: 44 }, paper_bgcolor: css("--card"), plot_bgcolor: css("--card"),
    font: { family: "system-ui, 'DejaVu Sans', Arial, sans-serif", size: 12.5, color: css("--ink") },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") }, align: "left" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, showlegend: false,
    xaxis: axis(x, xaxis), yaxis: axis(y, yaxis), ...rest,
  };
}

// Every plot is a function that can be called again: when a control moves, and when the colour scheme changes.
function draw(id, make) {
  plots.set(id, make);
  const [traces, shape] = make();
  const toImageButtonOptions = { format: "svg", filename: id.replace("plot-", ""), width: 720, height: 360 };
  return Plotly.react($(id), traces, shape, { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]], toImageButtonOptions });
}
const redraw = () => plots.forEach((make, id) => { if (!$(id).hidden) draw(id, make); });

function options(select, items, chosen) {
  select.replaceChildren(...items.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

// ---- likelihoods against active units and probe accuracy: numbered points, one legend for all panels
const symbol = (index) => SYMBOLS[(index + Math.floor(index / COLORS.length)) % SYMBOLS.length];
const GLYPHS = { circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚", "triangle-down": "▼", star: "★", hexagon: "⬢" };

// A number goes where it covers least: each point in turn tries eight places against points, bars and earlier numbers.
function labelPlaces(points, ranges, plot) {
  const wide = plot.clientWidth - 80, high = plot.clientHeight - 80;
  const across = (x) => (x - ranges.x[0]) / (ranges.x[1] - ranges.x[0]) * wide;
  const down = (y) => (ranges.y[1] - y) / (ranges.y[1] - ranges.y[0]) * high;
  const taken = points.flatMap(({ x: [x, dx], y: [y, dy] }) => [
    [across(x) - 8, down(y) - 8, across(x) + 8, down(y) + 8],
    [across(x - dx), down(y) - 2, across(x + dx), down(y) + 2],
    [across(x) - 2, down(y + dy), across(x) + 2, down(y - dy)],
  ]);
  const shared = (a, b) => Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return points.map((p) => {
    const x = across(p.x[0]), y = down(p.y[0]), w = String(p.index + 1).length * 8, h = 15;
    const places = ["top center", "bottom center", "middle right", "middle left", "top right", "top left", "bottom right", "bottom left"];
    const box = (place) => {
      const [v, u] = place.split(" ");
      const left = u === "center" ? x - w / 2 : u === "right" ? x + 7 : x - 7 - w;
      const top = v === "middle" ? y - h / 2 : v === "top" ? y - 7 - h : y + 7;
      return [left, top, left + w, top + h];
    };
    const cost = (place) => taken.reduce((sum, other) => sum + shared(box(place), other), 0);
    const best = places.reduce((one, other) => (cost(other) < cost(one) ? other : one));
    taken.push(box(best));
    return best;
  });
}

function frontier(panel, plot) {
  const points = panel.points;
  const front = points.filter((p) => p.front).sort((a, b) => a.x[0] - b.x[0]);
  const bars = (pair, index) => ({ type: "data", array: [pair[1] || 0], visible: pair[1] !== null, thickness: 1.2, width: 3, color: color(index) });
  const room = (pairs) => {
    const low = Math.min(...pairs.map(([v, s]) => v - s)), high = Math.max(...pairs.map(([v, s]) => v + s));
    const pad = (high - low || 1) * 0.1;
    return [low - pad, high + pad];
  };
  const ranges = { x: room(points.map((p) => p.x)), y: room(points.map((p) => p.y)) };
  const places = labelPlaces(points, ranges, plot);
  const traces = [{
    x: front.map((p) => p.x[0]), y: front.map((p) => p.y[0]), mode: "lines", hoverinfo: "skip",
    line: { color: css("--muted"), dash: "dot", width: 1.5 }, name: "frontier",
  }];
  points.forEach((p, i) => {
    const name = plain(data.labels[p.index]);
    traces.push({
      x: [p.x[0]], y: [p.y[0]], error_x: bars(p.x, p.index), error_y: bars(p.y, p.index), mode: "markers+text",
      text: [String(p.index + 1)], textposition: places[i], textfont: { color: color(p.index) }, cliponaxis: false, name,
      marker: { size: 9, color: color(p.index), symbol: symbol(p.index) },
      hovertemplate: `${name}<br>${plain(panel.titles[0].split(" (")[0])} %{x:.1f}<br>${plain(panel.titles[1].split(",")[0])} %{y:.2f} nats<extra></extra>`,
    });
  });
  const [across, upright] = panel.titles;
  // In two lines, for the longer names are higher than the plot.
  const note = { text: panel.note, xref: "paper", yref: "paper", x: 1, y: 1, xanchor: "right", yanchor: "bottom", showarrow: false };
  return [traces, layout(across, upright.replace(" (", "<br>("), {
    xaxis: { range: ranges.x }, yaxis: { range: ranges.y }, annotations: panel.note ? [note] : [],
  })];
}

function frontiers() {
  const shown = [...new Set(data.panels.flatMap((panel) => [...panel.points.map((p) => p.index), ...panel.above]))].sort((a, b) => a - b);
  $("frontier-legend").replaceChildren(...shown.map((index) => {
    const item = document.createElement("li"), mark = document.createElement("span");
    mark.textContent = `${GLYPHS[symbol(index)]} ${index + 1}`;
    mark.style.color = color(index);
    item.append(mark, ` ${data.labels[index]}`);
    return item;
  }));
  $("frontiers").classList.toggle("single", data.panels.length === 1);
  data.panels.forEach((panel, i) => {
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.id = `plot-frontier-${i}`;
    $("frontiers").append(plot);
  });
  data.panels.forEach((panel, i) => draw(`plot-frontier-${i}`, () => frontier(panel, $(`plot-frontier-${i}`))));
}

// ---- σ histograms with a slider
const centres = data.edges.slice(1).map((edge, i) => (edge + data.edges[i]) / 2);
const highest = (run) => Math.max(...run.histograms.map((counts) => Math.max(...counts)));
function histogram(run, step, most) {
  const at = Math.min(step, run.histograms.length - 1);
  return [[{
    type: "bar", x: centres, y: run.histograms[at], width: data.edges[1] - data.edges[0],
    marker: { color: color(run.index), line: { color: css("--card"), width: 0.5 } },
    hovertemplate: "σ near %{x:.2f}: %{y} dimensions<extra></extra>",
  }], layout("mean σ of a dimension", "dimensions", {
    title: { text: `${plain(runName(run))}, epoch ${run.epochs[at]}`, font: { size: 13.5 }, x: 0.02, y: 0.98, yanchor: "top" },
    xaxis: { range: [0, 1.07] }, yaxis: { range: [0, most * 1.05], rangemode: "tozero" }, bargap: 0,
  })];
}

function sigma() {
  const shown = runs.filter((run) => run.histograms.length);
  const left = $("sigma-left"), right = $("sigma-right"), slider = $("sigma-slider"), play = $("sigma-play");
  const items = shown.map((run, i) => [String(i), runName(run)]);
  const other = shown.findIndex((run) => run.delta !== null && run.index !== shown[0].index);
  options(left, items, "0");
  options(right, [["", "nothing"], ...items], other > 0 ? String(other) : "");
  $("sigma-right-label").hidden = shown.length < 2;
  const pair = () => [shown[left.value], right.value === "" ? null : shown[right.value]];
  const show = () => {
    const [a, b] = pair();
    const step = Number(slider.value);
    const longest = b && b.histograms.length > a.histograms.length ? b : a;
    const most = Math.max(highest(a), b ? highest(b) : 0);
    $("sigma-epoch").textContent = longest.epochs[step];
    draw("plot-sigma-left", () => histogram(a, step, most));
    $("plot-sigma-right").hidden = !b;
    $("plot-sigma-left").parentElement.classList.toggle("single", !b);
    if (b) draw("plot-sigma-right", () => histogram(b, step, most));
  };
  const reset = () => {
    slider.max = Math.max(...pair().map((run) => (run ? run.histograms.length - 1 : 0)));
    slider.value = slider.max;
    show();
    Plotly.Plots.resize($("plot-sigma-left"));
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; play.setAttribute("aria-pressed", "false"); };
  const tick = () => {
    if (slider.value === slider.max) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "Stop"; play.setAttribute("aria-pressed", "true");
    timer = setInterval(tick, 120);
  });
  slider.addEventListener("input", show);
  left.addEventListener("change", reset);
  right.addEventListener("change", reset);
  reset();
}

// ---- σ and λ, mean and band
const MOST_BANDS = 5;
function bands(key, title) {
  const traces = [];
  const seen = new Set();
  for (const run of runs) {
    const band = run.bands[key];
    if (!band.mean || seen.has(run.index)) continue;
    seen.add(run.index);
    const edge = (sign) => band.mean.map((m, i) => m + sign * band.spread[i]);
    const group = `m${run.index}`, visible = seen.size > MOST_BANDS ? "legendonly" : true;
    traces.push(
      { x: run.epochs, y: edge(1), mode: "lines", line: { width: 0 }, hoverinfo: "skip", legendgroup: group, showlegend: false, visible },
      { x: run.epochs, y: edge(-1), mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: shade(run.index, 0.13), hoverinfo: "skip", legendgroup: group, showlegend: false, visible },
      { x: run.epochs, y: band.mean, mode: "lines", name: plain(run.label), legendgroup: group, visible,
        line: { color: color(run.index), dash: dash(run.index), width: 2 },
        hovertemplate: `${plain(run.label)}<br>epoch %{x}: %{y:.3f}<extra></extra>` });
  }
  return [traces, layout("epoch", title, { showlegend: true })];
}

// ---- learning curves
function curves() {
  const draws = (id, part, times) => {
    const select = $(`curve-${part}`);
    const keys = [...new Set(runs.flatMap((run) => Object.keys(run.series[part])))];
    options(select, keys.map((key) => [key, NAMES[key] || key]), keys.includes("nll_bound") ? "nll_bound" : keys[0]);
    const make = () => {
      const seen = new Set();
      const traces = runs.filter((run) => run.series[part][select.value]).map((run) => ({
        x: run.series[times], y: run.series[part][select.value], mode: part === "test" ? "lines+markers" : "lines",
        name: plain(run.label), legendgroup: `m${run.index}`, showlegend: !seen.has(run.index) && !!seen.add(run.index),
        line: { color: color(run.index), dash: dash(run.index), width: 1.8 }, marker: { symbol: SYMBOLS[run.index % SYMBOLS.length] },
        hovertemplate: `${plain(runName(run))}<br>epoch %{x}: %{y:.3f}<extra></extra>`,
      }));
      return [traces, layout("epoch", NAMES[select.value] || plain(select.value), { showlegend: true })];
    };
    if (!keys.length) {
      $(id).hidden = true; select.closest("label").hidden = true;
      $(id).parentElement.classList.add("single");
      return;
    }
    select.addEventListener("change", () => draw(id, make));
    draw(id, make);
  };
  draws("plot-train", "train", "epochs");
  draws("plot-test", "test", "testEpochs");
}
