// Before anything is drawn: the theme that was chosen last time; without one it is the system's.
"use strict";
try {
  const chosen = localStorage.getItem("lws-sched-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is closed to this page: the system's theme, then.
}
