// Passkeys: shows the forms that need one, asks the browser, puts its answer into the form and sends it.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// What a person may call the thing by later.
const here = () => {
  const agent = navigator.userAgent;
  const known = ["iPhone", "iPad", "Android", "Macintosh", "Windows", "Linux"].find((word) => agent.includes(word));
  return known === "Macintosh" ? "Mac" : known || "Passkey";
};

const create = async (options) => {
  options.challenge = bytes(options.challenge);
  options.user.id = bytes(options.user.id);
  options.excludeCredentials.forEach((known) => { known.id = bytes(known.id); });
  const { response } = await navigator.credentials.create({ publicKey: options });
  return { client_data: text(response.clientDataJSON), attestation: text(response.attestationObject) };
};

const get = async (options) => {
  options.challenge = bytes(options.challenge);
  const { rawId, response } = await navigator.credentials.get({ publicKey: options });
  return {
    id: text(rawId),
    client_data: text(response.clientDataJSON),
    authenticator_data: text(response.authenticatorData),
    signature: text(response.signature),
    user_handle: response.userHandle && response.userHandle.byteLength ? text(response.userHandle) : null,
  };
};

const complain = (form, words) => {
  let note = form.querySelector("[role=alert]");
  if (!note) {
    note = document.createElement("div");
    note.className = "alert";
    note.setAttribute("role", "alert");
    note.append(document.createElement("p"));
    form.prepend(note);
  }
  note.firstChild.textContent = words;
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const options = JSON.parse(form.dataset.options);
      const answer = await (form.dataset.passkey === "create" ? create(options) : get(options));
      form.elements.answer.value = JSON.stringify(answer);
      if (form.elements.label) form.elements.label.value = here();
      form.submit();
    } catch (error) {
      button.disabled = false;
      complain(form, error.name === "InvalidStateError"
        ? "This device has a passkey for you already."
        : "The browser did not give a passkey. Try again, or go on without one.");
    }
  });
}
