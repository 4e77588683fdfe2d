// Sets the saved theme before anything is painted; loaded in the head for that reason.
(() => {
  let saved = null;
  try { saved = localStorage.getItem("dagway-theme"); } catch { /* storage may be forbidden */ }
  if (saved === "light" || saved === "dark") document.documentElement.dataset.theme = saved;
})();
