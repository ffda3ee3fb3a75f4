// Fetches the page anew now and then, and puts its live parts in place of those shown. Where a part names a stream of events, it
// does so too when something happens. Nothing depends on it.
"use strict";

const PAUSE_MS = 5000;
// Lines of the audit log are there a second after what they tell of.
const AFTERWARDS_MS = 1500;
const BREATH_MS = 300;

const renew = async () => {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    // Whoever is in the middle of something there is left alone.
    if (next && !part.contains(document.activeElement) && part.innerHTML !== next.innerHTML) part.replaceWith(next);
  }
};

// One fetch at a time, however much happens.
const timers = new Map();
const soon = (wait) => {
  if (timers.has(wait)) return;
  timers.set(wait, setTimeout(() => renew().catch(() => {}).finally(() => timers.delete(wait)), wait));
};

const watch = (address) => {
  let stream = null;
  const open = () => {
    stream = new EventSource(address);
    for (const kind of ["request", "approval", "agent", "status", "lagged"]) {
      stream.addEventListener(kind, () => { soon(BREATH_MS); soon(AFTERWARDS_MS); });
    }
    stream.addEventListener("end", () => stream.close());
  };
  // Few may watch at once, so nobody does who does not look.
  document.addEventListener("visibilitychange", () => {
    stream?.close();
    if (!document.hidden) { soon(BREATH_MS); open(); }
  });
  if (!document.hidden) open();
};

if (document.querySelector("[data-live]")) {
  const again = () => renew().catch(() => {}).finally(() => setTimeout(again, PAUSE_MS));
  setTimeout(again, PAUSE_MS);
  const events = document.querySelector("[data-events]")?.dataset.events;
  if (events) watch(events);
}
