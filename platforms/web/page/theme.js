// Runs before the first paint, so that a chosen theme does not flash.
"use strict";

{
  const chosen = localStorage.getItem("chatelier.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
