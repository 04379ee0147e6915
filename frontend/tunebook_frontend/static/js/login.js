/** Trades the one-time code for a session; a code after # in the address is used at once, and leaves the address. */

const form = /** @type {HTMLFormElement} */ (document.getElementById("login"));
const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("code"));

async function logIn() {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ code: field.value.trim() });
  const answer = await fetch("/api/v1/login", { method: "POST", headers, body });
  if (answer.ok) return location.replace(form.dataset.next ?? "/");
  const { detail, remedy } = await answer.json().catch(() => ({ detail: "The login failed." }));
  document.getElementById("error")?.replaceChildren([detail, remedy].filter(Boolean).join(" "));
  field.select();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  logIn();
});

const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) {
  history.replaceState(null, "", location.pathname + location.search);
  field.value = code;
  logIn();
}
