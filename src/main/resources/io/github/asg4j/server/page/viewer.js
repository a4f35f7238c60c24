// SPDX-License-Identifier: Apache-2.0
// The picture on the stage: zoom, pan, and a slider between two.

const view = document.getElementById('view');
const picture = document.getElementById('picture');
const other = document.getElementById('other');
const slider = document.getElementById('slider');
const sliderLabel = document.getElementById('slider-label');

let scale = 1, x = 0, y = 0, fitted = true;
let width = 0, height = 0;

function fitScale() { return Math.min(view.clientWidth / width, view.clientHeight / height); }

function place() {
  if (!width) return;
  if (fitted) {
    scale = fitScale();
    x = (view.clientWidth - width * scale) / 2;
    y = (view.clientHeight - height * scale) / 2;
  }
  for (const img of [picture, other]) {
    img.style.width = `${width}px`;
    img.style.height = `${height}px`;
    img.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    img.classList.toggle('large', scale * devicePixelRatio > 2);
  }
  // the slider goes over the view, the edge lies in the picture
  const edge = ((slider.value / 100) * view.clientWidth - x) / (width * scale);
  other.style.clipPath = `inset(0 0 0 ${Math.min(100, Math.max(0, edge * 100))}%)`;
}

function zoom(factor, atX = view.clientWidth / 2, atY = view.clientHeight / 2) {
  if (!width) return;
  const next = Math.min(32, Math.max(fitScale() / 4, scale * factor));
  x = atX - (atX - x) * next / scale;
  y = atY - (atY - y) * next / scale;
  scale = next;
  fitted = false;
  place();
}

/** Shows a picture; the look at it stays when the next one has the same size. */
export function show(url, label, w, h) {
  if (w * height !== h * width) fitted = true;
  if (!fitted && w !== width) { scale *= width / w; }
  width = w;
  height = h;
  picture.src = url;
  picture.hidden = false;
  document.getElementById('empty').hidden = true;
  view.setAttribute('aria-label', label);
  place();
}

export function clear() {
  picture.hidden = true;
  document.getElementById('empty').hidden = false;
  view.setAttribute('aria-label', 'No picture yet');
  compare(null);
  width = 0;
}

/** Shows another picture on the right of the slider, at the size of the first; null: none. */
export function compare(url, label = '') {
  if (url) other.src = url;
  other.hidden = slider.hidden = sliderLabel.hidden = !url;
  sliderLabel.textContent = label;
  place();
}

export function fit() { fitted = true; place(); }
export function actual() { zoom(1 / (scale * devicePixelRatio)); }

view.addEventListener('wheel', e => {
  e.preventDefault();
  const box = view.getBoundingClientRect();
  zoom(Math.exp(-e.deltaY * 0.0015), e.clientX - box.left, e.clientY - box.top);
}, {passive: false});

const pointers = new Map();
view.addEventListener('pointerdown', e => { view.setPointerCapture(e.pointerId); pointers.set(e.pointerId, e); });
view.addEventListener('pointermove', e => {
  const before = pointers.get(e.pointerId);
  if (!before || !width) return;
  if (pointers.size === 2) {
    const rest = [...pointers.values()].find(p => p.pointerId !== e.pointerId);
    const distance = p => Math.hypot(p.clientX - rest.clientX, p.clientY - rest.clientY) || 1;
    const box = view.getBoundingClientRect();
    zoom(distance(e) / distance(before), (e.clientX + rest.clientX) / 2 - box.left, (e.clientY + rest.clientY) / 2 - box.top);
  } else {
    x += e.clientX - before.clientX;
    y += e.clientY - before.clientY;
    fitted = false;
    place();
  }
  pointers.set(e.pointerId, e);
});
for (const end of ['pointerup', 'pointercancel']) view.addEventListener(end, e => pointers.delete(e.pointerId));
view.addEventListener('dblclick', () => (fitted ? actual() : fit()));
view.addEventListener('keydown', e => {
  const moves = {ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60]};
  if (e.key === '+' || e.key === '=') zoom(1.25);
  else if (e.key === '-') zoom(0.8);
  else if (e.key === '0') fit();
  else if (e.key === '1') actual();
  else if (moves[e.key]) { x += moves[e.key][0]; y += moves[e.key][1]; fitted = false; place(); }
  else return;
  e.preventDefault();
});
slider.addEventListener('input', place);
new ResizeObserver(place).observe(view);
