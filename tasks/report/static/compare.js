// The slider between before and after, and the switch of the mask's outline. Works on any number of pairs.
(() => {
  "use strict";
  for (const slider of document.querySelectorAll(".compare input[type=range]")) {
    const frame = slider.closest(".compare");
    const picture = frame.querySelector("img");
    frame.style.setProperty("--ratio", picture.getAttribute("width") / picture.getAttribute("height"));
    const move = () => frame.style.setProperty("--split", `${slider.value}%`);
    slider.addEventListener("input", move);
    move();
  }
  const outlines = document.querySelector("#outlines");
  if (outlines) {
    const show = () => document.body.classList.toggle("no-outline", !outlines.checked);
    outlines.addEventListener("change", show);
    show();
  }
})();
