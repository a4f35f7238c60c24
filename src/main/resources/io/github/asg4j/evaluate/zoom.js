// SPDX-License-Identifier: Apache-2.0
// Zoom and pan of all pictures together. The state is three numbers: the point of the pictures that is in the middle of
// every view, in parts of their width and height, and the magnification. The style sheet turns them into transforms.
"use strict";
(() => {
  const MAX = 64;
  const STEP = 1.5;
  const root = document.documentElement;
  const bar = document.querySelector(".bar");
  const shown = bar.querySelector("output");
  let x = 0.5;
  let y = 0.5;
  let z = 1;

  // The pictures always cover their views.
  const inside = (value) => Math.min(Math.max(value, 0.5 / z), 1 - 0.5 / z);

  function show() {
    x = inside(x);
    y = inside(y);
    root.style.setProperty("--x", x);
    root.style.setProperty("--y", y);
    root.style.setProperty("--z", z);
    root.classList.toggle("zoomed", z > 1);
    shown.value = z.toFixed(z < 10 ? 1 : 0) + "×";
  }

  // u, v: the point that stays where it is, in parts of the view.
  function zoom(factor, u = 0.5, v = 0.5) {
    const next = Math.min(Math.max(z * factor, 1), MAX);
    x += (u - 0.5) * (1 / z - 1 / next);
    y += (v - 0.5) * (1 / z - 1 / next);
    z = next;
    show();
  }

  // In parts of the view.
  function pan(du, dv) {
    x += du / z;
    y += dv / z;
    show();
  }

  function reset() {
    x = y = 0.5;
    z = 1;
    show();
  }

  // Where a pointer is in a view, in parts of it.
  function place(view, event) {
    const box = view.getBoundingClientRect();
    return {
      u: (event.clientX - box.left) / box.width,
      v: (event.clientY - box.top) / box.height,
    };
  }

  // Who scrolls the page and comes across a picture wants to go on scrolling.
  let scrolledAt = -Infinity;
  addEventListener("scroll", () => (scrolledAt = performance.now()), { passive: true });

  function wheel(event) {
    const scrolling = performance.now() - scrolledAt < 200;
    const nothing = z === 1 && event.deltaY > 0;
    if (!event.ctrlKey && (scrolling || nothing)) {
      return;
    }
    event.preventDefault();
    const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * 33;
    const { u, v } = place(event.currentTarget, event);
    zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), u, v);
  }

  // One pointer drags, two pinch.
  const pointers = new Map();

  function down(event) {
    if (event.button !== 0) {
      return;
    }
    const view = event.currentTarget;
    pointers.set(event.pointerId, { view, ...place(view, event) });
    if (z > 1 || pointers.size > 1) {
      view.setPointerCapture(event.pointerId);
      root.classList.add("dragging");
    }
  }

  function spread(a, b) {
    return {
      u: (a.u + b.u) / 2,
      v: (a.v + b.v) / 2,
      distance: Math.max(Math.hypot(a.u - b.u, a.v - b.v), 1e-3),
    };
  }

  function move(event) {
    const before = pointers.get(event.pointerId);
    if (!before) {
      return;
    }
    const now = { view: before.view, ...place(before.view, event) };
    const other = [...pointers].find(([id, p]) => id !== event.pointerId && p.view === before.view);
    pointers.set(event.pointerId, now);
    if (other) {
      const from = spread(before, other[1]);
      const to = spread(now, other[1]);
      pan(from.u - to.u, from.v - to.v);
      zoom(to.distance / from.distance, to.u, to.v);
    } else if (z > 1) {
      pan(before.u - now.u, before.v - now.v);
    }
  }

  function up(event) {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) {
      root.classList.remove("dragging");
    }
  }

  for (const view of document.querySelectorAll(".view")) {
    view.addEventListener("wheel", wheel, { passive: false });
    view.addEventListener("pointerdown", down);
    view.addEventListener("pointermove", move);
    view.addEventListener("pointerup", up);
    view.addEventListener("pointercancel", up);
    view.addEventListener("lostpointercapture", up);
    view.addEventListener("dblclick", reset);
  }

  const arrows = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) {
      return;
    }
    const arrow = arrows[event.key];
    if (event.key === "+" || event.key === "=") {
      zoom(STEP);
    } else if (event.key === "-") {
      zoom(1 / STEP);
    } else if (event.key === "0" || event.key === "Escape") {
      reset();
    } else if (arrow && z > 1) {
      pan(...arrow);
    } else {
      return;
    }
    event.preventDefault();
  });

  const actions = {
    in: () => zoom(STEP),
    out: () => zoom(1 / STEP),
    reset,
    pixels: (button) =>
      button.setAttribute("aria-pressed", String(root.classList.toggle("pixels"))),
  };
  for (const button of bar.querySelectorAll("button")) {
    button.addEventListener("click", () => actions[button.dataset.action](button));
  }
  const size = bar.querySelector("input");
  size.value = parseFloat(getComputedStyle(root).getPropertyValue("--card"));
  size.addEventListener("input", () => root.style.setProperty("--card", size.value + "rem"));

  bar.hidden = false;
  show();
})();
