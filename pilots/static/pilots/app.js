// Small behaviours by data attribute; every page works without them.
"use strict";

const root = document.documentElement;

function remember(name, value) {
  root.dataset[name] = value;
  try {
    localStorage.setItem("pilots." + name, value);
  } catch {
    // Storage is refused: the choice lasts for this page.
  }
}

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function labelSwitches() {
  for (const button of document.querySelectorAll("[data-switch-theme]")) {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
  }
  for (const button of document.querySelectorAll("[data-switch-density]")) {
    button.textContent = root.dataset.density === "compact" ? "Comfortable rows" : "Compact rows";
  }
}

// Absolute times in the reader's own zone; the server wrote them in UTC.
function localiseTimes(scope) {
  for (const time of scope.querySelectorAll("time[data-instant]")) {
    const instant = new Date(time.dateTime);
    if (!Number.isNaN(instant.valueOf())) {
      time.title = instant.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  }
}

function openJump() {
  const dialog = document.getElementById("jump");
  if (!dialog || dialog.open) return;
  dialog.showModal();
  const input = dialog.querySelector("input");
  input.select();
  if (!dialog.querySelector(".jump-results").children.length) htmx.trigger(input, "jump");
}

const clicks = {
  "[data-switch-theme]": () => { remember("theme", isDark() ? "light" : "dark"); labelSwitches(); },
  "[data-switch-density]": () => {
    remember("density", root.dataset.density === "compact" ? "comfortable" : "compact");
    labelSwitches();
  },
  "[data-toggle-rail]": (button) => {
    const open = button.closest(".rail").toggleAttribute("data-open");
    button.setAttribute("aria-expanded", String(open));
  },
  "[data-open-jump]": openJump,
  // Outside a dialog the same element is a plain link back.
  "[data-close-dialog]": (link, event) => {
    const dialog = link.closest("dialog");
    if (dialog) { event.preventDefault(); dialog.close(); }
  },
  "[data-copy]": async (button) => {
    const text = document.getElementById(button.dataset.copy).textContent.trim().replace(/\s+/g, " ");
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      button.textContent = "Selected: press Ctrl-C";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  },
};

document.addEventListener("click", (event) => {
  for (const [selector, act] of Object.entries(clicks)) {
    const target = event.target.closest(selector);
    if (target) act(target, event);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing)) {
    event.preventDefault();
    openJump();
  }
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const jump = event.target.closest("dialog.jump");
  if (jump && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const stops = [jump.querySelector("input"), ...jump.querySelectorAll(".jump-results a")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
  }
  if (jump && event.key === "Enter" && event.target.matches("input")) {
    event.preventDefault();
    jump.querySelector(".jump-results a")?.click();
  }
});

// A select marked so sends its form at once; the form's button stays for readers without scripts.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
});

// One press, one request.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = event.target.querySelector?.("dialog[data-modal]");
  if (dialog && !dialog.open) dialog.showModal();
});
document.addEventListener("htmx:load", (event) => localiseTimes(event.target));

localiseTimes(document);
labelSwitches();
document.querySelector("[aria-invalid='true']")?.focus();
