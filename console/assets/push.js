// Offers to tell this browser of what waits: registers the worker, asks the browser for a subscription and sends it as a form.
"use strict";

(() => {
  const form = document.querySelector("form[data-push]");
  const able = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  if (!form || !able) return;

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const here = () => {
    const known = ["iPhone", "iPad", "Android", "Macintosh", "Windows", "Linux"].find((word) => navigator.userAgent.includes(word));
    return known === "Macintosh" ? "Mac" : known || "Browser";
  };
  // What the gateway calls a subscription.
  const nameOf = async (endpoint) =>
    text((await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint))).slice(0, 15));
  const complain = (words) => {
    const note = form.querySelector("[role=alert]");
    note.hidden = false;
    note.firstChild.textContent = words;
  };

  const registered = navigator.serviceWorker.register("/approvals/app/worker.js", { scope: "/approvals" });
  registered
    .then(async (registration) => {
      const held = await registration.pushManager.getSubscription();
      const known = form.dataset.held.split(" ");
      form.hidden = held !== null && known.includes(await nameOf(held.endpoint));
    })
    .catch(() => {});

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      if ((await Notification.requestPermission()) !== "granted") throw new Error("not allowed");
      const registration = await registered;
      const options = { userVisibleOnly: true, applicationServerKey: bytes(form.dataset.push) };
      const { endpoint, keys } = (await registration.pushManager.subscribe(options)).toJSON();
      const { elements } = form;
      [elements.endpoint.value, elements.p256dh.value, elements.auth.value] = [endpoint, keys.p256dh, keys.auth];
      elements.label.value = here();
      form.submit();
    } catch {
      button.disabled = false;
      complain("This browser does not allow it. See its settings for notifications, and try again.");
    }
  });
})();
