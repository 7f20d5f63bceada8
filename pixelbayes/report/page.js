// One slider controls all timelines of its section. Each shows its latest picture up to the selected epoch.
for (const section of document.querySelectorAll(".epochs")) {
  const control = section.querySelector(".slider");
  if (!control) continue;
  const slider = control.querySelector("input");
  const epochs = slider.dataset.epochs.split(" ").map(Number);
  const show = () => {
    const epoch = epochs[slider.value];
    control.querySelector("output").value = epoch;
    slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    slider.style.setProperty("--done", slider.value / (epochs.length - 1));
    for (const timeline of section.querySelectorAll("figure")) {
      const frames = [...timeline.querySelectorAll("img")];
      const current = frames.filter((frame) => frame.dataset.epoch <= epoch).pop() ?? frames[0];
      for (const frame of frames) frame.hidden = frame !== current;
      timeline.querySelector("output").value = current.dataset.epoch;
    }
  };
  slider.addEventListener("input", show);
  show(); // because a browser may restore the position of the slider
  control.hidden = false;
}
