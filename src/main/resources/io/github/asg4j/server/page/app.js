// SPDX-License-Identifier: Apache-2.0
import * as api from './api.js';
import * as history from './history.js';
import * as options from './options.js';
import * as png from './png.js';
import * as viewer from './viewer.js';

const $ = id => document.getElementById(id);
const PREVIEWS = 12;
const ASPECTS = ['native', '1:1', '4:3', '3:2', '16:9', '3:4', '2:3', '9:16'];
const SCALES = [1, 2, 3, 4, 6, 8];

let server;           // capabilities
let start = null;     // base64 of the start picture
let mask = null;      // base64 of what is painted anew
const running = new Map(); // job id -> {job, row, cancelled}
let entries = [];     // history, the newest first
let shown = null;     // entry on the stage
let comparing = null; // entry that waits for another
const urls = new Map();

function notice(text) {
  $('notice').textContent = text;
  if (text) setTimeout(() => { if ($('notice').textContent === text) $('notice').textContent = ''; }, 6000);
}

function url(entry, which = 'blob') {
  const key = `${entry.id} ${which}`;
  if (!urls.has(key)) urls.set(key, URL.createObjectURL(entry[which]));
  return urls.get(key);
}

// The form.

function setSize() {
  const [w, h] = $('aspect').value === 'native' ? [server.model.native_width, server.model.native_height] : $('aspect').value.split(':').map(Number);
  const {native_width: nw, native_height: nh, size_multiple: multiple} = server.model;
  const area = nw * nh * Number($('scale').value) ** 2;
  const side = Math.sqrt(area / (w * h));
  const rounded = n => Math.max(multiple, Math.round(n / multiple) * multiple);
  $('width').value = rounded(w * side);
  $('height').value = rounded(h * side);
  planSoon();
}

function method() {
  options.build($('options'), server.options, $('method').value);
  $('start').hidden = !takes('image');
  $('mask').hidden = !start || !takes('inpaint');
  planSoon();
}

/** Whether the method that is chosen has an option. */
function takes(key) {
  return server.options.some(o => o.key === key && o.methods.includes($('method').value));
}

function request() {
  const fields = {
    ...options.given($('options')),
    prompt: $('prompt').value,
    model: server.model.name,
    method: $('method').value,
    size: `${$('width').value}x${$('height').value}`,
  };
  if ($('negative_prompt').value.trim()) fields.negative_prompt = $('negative_prompt').value;
  if ($('steps').value) fields.steps = Number($('steps').value);
  if ($('guidance_scale').value) fields.guidance_scale = Number($('guidance_scale').value);
  if (start && !$('start').hidden) fields.image = {base64: start};
  if (mask && !$('mask').hidden) fields.inpaint = {base64: mask};
  return fields;
}

function describeModel() {
  const {name, native_width: width, native_height: height, size_multiple: multiple} = server.model;
  $('model').textContent = `${name}, native ${width} × ${height}`;
  $('model-name').value = name;
  for (const side of ['width', 'height']) $(side).step = $(side).min = multiple;
}

/** Makes the form one for another model, which the server opens if nobody has asked for it before. */
async function choose(name) {
  if (name === server.model.name) return;
  $('model').textContent = `opening ${name}…`;
  const usual = server.defaults.method;
  try {
    server = await api.capabilities(name);
    if ($('method').value === usual) $('method').value = server.defaults.method;
    fail('');
  } catch (e) {
    fail(e.message);
  }
  describeModel();
  setSize();
  method();
}

/** Fills the form with a request, or with what a file says. */
async function use(settings) {
  if (server.models.some(model => model.name === settings.model)) await choose(settings.model);
  $('prompt').value = settings.prompt ?? '';
  $('negative_prompt').value = settings.negative_prompt ?? '';
  const name = String(settings.method ?? '').toLowerCase();
  if (server.methods.includes(name)) $('method').value = name;
  method();
  const size = /^(\d+)x(\d+)$/.exec(settings.size ?? '');
  if (size) [, $('width').value, $('height').value] = size;
  $('steps').value = settings.steps ?? '';
  $('guidance_scale').value = settings.guidance_scale ?? '';
  $('seed').value = settings.seed ?? '';
  options.fill($('options'), settings);
  planSoon();
}

let planTimer, planning;
function planSoon() {
  clearTimeout(planTimer);
  planTimer = setTimeout(plan, 300);
}

async function plan() {
  planning?.abort();
  planning = new AbortController();
  try {
    const body = {...request(), prompt: $('prompt').value.trim() ? $('prompt').value : 'a picture'};
    if (body.image) {
      // the plan is asked for often: without pictures, and without what only they give a meaning to
      for (const key of ['image', 'image_fit', 'inpaint', 'inpaint_blur', 'inpaint_inverted', 'inpaint_area', 'inpaint_padding']) delete body[key];
      if (body.method !== 'relay') delete body.strength;
    }
    const found = await api.plan(body, planning.signal);
    const rate = Number(localStorage.getItem(`rate ${server.model.sha256}`));
    const time = rate ? `, about ${spoken(rate * found.unet_runs)}` : '';
    $('plan').textContent = `${found.unet_runs} UNet calls, ${memory(found.bytes.total)}${time}`;
    $('steps').placeholder = found.steps;
    $('guidance_scale').placeholder = found.stages?.[0]?.guidance_scale ?? '';
    if ($('error').dataset.from === 'plan') fail('');
  } catch (e) {
    if (e.name === 'AbortError') return;
    $('plan').textContent = '';
    fail(e.message, 'plan');
  }
}

function fail(text, from = '') {
  $('error').textContent = text;
  $('error').dataset.from = from;
}

const memory = bytes => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
const spoken = seconds => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`);

async function draw() {
  if (!$('form').reportValidity()) return;
  fail('');
  const given = $('seed').value.trim();
  const fields = request();
  for (let i = 0; i < Number($('count').value); i++) {
    const body = {...fields, previews: PREVIEWS};
    // a seed may have 64 bits, which a number of JavaScript has not: JSON.rawJSON keeps them
    if (given && given !== '-1') body.seed = JSON.rawJSON ? JSON.rawJSON(String(BigInt(given) + BigInt(i))) : Number(given) + i;
    try {
      follow(await api.create(body));
      if (matchMedia('(max-width: 56rem)').matches) $('stage').scrollIntoView({behavior: 'smooth'});
    } catch (e) {
      fail(e.retryAfter ? `${e.message}. Try again in ${e.retryAfter} s.` : e.message);
      return;
    }
  }
}

// Jobs.

function row(job) {
  const item = document.createElement('li');
  const name = document.createElement('b');
  name.textContent = job.request.prompt;
  const state = document.createElement('span');
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Cancel';
  button.setAttribute('aria-label', `Cancel ${job.request.prompt}`);
  button.addEventListener('click', () => cancel(job.id));
  item.append(name, state, button);
  return {item, state};
}

async function cancel(id) {
  const entry = running.get(id);
  if (!entry) return;
  entry.state.textContent = 'ends…';
  try { await api.remove(entry.job); } catch (e) { fail(e.message); }
}

const drawn = () => [...running.values()].find(entry => entry.drawing) ?? null;

async function follow(job) {
  if (running.has(job.id)) return;
  const entry = {job, ...row(job), drawing: false};
  running.set(job.id, entry);
  $('jobs').append(entry.item);
  $('queue').hidden = false;
  try {
    await api.events(job, (name, data) => event(entry, name, data));
  } catch (e) {
    fail(e.message);
  } finally {
    running.delete(job.id);
    entry.item.remove();
    if (entry.preview) URL.revokeObjectURL(entry.preview);
    $('queue').hidden = running.size === 0;
    if (!drawn()) $('progress').hidden = true;
  }
}

async function event(entry, name, data) {
  if (name === 'queued') entry.state.textContent = `waits, place ${data.position}`;
  if (name === 'progress') {
    entry.drawing = true;
    const left = data.seconds_left > 0 && data.share > 0.02 ? `, ${spoken(data.seconds_left)} left` : '';
    const text = data.stage ? `${data.stage}: ${data.step} of ${data.of}${left}` : 'begins';
    entry.state.textContent = `${Math.round(data.share * 100)} %`;
    $('progress').hidden = false;
    $('bar').value = data.share;
    $('state').textContent = text;
    document.title = `${Math.round(data.share * 100)} % · asg4j`;
  }
  if (name === 'preview') {
    try {
      const next = URL.createObjectURL(await api.blob(data.url));
      if (entry.preview) URL.revokeObjectURL(entry.preview);
      entry.preview = next;
      stop();
      shown = null;
      mark();
      $('tools').hidden = true;
      viewer.show(next, `Preview of ${entry.job.request.prompt}`, entry.job.width, entry.job.height);
    } catch { /* the next one has come, or the picture */ }
  }
  if (name === 'error') fail(data.error.message);
  if (name === 'cancelled') notice('Cancelled.');
  if (name === 'done') await done(data);
  if (['done', 'error', 'cancelled'].includes(name)) document.title = 'asg4j';
}

async function done(job) {
  const blob = await api.blob(job.picture);
  const milliseconds = job.report.times_ms?.total ?? Object.values(job.report.times_ms ?? {}).reduce((a, b) => a + b, 0);
  const calls = job.report.unet_runs ?? 0;
  if (calls && milliseconds && job.request.model === server.model.name) localStorage.setItem(`rate ${server.model.sha256}`, milliseconds / 1000 / calls);
  const entry = {
    id: job.id, created: job.created * 1000 + (Date.now() % 1000), request: job.request, seed: String(job.seed), width: job.width, height: job.height,
    seconds: milliseconds / 1000, blob, thumbnail: await history.thumbnail(blob),
  };
  await history.add(entry);
  entries.unshift(entry);
  list();
  show(entry);
}

// The stage.

function name(entry) {
  const slug = entry.request.prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40).replace(/^-|-$/g, '');
  return `${slug || 'picture'}-${entry.seed}.png`;
}

function show(entry) {
  if (comparing && comparing !== entry) {
    viewer.compare(url(entry), `${comparing.request.method} seed ${comparing.seed} | ${entry.request.method} seed ${entry.seed}`);
    comparing = null;
    notice('');
    return;
  }
  stop();
  shown = entry;
  viewer.show(url(entry), entry.request.prompt, entry.width, entry.height);
  $('tools').hidden = false;
  $('enlarge').hidden = !server.methods.some(m => server.options.some(o => o.key === 'image' && o.methods.includes(m)));
  $('save').href = url(entry);
  $('save').download = name(entry);
  $('facts').textContent = `${entry.width} × ${entry.height}, ${entry.request.method}, seed ${entry.seed}, ${spoken(entry.seconds)}`;
  mark();
}

function stop() {
  viewer.compare(null);
  comparing = null;
  $('compare').setAttribute('aria-pressed', 'false');
}

function mark() {
  for (const button of $('history').querySelectorAll('button')) button.setAttribute('aria-current', String(button.dataset.id === shown?.id));
}

function list() {
  $('past').hidden = entries.length === 0;
  $('history').replaceChildren(...entries.map(entry => {
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.id = entry.id;
    const img = document.createElement('img');
    img.src = url(entry, 'thumbnail');
    img.alt = entry.request.prompt;
    img.title = entry.request.prompt;
    button.append(img);
    button.addEventListener('click', () => show(entry));
    const item = document.createElement('li');
    item.append(button);
    return item;
  }));
  mark();
}

async function remove() {
  if (!shown) return;
  const id = shown.id;
  await history.remove(id);
  for (const which of ['blob', 'thumbnail']) {
    URL.revokeObjectURL(urls.get(`${id} ${which}`));
    urls.delete(`${id} ${which}`);
  }
  entries = entries.filter(entry => entry.id !== id);
  shown = null;
  list();
  if (entries.length) show(entries[0]);
  else { viewer.clear(); $('tools').hidden = true; }
}

// Files.

async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}

async function startFrom(blob) {
  start = await base64(blob);
  $('start-picture').src = URL.createObjectURL(blob);
  $('start-picture').hidden = $('start-clear').hidden = false;
  method();
  const bitmap = await createImageBitmap(blob);
  const {size_multiple: multiple} = server.model;
  // the size asked for, in the picture's aspect
  const side = Math.sqrt(Number($('width').value) * Number($('height').value) / (bitmap.width * bitmap.height));
  $('width').value = Math.max(multiple, Math.round(bitmap.width * side / multiple) * multiple);
  $('height').value = Math.max(multiple, Math.round(bitmap.height * side / multiple) * multiple);
  bitmap.close();
  planSoon();
}

async function readSettings(file) {
  const found = png.settings((await png.texts(await file.arrayBuffer())).parameters);
  if (found) {
    await use(found);
    notice(`Settings of ${file.name} are in the form.`);
  } else {
    notice(`${file.name} holds no settings; drop it on the start picture to draw from it.`);
  }
}

function clearStart() {
  start = mask = null;
  $('start-file').value = $('mask-file').value = '';
  $('start-picture').hidden = $('start-clear').hidden = $('mask').hidden = true;
  planSoon();
}

// Wiring.

$('form').addEventListener('submit', e => { e.preventDefault(); draw(); });
$('form').addEventListener('input', e => { if (e.target.id !== 'seed' && e.target.id !== 'count') planSoon(); });
$('method').addEventListener('change', method);
$('model-name').addEventListener('change', () => choose($('model-name').value));
$('scale').addEventListener('change', setSize);
$('aspect').addEventListener('change', setSize);
$('swap').addEventListener('click', () => { [$('width').value, $('height').value] = [$('height').value, $('width').value]; planSoon(); });
$('dice').addEventListener('click', () => { $('seed').value = ''; notice('Each picture gets a random seed.'); });
$('keep').addEventListener('click', () => { if (shown) $('seed').value = shown.seed; });
$('cancel').addEventListener('click', () => { const now = drawn(); if (now) cancel(now.job.id); });
$('fit').addEventListener('click', viewer.fit);
$('actual').addEventListener('click', viewer.actual);
$('reuse').addEventListener('click', async () => { if (shown) { await use({...shown.request, seed: shown.seed}); notice('The settings are in the form.'); } });
$('enlarge').addEventListener('click', () => {
  if (!shown) return;
  $('prompt').value = shown.request.prompt;
  if (server.methods.includes('relay')) $('method').value = 'relay';
  startFrom(shown.blob);
});
$('compare').addEventListener('click', () => {
  const on = $('compare').getAttribute('aria-pressed') === 'true';
  stop();
  if (!on && shown) {
    comparing = shown;
    $('compare').setAttribute('aria-pressed', 'true');
    notice('Choose another picture of the history.');
  }
});
$('remove').addEventListener('click', remove);
$('start-file').addEventListener('change', e => { if (e.target.files[0]) startFrom(e.target.files[0]); });
$('mask-file').addEventListener('change', async e => { mask = e.target.files[0] ? await base64(e.target.files[0]) : null; });
$('start-clear').addEventListener('click', clearStart);
document.addEventListener('keydown', e => {
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); draw(); }
  if (e.key === 'Escape' && !$('login').open) { const now = drawn(); if (now) cancel(now.job.id); }
});
document.addEventListener('dragover', e => { e.preventDefault(); document.body.classList.add('over'); });
document.addEventListener('dragleave', e => { if (!e.relatedTarget) document.body.classList.remove('over'); });
document.addEventListener('drop', e => {
  e.preventDefault();
  document.body.classList.remove('over');
  const file = e.dataTransfer.files[0];
  if (file) ($('drop').contains(e.target) ? startFrom : readSettings)(file);
});
document.addEventListener('paste', e => {
  const file = [...e.clipboardData.files].find(f => f.type.startsWith('image/'));
  if (file) { e.preventDefault(); startFrom(file); }
});
api.onKeyNeeded(() => new Promise(resolve => {
  const dialog = $('login');
  dialog.addEventListener('close', () => resolve($('key').value.trim()), {once: true});
  $('key').value = '';
  if (!dialog.open) dialog.showModal();
}));

async function open() {
  for (;;) {
    try {
      server = await api.capabilities();
      break;
    } catch (e) {
      $('model').textContent = e.message;
      if (e.status !== 503) throw e;
      await new Promise(resolve => setTimeout(resolve, 1000));
    }
  }
  for (const {name} of server.models) $('model-name').add(new Option(name, name));
  $('models').hidden = server.models.length < 2;
  describeModel();
  for (const name of server.methods) $('method').add(new Option(name, name));
  $('method').value = server.defaults.method;
  for (const name of ASPECTS) $('aspect').add(new Option(name, name));
  for (const n of SCALES) $('scale').add(new Option(`${n} ×`, n));
  $('scale').value = 2;
  setSize();
  method();
  entries = await history.all();
  list();
  if (entries.length) show(entries[0]);
  const known = new Set(entries.map(entry => entry.id));
  for (const job of await api.jobs()) {
    if (['queued', 'drawing'].includes(job.status)) follow(job);
    else if (job.status === 'completed' && !known.has(job.id)) await done(job);
  }
}

open();
