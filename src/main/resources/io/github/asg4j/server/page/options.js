// SPDX-License-Identifier: Apache-2.0
// Fields for the options of a request, made from the server's table.

/** Options that have a place of their own on the page. */
const PLACED = new Set(['prompt', 'negative_prompt', 'method', 'size', 'steps', 'guidance_scale', 'seed', 'image', 'inpaint']);

const HEADINGS = {
  picture: 'Picture', stage1: 'Stage 1', windows: 'Overlapping windows', phases: 'Phases', dilation: 'Dilated convolutions',
};

/** How texts become values of JSON, by the form that the table shows: "N", "X", "LIST", "a|b|c", ... */
function value(form, text) {
  const number = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text.trim()) ? Number(text) : text.trim();
  if (form === 'LIST') return text.split(',').map(part => part.trim());
  if (form === 'all|INDICES') return text.trim() === 'all' ? [] : text.split(',').map(Number);
  if (form.startsWith('GROUP=')) return Object.fromEntries(text.split(',').map(part => {
    const [name, factor] = part.split('=');
    return [name.trim(), Number(factor)];
  }));
  if (form === 'TEXT' || form === 'NAME') return text;
  return number;
}

const words = form => (/^[a-z0-9-]+(\|[a-z0-9-]+)+$/.test(form) ? form.split('|') : null);

function field(option) {
  const box = document.createElement('div');
  const label = document.createElement('label');
  label.htmlFor = `option-${option.key}`;
  label.textContent = option.key.replaceAll('_', ' ');
  const help = document.createElement('small');
  help.id = `help-${option.key}`;
  help.textContent = option.description;
  let input;
  const choices = words(option.values);
  if (choices) {
    input = document.createElement('select');
    for (const choice of ['', ...choices]) input.add(new Option(choice || 'default', choice));
  } else {
    input = document.createElement('input');
    if (option.values === '') input.type = 'checkbox';
    else if (option.values === 'N' || option.values === 'X') { input.type = 'number'; input.step = option.values === 'N' ? 1 : 'any'; }
    input.placeholder = option.values === '' ? '' : 'default';
  }
  input.id = label.htmlFor;
  input.dataset.key = option.key;
  input.dataset.form = option.values;
  input.setAttribute('aria-describedby', help.id);
  if (option.values === '') { box.className = 'flag'; box.append(input, label, help); } else box.append(label, input, help);
  return box;
}

/** Fills a container with the fields of a method's options; what was given stays where the option stays. */
export function build(container, options, method) {
  const before = given(container);
  container.replaceChildren();
  let section = '';
  for (const option of options) {
    if (PLACED.has(option.key) || !option.methods.includes(method)) continue;
    if (option.section !== section) {
      section = option.section;
      const heading = document.createElement('h2');
      heading.textContent = HEADINGS[section] ?? section;
      container.append(heading);
    }
    container.append(field(option));
  }
  fill(container, before);
}

/** The options that are given, as values of JSON. */
export function given(container) {
  const result = {};
  for (const input of container.querySelectorAll('[data-key]')) {
    if (input.type === 'checkbox') { if (input.checked) result[input.dataset.key] = true; }
    else if (input.value.trim() !== '') result[input.dataset.key] = value(input.dataset.form, input.value);
  }
  return result;
}

function text(json) {
  if (Array.isArray(json)) return json.length ? json.join(',') : 'all';
  if (json && typeof json === 'object') return Object.entries(json).map(([k, v]) => `${k}=${v}`).join(',');
  return json === undefined || json === null ? '' : String(json);
}

/** Gives fields the values of JSON, or texts; those that have none are emptied. */
export function fill(container, values) {
  for (const input of container.querySelectorAll('[data-key]')) {
    const json = values[input.dataset.key];
    if (input.type === 'checkbox') input.checked = json === true || json === 'true';
    else input.value = text(json); // what a field cannot hold leaves it empty
  }
}
