// The viewer of the report: three linked planes, drawn by NiiVue from volumes inside of the page.
(async () => {
  const root = document.getElementById("viewer");
  const element = (name) => root.querySelector(`[data-part=${name}]`);
  const say = (words) => { element("status").textContent = words; };
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  async function unpack(id) {
    const packed = new Blob([bytes(document.getElementById(id).textContent)]);
    return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip")));
  }

  async function loadLibrary() {
    const script = document.createElement("script");
    script.textContent = await (await unpack("niivue-library")).text();
    document.head.append(script);
  }

  const cases = JSON.parse(document.getElementById("viewer-cases").textContent);
  const canvas = element("canvas");
  if (!canvas.getContext || !document.createElement("canvas").getContext("webgl2")) {
    return say("This browser cannot draw the viewer (it needs WebGL 2). The pictures above show the same cases.");
  }
  await loadLibrary();
  const view = new niivue.Niivue({
    logLevel: "error", backColor: [0, 0, 0, 1], dragAndDropEnabled: false, isRadiologicalConvention: true,
    sagittalNoseLeft: true, showAllOrientationMarkers: true,
    crosshairColor: [1, 1, 1, 0.6], fontColor: [1, 1, 1, 1], multiplanarShowRender: niivue.SHOW_RENDER.NEVER, forceDevicePixelRatio: 1,
  });
  await view.attachToCanvas(canvas);
  view.setCrosshairWidth(0.2);
  view.setDrawingEnabled(false);
  window.segkitViewer = view;

  const image = async (number, part) => {
    const buffer = await (await unpack(`volume-${number}-${part}`)).arrayBuffer();
    return niivue.NVImage.new(buffer, `${part}.nii`);
  };

  const layout = () => {
    const narrow = root.clientWidth < 640;
    view.setMultiplanarLayout(narrow ? niivue.MULTIPLANAR_TYPE.COLUMN : niivue.MULTIPLANAR_TYPE.ROW);
    view.setSliceType(view.sliceTypeMultiplanar);
  };

  function applyChoices() {
    if (view.volumes.length < 2) return; // the first case is still loading
    view.setOpacity(1, element("reference").checked ? 0.45 : 0);
    view.overlayOutlineWidth = element("reference").checked ? 0.25 : 0;
    view.drawRimOpacity = element("prediction").checked ? 1 : 0;
    const [dark, bright] = ["dark", "bright"].map((name) => Number(element(name).value));
    view.volumes[0].cal_min = Math.min(dark, bright - 1);
    view.volumes[0].cal_max = bright;
    view.updateGLVolume();
  }

  const sliders = ["x", "y", "z"];
  function showPlace() {
    const place = view.scene.crosshairPos;
    sliders.forEach((axis, index) => {
      const slices = view.volumes[0].dimsRAS[index + 1];
      element(axis).value = place[index];
      element(`${axis}-text`).textContent = `${Math.min(slices, Math.floor(place[index] * slices) + 1)} of ${slices}`;
    });
  }

  let wanted = 0;
  async function show(number) {
    const chosen = cases[number];
    wanted = number;
    say("Loading ...");
    const parts = ["scan", "reference", "prediction"].map((part) => image(number, part));
    const [scan, reference, prediction] = await Promise.all(parts);
    if (wanted !== number) return; // another case was chosen in the meantime
    reference.setColormapLabel(chosen.colors);
    while (view.volumes.length) view.removeVolumeByIndex(0);
    view.addVolume(scan);
    view.addVolume(reference);
    view.loadDrawing(prediction);
    view.setDrawColormap(chosen.colors);
    view.setDrawOpacity(0.004); // not 0: NiiVue draws no rim around a drawing that is not visible at all
    view.scene.crosshairPos = chosen.start;
    sliders.forEach((axis, index) => { element(axis).step = 1 / view.volumes[0].dimsRAS[index + 1]; });
    applyChoices();
    showPlace();
    const legend = element("legend");
    legend.textContent = "";
    chosen.legend.forEach(([name, color]) => {
      const swatch = document.createElement("span");
      swatch.style.background = color;
      swatch.className = "swatch";
      const entry = document.createElement("span");
      entry.append(swatch, name);
      legend.append(entry);
    });
    say(chosen.caption);
  }

  view.onLocationChange = showPlace;
  element("case").addEventListener("change", (event) => show(Number(event.target.value)));
  ["prediction", "reference", "dark", "bright"].forEach((name) => element(name).addEventListener("input", applyChoices));
  sliders.forEach((axis, index) => element(axis).addEventListener("input", (event) => {
    view.scene.crosshairPos[index] = Number(event.target.value);
    view.drawScene();
    showPlace();
  }));
  window.addEventListener("resize", layout);
  layout();
  await show(0);
  root.dataset.state = "ready";
})().catch((error) => {
  document.getElementById("viewer").dataset.state = "failed";
  document.querySelector("#viewer [data-part=status]").textContent = `The viewer could not start: ${error}. The pictures above show the same cases.`;
});
