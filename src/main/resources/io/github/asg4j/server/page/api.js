// SPDX-License-Identifier: Apache-2.0
// The server's API of jobs.

const BASE = '/asg/v1';
const KEY = 'asg4j-key';

/** What the server refuses, in its words. */
export class Refusal extends Error {
  constructor(status, error, retryAfter) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.param = error.param;
    this.retryAfter = retryAfter;
  }
}

/** Asks the user for a key; set by the page. */
let askKey = async () => null;
export function onKeyNeeded(ask) { askKey = ask; }

async function request(path, options = {}) {
  for (;;) {
    const key = localStorage.getItem(KEY);
    const headers = {...options.headers, ...(key ? {Authorization: `Bearer ${key}`} : {})};
    const response = await fetch(path, {...options, headers});
    if (response.ok) return response;
    let error = {message: `the server answers ${response.status}`};
    try { error = (await response.json()).error ?? error; } catch { /* no JSON */ }
    if (response.status === 401) {
      const given = await askKey();
      if (given) { localStorage.setItem(KEY, given); continue; }
    }
    throw new Refusal(response.status, error, Number(response.headers.get('Retry-After')) || 0);
  }
}

const post = (path, body, signal) =>
  request(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), signal});

export const capabilities = async model =>
  (await request(`${BASE}/capabilities${model ? `?model=${encodeURIComponent(model)}` : ''}`)).json();
export const plan = async (body, signal) => (await post(`${BASE}/plan`, body, signal)).json();
export const create = async body => (await post(`${BASE}/jobs`, body)).json();
export const jobs = async () => (await (await request(`${BASE}/jobs`)).json()).jobs;
export const remove = async job => (await request(job.url, {method: 'DELETE'})).json();
export const blob = async url => (await request(url)).blob();

/** Calls handler(name, data) for each event of a job until the last one; goes on after a lost connection. */
export async function events(job, handler) {
  let last = null;
  for (let failures = 0; failures < 5;) {
    try {
      const response = await request(`${job.url}/events`, {headers: last === null ? {} : {'Last-Event-ID': last}});
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        failures = 0;
        text += value;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const fields = Object.fromEntries(text.slice(0, end).split('\n').map(line => {
            const colon = line.indexOf(': ');
            return [line.slice(0, colon), line.slice(colon + 2)];
          }));
          if (!fields.event) continue;
          last = fields.id;
          await handler(fields.event, JSON.parse(fields.data));
          if (['done', 'error', 'cancelled'].includes(fields.event)) return;
        }
      }
    } catch (e) {
      if (e instanceof Refusal) throw e;
    }
    failures++;
    await new Promise(resolve => setTimeout(resolve, 1000 * failures));
  }
  throw new Error('the connection to the server is lost');
}
