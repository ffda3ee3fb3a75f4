// Shows that something waits, and opens its page. Nothing of what a message says is shown, and the page is always one of this
// gateway's own: a message that somebody forged can do no more than call a person to a list, where signing in comes first.
"use strict";

const WORDS = {
  sensitive: "Something waits for your answer.",
  critical: "Something critical waits for your answer.",
};
const isId = (id) => typeof id === "string" && /^[0-9a-f]{32}$/.test(id);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let said = null;
  try {
    said = event.data.json();
  } catch {
    // It is none of ours; the list says what there is.
  }
  const known = said !== null && isId(said.id) && Object.hasOwn(WORDS, said.class);
  event.waitUntil(
    self.registration.showNotification("Moongate", {
      body: known ? WORDS[said.class] : "Look at what waits for your answer.",
      tag: known ? said.id : "moongate",
      icon: "/approvals/app/icon-192.png",
      requireInteraction: known && said.class === "critical",
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { tag } = event.notification;
  const url = new URL(isId(tag) ? `/approvals/${tag}` : "/approvals", self.location.origin).href;
  const show = async () => {
    const open = (await self.clients.matchAll({ type: "window" })).find((client) => client.url === url);
    return open ? open.focus() : self.clients.openWindow(url);
  };
  event.waitUntil(show());
});
