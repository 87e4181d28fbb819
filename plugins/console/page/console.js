// The page without a reload: what it shows is fetched again every three seconds, unless somebody is using a control in it.
const main = document.getElementById("now");
const EVERY_MS = 3000;

async function look() {
  if (document.hidden || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch("/console/now");
    if (answer.ok) main.innerHTML = await answer.text();
    main.classList.toggle("stale", !answer.ok);
  } catch {
    main.classList.add("stale");
  }
}

setInterval(look, EVERY_MS);
