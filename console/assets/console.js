// Fetches the page anew now and then, and puts its live parts in place of those shown. Nothing depends on it.
"use strict";

const PAUSE_MS = 5000;

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

if (document.querySelector("[data-live]")) {
  const again = () => renew().catch(() => {}).finally(() => setTimeout(again, PAUSE_MS));
  setTimeout(again, PAUSE_MS);
}
