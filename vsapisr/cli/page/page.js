// Pictures by row (a frame or a file) and column (a model or setting); zoom and place are one for all of them.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const root = document.documentElement, slider = at("slider"), grid = at("grid");
  const state = { row: 0, left: 0, right: data.columns.length - 1, s: 1, x: 0, y: 0 };
  const urls = new Map();
  const MOST = 64;

  function url(row, column) {
    const id = `picture-${row}-${column}`;
    if (!urls.has(id)) {
      const holder = at(id);
      const bytes = Uint8Array.from(atob(holder.textContent), (one) => one.charCodeAt(0));
      urls.set(id, URL.createObjectURL(new Blob([bytes], { type: holder.dataset.kind })));
    }
    return urls.get(id);
  }

  function put(image, row, column) {
    image.src = url(row, column);
    image.alt = `${data.rows[row].label}: ${data.columns[column].label}`;
  }

  // --- zoom: x and y are percent of the view by which the enlarged picture is moved
  function whole() { // pixels of the screen for one of the picture where all of it is seen
    return (slider.clientWidth * devicePixelRatio) / data.rows[state.row].width;
  }
  function clamp(value) {
    return state.s < 1 ? (1 - state.s) * 50 : Math.min(0, Math.max(-(state.s - 1) * 100, value));
  }
  function apply() {
    state.x = clamp(state.x);
    state.y = clamp(state.y);
    for (const key of ["s", "x", "y"]) root.style.setProperty(`--${key}`, state[key]);
    root.classList.toggle("zoomed", state.s > 1);
    root.classList.toggle("coarse", state.s * whole() >= 3);
    at("scale").textContent = `${Math.round(state.s * whole() * 100)}%`;
  }
  function zoom(factor, px = 0.5, py = 0.5) { // the point at these shares of the view stays where it is
    const least = Math.min(1, 1 / whole());
    const s = Math.min(Math.max(MOST / whole(), 1), Math.max(least, state.s * factor));
    const k = s / state.s;
    state.x = px * 100 - (px * 100 - state.x) * k;
    state.y = py * 100 - (py * 100 - state.y) * k;
    state.s = s;
    apply();
  }
  function move(dx, dy) {
    state.x += dx;
    state.y += dy;
    apply();
  }
  const fit = () => { state.s = 1; apply(); };
  const one = () => zoom(1 / whole() / state.s);

  // --- what is shown
  function show() {
    const row = data.rows[state.row];
    root.style.setProperty("--ratio", row.width / row.height);
    for (const [image, tag, column] of [["first", "first-tag", state.left], ["second", "second-tag", state.right]]) {
      put(at(image), state.row, column);
      at(tag).textContent = data.columns[column].label;
    }
    [...grid.children].forEach((figure, column) => {
      put(figure.querySelector("img"), state.row, column);
      for (const side of ["left", "right"]) {
        figure.classList.toggle(side, state[side] === column);
        figure.querySelector(`.to-${side}`).setAttribute("aria-pressed", String(state[side] === column));
      }
    });
    at("row").value = state.row;
    at("left").value = state.left;
    at("right").value = state.right;
    told();
    apply();
  }
  function told() {
    const value = Math.round(slider.value), names = data.columns;
    slider.setAttribute("aria-valuenow", value);
    slider.setAttribute("aria-valuetext",
      `${value}% ${names[state.left].label}, ${100 - value}% ${names[state.right].label}`);
  }
  function set(changes) {
    Object.assign(state, changes);
    show();
  }
  const swap = () => set({ left: state.right, right: state.left });
  const around = (n, count) => (n + count) % count;
  const next = (step) => set({ right: around(state.right + step, data.columns.length) });
  const turn = (step) => set({ row: around(state.row + step, data.rows.length) });
  function divide(value) {
    slider.value = value;
    told();
  }

  function fill(select, labels, key) {
    labels.forEach((label, n) => select.add(new Option(label, n)));
    select.addEventListener("change", () => set({ [key]: Number(select.value) }));
  }
  function figure(column) {
    const made = document.createElement("figure");
    const view = made.appendChild(Object.assign(document.createElement("div"), { className: "view" }));
    view.appendChild(Object.assign(document.createElement("img"), { draggable: false, alt: "" }));
    const caption = made.appendChild(document.createElement("figcaption"));
    caption.appendChild(Object.assign(document.createElement("span"), { textContent: column.label }));
    return [made, view, caption];
  }
  fill(at("row"), data.rows.map((row) => row.label), "row");
  fill(at("left"), data.columns.map((column) => column.label), "left");
  fill(at("right"), data.columns.map((column) => column.label), "right");
  document.querySelectorAll(".frame").forEach((one) => { one.hidden = data.rows.length < 2; });
  data.columns.forEach((column, n) => {
    const [made, view, caption] = figure(column);
    for (const side of ["left", "right"]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: side, className: `to-${side}` });
      button.setAttribute("aria-label", `Show ${column.label} on the ${side}`);
      button.addEventListener("click", () => set({ [side]: n }));
      caption.appendChild(button);
    }
    grid.appendChild(made);
    draggable(view);
    at("columns").appendChild(Object.assign(document.createElement("dt"), { textContent: column.label }));
    at("columns").appendChild(Object.assign(document.createElement("dd"), { textContent: column.words }));
  });

  // --- by pointer: one drags, two pinch, a double click or Ctrl and the wheel enlarge
  function draggable(view) {
    const down = new Map();
    const share = (event) => {
      const box = view.getBoundingClientRect();
      return [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height, box];
    };
    view.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".grip") || (event.pointerType === "mouse" && event.button !== 0)) return;
      down.set(event.pointerId, event);
      if (state.s > 1 || down.size > 1) view.setPointerCapture(event.pointerId);
    });
    view.addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const others = [...down.values()].filter((other) => other.pointerId !== event.pointerId);
      const [px, py, box] = share(event);
      if (others.length) {
        const far = (a) => Math.hypot(a.clientX - others[0].clientX, a.clientY - others[0].clientY) || 1;
        const [ox, oy] = share(others[0]);
        zoom(far(event) / far(before), (px + ox) / 2, (py + oy) / 2);
      } else if (state.s > 1) {
        move(((event.clientX - before.clientX) / box.width) * 100, ((event.clientY - before.clientY) / box.height) * 100);
      }
      down.set(event.pointerId, event);
    });
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"])
      view.addEventListener(kind, (event) => down.delete(event.pointerId));
    view.addEventListener("dblclick", (event) => {
      if (!event.target.closest(".grip")) zoom(2, ...share(event));
    });
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(2 ** (-event.deltaY / 200), ...share(event));
    }, { passive: false });
  }
  draggable(slider);

  // --- by key
  const STEP = { ArrowLeft: [10, 0], ArrowRight: [-10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] };
  const KEYS = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit, 1: one, s: swap,
    "[": () => next(-1), "]": () => next(1), n: () => turn(1), p: () => turn(-1),
    b: () => divide(slider.value > 50 ? 0 : 100),
  };
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
    if (event.shiftKey && STEP[event.key]) {
      event.preventDefault();
      event.stopPropagation(); // the slider takes arrows for itself
      move(...STEP[event.key]);
    } else if (event.target === slider && STEP[event.key]) {
      event.preventDefault();
    } else if (event.target === slider && (event.key === "Home" || event.key === "End")) {
      event.preventDefault();
      divide(event.key === "Home" ? 0 : 100);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  }, true);
  const buttons = { swap, out: () => zoom(1 / 1.5), in: () => zoom(1.5), fit, one };
  for (const [id, act] of Object.entries(buttons)) at(id).addEventListener("click", act);
  slider.addEventListener("slide", told);
  new ResizeObserver(() => {
    slider.style.setProperty("--high", `${slider.clientHeight}px`);
    apply();
  }).observe(slider);
  show();
})();
