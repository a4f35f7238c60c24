// SPDX-License-Identifier: Apache-2.0
// Pictures that were drawn, in this browser's IndexedDB.

const MOST = 300;

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const database = (() => {
  const request = indexedDB.open('asg4j', 1);
  request.onupgradeneeded = () => request.result.createObjectStore('pictures', {keyPath: 'id'}).createIndex('created', 'created');
  return done(request);
})();

const store = async mode => (await database).transaction('pictures', mode).objectStore('pictures');

/** The newest first. */
export const all = async () => (await done((await store('readonly')).index('created').getAll())).reverse();
export const remove = async id => done((await store('readwrite')).delete(id));

/** Keeps {id, created, request, blob, thumbnail, ...}; the oldest leave. */
export async function add(entry) {
  await done((await store('readwrite')).put(entry));
  for (const old of (await all()).slice(MOST)) await remove(old.id);
}

/** A small JPEG of a picture. */
export async function thumbnail(blob) {
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, 256 / Math.min(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({type: 'image/jpeg', quality: 0.85});
}
