// The keyboard of review mode. Every key presses a control that is on the page, so nothing works by key alone.
(() => {
  "use strict";
  const press = (selector) => document.querySelector(selector)?.click();
  const form = document.querySelector("#decide");
  const note = form?.querySelector("[name=note]");
  const redo = form?.querySelector("[name=redo_provider]");
  const slider = document.querySelector(".compare input[type=range]");

  const slide = (to) => {
    if (!slider) return;
    slider.value = to;
    slider.dispatchEvent(new Event("input"));
  };
  const decide = (word) => () => press(`#decide [value=${word}]`);
  const keys = {
    a: decide("accept"),
    r: decide("reject"),
    d: decide("redo"),
    u: decide("none"),
    m: () => press("#outlines"),
    j: () => press("#skip"),
    k: () => history.back(),
    n: () => note?.focus(),
    " ": () => slide(Number(slider?.value) >= 50 ? 0 : 100),
    ArrowLeft: () => slide(Number(slider?.value) - 5),
    ArrowRight: () => slide(Number(slider?.value) + 5),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return document.activeElement?.blur();
    if (event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
    if (event.key === " " && event.target.closest("button, a, summary, [type=checkbox]")) return;
    if (/^[1-9]$/.test(event.key) && redo && redo.options[event.key]) redo.selectedIndex = Number(event.key);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
  for (const filter of document.querySelectorAll("form[data-auto]")) filter.addEventListener("change", () => filter.requestSubmit());
})();
