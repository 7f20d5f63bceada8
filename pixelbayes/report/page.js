// One slider moves all films of its section: each shows its latest picture up to the epoch chosen.
for (const films of document.querySelectorAll(".films")) {
  const control = films.querySelector(".slider");
  if (!control) continue;
  const slider = control.querySelector("input");
  const stops = slider.dataset.stops.split(" ").map(Number);
  const show = () => {
    const epoch = stops[slider.value];
    control.querySelector("output").value = epoch;
    slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    slider.style.setProperty("--done", slider.value / (stops.length - 1));
    for (const film of films.querySelectorAll("figure")) {
      const frames = [...film.querySelectorAll("img")];
      const current = frames.filter((frame) => frame.dataset.epoch <= epoch).pop() ?? frames[0];
      for (const frame of frames) frame.hidden = frame !== current;
      film.querySelector("output").value = current.dataset.epoch;
    }
  };
  slider.addEventListener("input", show);
  show(); // a browser may remember where the slider stood
  control.hidden = false;
}
