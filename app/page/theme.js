// Runs before the first paint, so that a chosen scheme does not flash the other one; hence not a module.
try {
  const chosen = localStorage.getItem("raglan-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Storage can be forbidden; the system's scheme then holds.
}
