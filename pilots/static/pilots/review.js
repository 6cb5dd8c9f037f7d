// Reviews by the keyboard, with the next sample fetched while this one is read. Without this file each button, link and
// form of the page does the same with a page of its own.
"use strict";

let upcoming = { address: "", pair: Promise.resolve(null) };
let busy = false;

const current = () => document.getElementById("pair");

function pairIn(text) {
  return new DOMParser().parseFromString(text, "text/html").getElementById("pair");
}

async function fetchPair(address) {
  try {
    const response = await fetch(address);
    return response.ok && !response.redirected ? pairIn(await response.text()) : null;
  } catch {
    return null;
  }
}

function preload() {
  const address = current()?.dataset.next ?? "";
  upcoming = { address, pair: address ? fetchPair(address) : Promise.resolve(null) };
}

function show(pair, said) {
  current().replaceWith(document.adoptNode(pair));
  localiseTimes(current());
  const heading = document.getElementById("which");
  document.title = document.title.replace(/^.*?(?=, review)/, heading.firstChild.textContent.trim());
  document.getElementById("review-said").textContent = said;
  scrollTo(0, 0);
  heading.focus({ preventScroll: true });
  preload();
}

async function go(address, said = "") {
  const pair = await (address === upcoming.address ? upcoming.pair : fetchPair(address));
  if (!pair) {
    location.assign(address);
    return;
  }
  history.pushState(null, "", address);
  show(pair, said);
}

async function answer(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  const said = button.textContent.trim().slice(1);
  button.setAttribute("aria-pressed", "true");
  let response;
  try {
    response = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
  } catch {
    button.removeAttribute("aria-pressed");
    document.getElementById("review-said").textContent = "Not saved: the site cannot be reached. Try again.";
    form.dataset.failed = "Not saved: the site cannot be reached. Your answer is still here; try again.";
    return;
  }
  if (response.headers.get("Content-Type")?.startsWith("application/json")) {
    const { to, done, more } = await response.json();
    if (!more) {
      location.assign(to);
      return;
    }
    await go(to, `Saved: ${said}.`);
    for (const place of document.querySelectorAll("#pair [data-done]")) place.textContent = done;
    const progress = document.querySelector("#pair progress");
    if (progress) progress.value = done;
    return;
  }
  // Refused: the page that says why, with what was typed.
  const pair = pairIn(await response.text());
  if (pair) show(pair, pair.querySelector("[role='alert'] b")?.textContent ?? "");
  else location.reload();
}

// Before app.js, which marks a form as sent for good.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-review-answer]");
  if (!form || !event.submitter) return;
  event.preventDefault();
  event.stopPropagation();
  if (busy) return;
  busy = true;
  delete form.dataset.failed;
  answer(form, event.submitter).finally(() => { busy = false; });
}, true);

document.addEventListener("click", (event) => {
  const link = event.target.closest("#pair a[data-turn]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(link.href);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (typing) {
    if (event.key === "Escape") document.getElementById("which").focus();
    return;
  }
  const target = [...document.querySelectorAll("#pair [data-key]")].find((one) => one.dataset.key === event.key);
  if (!target) return;
  event.preventDefault();
  if (target.matches("textarea")) target.focus();
  else target.click();
});

addEventListener("popstate", () => location.reload());

preload();
