/** Trades the one-time code for a session; a code after # in the address is used at once, and leaves the address. */

const form = /** @type {HTMLFormElement} */ (document.getElementById("login"));
const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("code"));
const error = /** @type {HTMLElement} */ (document.getElementById("error"));

async function logIn() {
  const answer = await fetch("/api/v1/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code: field.value.trim() }),
  });
  if (answer.ok) return location.replace(form.dataset.next ?? "/");
  const problem = await answer.json().catch(() => ({}));
  error.textContent = [problem.detail ?? "The login failed.", problem.remedy].filter(Boolean).join(" ");
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
