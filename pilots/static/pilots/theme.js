// Runs before the first paint: the remembered theme and row height.
"use strict";
for (const name of ["theme", "density"]) {
  try {
    const value = localStorage.getItem("pilots." + name);
    if (value) document.documentElement.dataset[name] = value;
  } catch {
    // Storage is refused: the system's theme and comfortable rows stay.
  }
}
