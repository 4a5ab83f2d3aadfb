"use strict";

// A button that plays the steps of a slider, and stops at the last one or where a hand moves the slider. `show` shows
// the step at which the slider stands. Returns what starts it.
function player(button, slider, show, milliseconds) {
  let timer = null;
  const isAtEnd = () => Number(slider.value) >= Number(slider.max);
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const advance = () => {
    slider.value = Number(slider.value) + 1;
    show();
    if (isAtEnd() || !slider.isConnected) stop();
  };
  const start = () => {
    if (isAtEnd()) slider.value = slider.min;
    show();
    button.textContent = "Pause";
    timer = setInterval(advance, milliseconds);
  };
  button.addEventListener("click", () => (timer === null ? start() : stop()));
  slider.addEventListener("input", () => {
    stop();
    show();
  });
  show();
  return start;
}
