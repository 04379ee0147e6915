/** The new-study form: what the server says about the design, beside it, while it is typed. */

const WAIT_MS = 350;
const form = /** @type {HTMLFormElement} */ (document.getElementById("design"));
const beside = /** @type {HTMLElement} */ (document.getElementById("preview"));
const sampled = /** @type {any} */ (document.getElementById("sampled"));
let timer = 0;
let asked = 0;

async function preview() {
  const turn = ++asked;
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  const answer = await fetch(form.dataset.preview ?? "", { method: "POST", body });
  if (turn !== asked || !answer.ok) return;
  const { html, figure } = await answer.json();
  beside.innerHTML = html;
  sampled.closest(".figure").hidden = !figure;
  if (figure) await sampled.show(figure);
}

const later = () => (clearTimeout(timer), (timer = setTimeout(preview, WAIT_MS)));

/** Shows the fields that belong to the chosen type of a hyperparameter, or to the chosen scheduler. */
function fit(/** @type {any} */ row) {
  const type = row.querySelector("[data-type]").value;
  for (const field of row.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(type);
    for (const input of field.querySelectorAll("input, select")) input.disabled = field.hidden;
  }
}

form.addEventListener("input", (event) => {
  const row = /** @type {Element} */ (event.target).closest("[data-typed]");
  if (row) fit(row);
  later();
});
form.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest("button[data-row]");
  if (!button) return;
  if (button.getAttribute("data-row") === "remove") button.closest(".parameter")?.remove();
  else {
    const row = document.getElementById("parameter")?.innerHTML.replaceAll("space.ROW.", `space.${Date.now()}.`) ?? "";
    document.getElementById("space")?.insertAdjacentHTML("beforeend", row);
    fit(document.querySelector("#space > :last-child"));
  }
  later();
});

/** A mend is sent like the turn to TOML, and what comes back is put into the form in its place. */
form.addEventListener("submit", async (event) => {
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  if (button?.name !== "mend") return;
  event.preventDefault();
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form, button)));
  const answer = await fetch(form.action, { method: "POST", body });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("design");
  if (!fresh) return;
  form.replaceChildren(...document.adoptNode(fresh).childNodes);
  form.querySelectorAll("[data-typed]").forEach(fit);
  await preview();
  /** @type {HTMLElement | null} */ (beside.querySelector("[name=mend]"))?.focus({ preventScroll: true });
});

form.querySelectorAll("[data-typed]").forEach(fit);
preview();
