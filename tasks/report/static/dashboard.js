// Filters apply as soon as they are changed; what is running is asked for again while the page is looked at.
(() => {
  "use strict";
  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", () => form.requestSubmit());
    form.addEventListener("submit", () => {
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    });
  }
  const live = document.querySelector("[data-refresh]");
  if (!live) return;
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.refresh, { credentials: "same-origin" });
      if (answer.ok) live.innerHTML = await answer.text(); // our own page, escaped by the server
    } catch { /* the dashboard was stopped; the page stays as it is */ }
  }, 3000);
})();
