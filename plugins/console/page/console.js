// The page without a reload: what it shows is fetched again every three seconds, unless somebody is using a control in it.
const main = document.getElementById("now");
const EVERY_MS = 3000;

async function look() {
  if (document.hidden || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch("/console/now");
    if (answer.ok) show(await answer.text());
    main.classList.toggle("stale", !answer.ok);
  } catch {
    main.classList.add("stale");
  }
}

// What somebody opened stays open.
function show(html) {
  const open = [...main.querySelectorAll("details[open]")].map((one) => one.id);
  main.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
}

setInterval(look, EVERY_MS);
