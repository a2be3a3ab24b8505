// What makes pages livelier. Each works without it.
(() => {
"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Times by the reader's clock; the exact one in UTC is their title.
const clock = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit"});
const hour = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit"});
function localise(from) {
  for (const time of all("time[datetime]:not([data-local])", from)) {
    const at = new Date(time.getAttribute("datetime"));
    if (isNaN(at)) continue;
    time.textContent = (time.classList.contains("hour") ? hour : clock).format(at);
    time.dataset.local = "";
  }
}

function copying(from) {
  for (const button of all("button[data-copy]", from)) {
    button.hidden = false;
    if (button.dataset.ready !== undefined) continue;
    button.dataset.ready = "";
    button.addEventListener("click", async () => {
      const label = button.innerHTML;
      try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "Copied"; }
      catch { button.textContent = "Select it and copy"; }
      setTimeout(() => { button.innerHTML = label; }, 1600);
    });
  }
}

// Forms that fit themselves to what is chosen in them: the server says how.
function fitting() {
  const form = document.querySelector("form[data-form]");
  if (!form) return;
  let asked = 0;
  for (const one of all("[data-scripted=hide]")) one.hidden = true;
  form.addEventListener("change", event => {
    if (!event.target.closest("[data-fit]")) return;
    const number = ++asked;
    const body = new URLSearchParams(new FormData(form));
    body.set("wish", "fit");
    fetch(location.href, {method: "POST", body, headers: {accept: "text/html"}}).then(async answer => {
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("form[data-form]");
      // Who has chosen something else since has asked again, and waits for that answer.
      if (!fresh || number !== asked) return;
      // What was typed since the question was asked stays.
      for (const input of all("input:not([type=hidden]):not([type=radio]):not([type=checkbox]), textarea", form)) {
        const other = input.name && fresh.elements[input.name];
        if (other && "value" in other && other.type !== undefined) other.value = input.value;
      }
      // So does what was chosen since, where it can be chosen still.
      for (const choice of all("select", form)) {
        const other = choice.value !== (body.get(choice.name) ?? "") && fresh.elements[choice.name];
        if (other && [...other.options].some(option => option.value === choice.value)) other.value = choice.value;
      }
      for (const box of all("input[type=radio], input[type=checkbox]", form)) {
        if (box.checked === body.getAll(box.name).includes(box.value)) continue;
        const other = fresh.querySelector(`[name="${CSS.escape(box.name)}"][value="${CSS.escape(box.value)}"]`);
        if (other) other.checked = box.checked;
      }
      // Whoever went on meanwhile stays where they are now, and so does their cursor.
      const at = document.activeElement, inside = form.contains(at);
      const place = inside && [at.selectionStart, at.selectionEnd];
      form.replaceChildren(...fresh.childNodes);
      for (const one of all("[data-scripted=hide]", form)) one.hidden = true;
      if (!inside) return;
      const again = at.id ? form.querySelector("#" + CSS.escape(at.id)) : form.querySelector(`[name="${CSS.escape(at.name)}"][value="${CSS.escape(at.value)}"]`);
      again?.focus();
      if (typeof place[0] === "number") try { again?.setSelectionRange(...place); } catch { /* Not every kind of field has a cursor. */ }
    }).catch(() => {});
  });
}

// Live pages: rows change in their places, and new ones wait behind a button.
function live() {
  const path = document.querySelector("main[data-live]")?.dataset.live;
  if (!path || !window.EventSource) return;
  let source, retry;
  const stale = document.querySelector("[data-stale]");
  const isStale = yes => { if (stale) stale.hidden = !yes; };
  const put = (id, html) => {
    const old = document.getElementById(id);
    if (!old) return;
    const holder = document.createElement(old.tagName === "TR" ? "tbody" : "div");
    holder.innerHTML = html;
    const fresh = holder.firstElementChild;
    if (!fresh) return;
    localise(fresh); copying(fresh);
    if (fresh.isEqualNode(old)) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    // Whoever is about to press something in it is not to lose it under the finger.
    if (focused && ["BUTTON", "INPUT", "SELECT", "TEXTAREA"].includes(focused.tagName)) {
      old.addEventListener("focusout", () => setTimeout(() => put(id, html)), {once: true});
      return;
    }
    const place = focused ? all("a, summary, [tabindex]", old).indexOf(focused) : -1;
    for (const open of all("details[open]", old)) {
      const other = all("details", fresh)[all("details", old).indexOf(open)];
      if (other) other.open = true;
    }
    if (old.classList.contains("at")) fresh.classList.add("at");
    const below = old.nextElementSibling, before = below?.getBoundingClientRect().top;
    old.replaceWith(fresh);
    if (below && old.tagName !== "TR") hold(fresh, below, before);
    if (place >= 0) all("a, summary, [tabindex]", fresh)[place]?.focus({preventScroll: true});
  };
  // What stands below a part that grows or shrinks is not to move under the reader: room
  // that is no longer needed is kept, and what is pushed down is followed.
  const hold = (part, below, before) => {
    const by = below.getBoundingClientRect().top - before;
    if (by < 0) part.style.marginBottom = `${-by}px`;
    // A margin of its own may have been one with its last child's.
    const left = below.getBoundingClientRect().top - before;
    if (left < 0) part.style.marginBottom = `${-by - left}px`;
    if (by > 0 && before < innerHeight) scrollBy({top: by, behavior: "instant"});
  };
  const connect = () => {
    source = new EventSource(path);
    source.addEventListener("parts", event => {
      isStale(false);
      for (const [id, html] of Object.entries(JSON.parse(event.data))) put(id, html);
    });
    source.addEventListener("new", event => {
      isStale(false);
      const count = JSON.parse(event.data), button = document.querySelector("[data-new]");
      if (!button) return;
      button.hidden = !count.new;
      button.textContent = count.text;
    });
    source.addEventListener("calm", () => isStale(false));
    source.onerror = () => {
      isStale(true);
      if (source.readyState === EventSource.CLOSED) { clearTimeout(retry); retry = setTimeout(connect, 5000); }
    };
  };
  document.querySelector("[data-new]")?.addEventListener("click", () => { location.assign(document.querySelector("[data-new]").dataset.new || location.href); });
  document.querySelector("[data-reconnect]")?.addEventListener("click", () => { source?.close(); connect(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); clearTimeout(retry); } else connect();
  });
  if (!document.hidden) connect();
}

function keys() {
  if (document.documentElement.dataset.keys === undefined) return;
  const link = name => all("nav.places a").find(a => a.textContent.trim() === name);
  const places = {o: "Overview", w: "Webhooks", e: "Events", f: "Failed", c: "Catalogue", a: "Access", s: "System"};
  let wasG = 0, row = -1;
  const rows = () => all("[data-row]");
  const go = by => {
    const list = rows();
    if (!list.length) return;
    list[row]?.classList.remove("at");
    row = Math.max(0, Math.min(list.length - 1, row + by));
    list[row].classList.add("at");
    const open = list[row].querySelector("[data-open]") || list[row].querySelector("a");
    open?.focus();
    list[row].scrollIntoView({block: "nearest"});
  };
  document.addEventListener("keydown", event => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (at.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    if (performance.now() - wasG < 1500 && places[event.key]) {
      const a = link(places[event.key]);
      wasG = 0;
      if (a) { event.preventDefault(); a.click(); }
      return;
    }
    switch (event.key) {
      case "g": wasG = performance.now(); return;
      case "/": { const search = document.querySelector("[data-search]"); if (search) { event.preventDefault(); search.focus(); search.select(); } return; }
      case "j": go(1); return;
      case "k": go(-1); return;
      case "r": { const again = rows()[row]?.querySelector("[data-resend]") || document.querySelector("[data-resend]"); if (again) { event.preventDefault(); again.click(); } return; }
      case "?": event.preventDefault(); document.getElementById("keys")?.showModal(); return;
    }
  });
  document.addEventListener("focusin", event => {
    const here = event.target.closest("[data-row]");
    if (!here) return;
    rows()[row]?.classList.remove("at");
    row = rows().indexOf(here);
  });
}

// Menus close when something else is done.
document.addEventListener("click", event => { for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false; });
document.addEventListener("keydown", event => { if (event.key === "Escape") for (const menu of all("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); } });

localise(document); copying(document); fitting(); live(); keys();
document.querySelector("#check-title, .notice.bad[role=alert]")?.scrollIntoView({block: "nearest"});
})();
