// Keeps the board fresh: pieces of the page come over one event stream and replace those with the same id.
// Without this script the page is a true picture of the moment it was loaded, and its buttons still work.
"use strict";
(() => {
  const board = document.getElementById("board");
  const pulse = document.getElementById("pulse");
  const said = document.getElementById("said");
  const log = document.getElementById("log");
  const LOG_KEPT = 40;
  const QUIET_MS = 25000; // the server gives a sign of life every 10 s
  let version = board.dataset.version;
  let heard = Date.now();

  function show(now) {
    if (pulse.dataset.now === now) return;
    pulse.dataset.now = now;
    pulse.textContent = pulse.dataset[now];
  }

  function element(html) {
    const template = document.createElement("template"); // parses <tr> outside a table
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  }

  function replace(id, html) {
    const old = document.getElementById(id);
    if (!old) return location.reload(); // a site that was not on the page
    const focused = old.contains(document.activeElement) ? document.activeElement.dataset.verb : null;
    const fresh = element(html);
    old.replaceWith(fresh);
    if (focused) (fresh.querySelector(`[data-verb="${focused}"]`) || fresh.querySelector("button"))?.focus();
  }

  function take(event) {
    const update = JSON.parse(event.data);
    version = event.lastEventId;
    heard = Date.now();
    for (const [id, html] of Object.entries(update.pieces)) replace(id, html);
    for (const html of update.log) log.prepend(element(html));
    while (log.children.length > LOG_KEPT) log.lastElementChild.remove();
    if (update.over) document.getElementById("orders").hidden = true;
    show(update.over ? "ended" : "live");
  }

  function listen() {
    const stream = new EventSource(`${board.dataset.stream}?after=${encodeURIComponent(version)}`);
    stream.addEventListener("board", take);
    stream.addEventListener("beat", () => { heard = Date.now(); show("live"); });
    stream.addEventListener("end", () => { stream.close(); clearInterval(watch); show("ended"); });
    stream.onopen = () => { heard = Date.now(); show("live"); };
    stream.onerror = () => {
      show("lost");
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000); // logged out, or gone
    };
    const watch = setInterval(() => { if (Date.now() - heard > QUIET_MS) show("lost"); }, 1000);
  }

  board.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (event.target.id !== "orders" || !button) return;
    event.preventDefault();
    button.disabled = true;
    delete said.dataset.bad;
    try {
      const answer = await fetch(button.formAction, {
        method: "POST", body: new URLSearchParams(new FormData(event.target)), headers: { Accept: "application/json" },
      });
      const words = await answer.json();
      said.textContent = words.said || words.detail;
      if (!answer.ok) said.dataset.bad = "";
    } catch {
      said.textContent = said.dataset.failed;
      said.dataset.bad = "";
    } finally {
      button.disabled = false;
      button.closest("details")?.removeAttribute("open");
    }
  });

  if (board.dataset.over === "yes") show("ended"); else listen();
})();
