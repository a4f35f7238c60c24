// SPDX-License-Identifier: Apache-2.0
// The settings that a PNG file holds: asg4j's own and those of AUTOMATIC1111's web UI, which have one form.

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Text chunks by their keywords; empty for what is no PNG. */
export async function texts(buffer) {
  const view = new DataView(buffer), latin = new TextDecoder('latin1'), utf8 = new TextDecoder(), found = {};
  if (view.byteLength < 8 || view.getUint32(0) !== 0x89504e47) return found;
  for (let p = 8; p + 12 <= view.byteLength;) {
    const n = view.getUint32(p);
    if (p + 12 + n > view.byteLength) break;
    const type = latin.decode(new Uint8Array(buffer, p + 4, 4));
    const data = new Uint8Array(buffer, p + 8, n);
    const zero = data.indexOf(0);
    const key = latin.decode(data.subarray(0, zero));
    if (type === 'tEXt') found[key] = latin.decode(data.subarray(zero + 1));
    if (type === 'zTXt') found[key] = latin.decode(await inflated(data.slice(zero + 2)));
    if (type === 'iTXt') {
      let q = data.indexOf(0, zero + 3);
      q = data.indexOf(0, q + 1);
      const text = data.slice(q + 1);
      found[key] = utf8.decode(data[zero + 1] ? await inflated(text) : text);
    }
    p += 12 + n;
  }
  return found;
}

/** "Steps: 20, Sampler: Euler, Note: \"a, b\"" as [name, value] pairs. */
function pairs(line) {
  const all = [];
  const form = /\s*([\w /-]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)/g;
  for (let m; (m = form.exec(line)) && m[0];) {
    let value = m[2].trim();
    if (value.startsWith('"')) { try { value = JSON.parse(value); } catch { /* as it is */ } }
    all.push([m[1].trim(), value]);
  }
  return all;
}

/** Settings by the keys of requests, of the text under "parameters"; null: there are none. */
export function settings(text) {
  if (!text) return null;
  const lines = text.split('\n');
  const last = /\bSteps: \d+/.test(lines.at(-1)) ? lines.pop() : '';
  const negativeAt = lines.findIndex(line => line.startsWith('Negative prompt: '));
  const literal = s => s.replace(/\\([()[\]\\])/g, '$1');
  const result = {prompt: literal((negativeAt < 0 ? lines : lines.slice(0, negativeAt)).join('\n'))};
  result.negative_prompt = negativeAt < 0 ? '' : literal(lines.slice(negativeAt).join('\n').slice('Negative prompt: '.length));
  const names = {'CFG scale': 'guidance_scale', Sampler: 'scheduler', 'Schedule type': 'spacing', 'VAE': null, Version: null};
  for (const [name, value] of pairs(last)) {
    const key = name in names ? names[name] : name.toLowerCase().replaceAll(' ', '_');
    if (key) result[key] = value;
  }
  if (result.request) { // our own: every option as it was given, but for the files that it only names
    const request = JSON.parse(result.request);
    for (const key of Object.keys(request)) if (JSON.stringify(request[key]).includes('{')) delete request[key];
    return {...request, size: result.size, seed: result.seed};
  }
  if (result.spacing === 'Automatic') delete result.spacing;
  return result;
}
