// Shows what the record has, hides what it lacks.
const parts = {
  histograms: runs.some((run) => run.histograms.length),
  dims: runs.some((run) => Object.keys(run.dims).length),
  series: runs.some((run) => run.series.epochs.length),
};
document.querySelectorAll("[data-needs]").forEach((element) => { element.hidden = !parts[element.dataset.needs]; });
if ($("frontier")) {
  if (data.panels.length) frontiers();
  else $("frontier").hidden = true;
}
if (parts.histograms) {
  sigma();
  draw("plot-std", () => bands("std_mean", "σ, mean over dimensions"));
  draw("plot-exponent", () => bands("exponent", "λ, mean over dimensions"));
}
if (parts.dims) dimensions();
if (parts.series) curves();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.documentElement.dataset.ready = "true";
