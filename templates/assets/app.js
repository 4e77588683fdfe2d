// What the pages can do beyond links and forms. Everything here is a convenience: without it the pages still work.
"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const calmly = () => matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";

  // --- theme -----------------------------------------------------------------------------------------------------
  const themeButton = byId("theme");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (themeButton) {
    themeButton.hidden = false;
    themeButton.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("dagway-theme", root.dataset.theme); } catch { /* it lasts for this page then */ }
    });
  }

  // --- "3 min ago" stays true ------------------------------------------------------------------------------------
  const ago = (seconds) => seconds < 5 ? "just now"
    : seconds < 60 ? `${Math.floor(seconds)} s ago`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
    : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago`
    : `${Math.floor(seconds / 86400)} d ago`;
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds < 30 * 86400) {
        const text = ago(seconds);
        if (time.textContent !== text) time.textContent = text;
      }
    }
  }, 5000);

  // --- times of day are the reader's; the title keeps them in UTC -------------------------------------------------
  const digits = (number, count = 2) => String(number).padStart(count, "0");
  const clock = (moment) => {
    const date = new Date(moment);
    return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => digits(part)).join(":");
  };
  const day = (date) => `${date.getFullYear()}-${digits(date.getMonth() + 1)}-${digits(date.getDate())}`;
  const zone = (date) => {
    const ahead = -date.getTimezoneOffset();
    const minutes = Math.abs(ahead);
    return ahead === 0 ? "UTC" : `${ahead < 0 ? "−" : "+"}${digits(Math.floor(minutes / 60))}:${digits(minutes % 60)}`;
  };
  const exact = (moment) => {
    const date = new Date(moment);
    return `${day(date)} ${clock(date)}.${digits(date.getMilliseconds(), 3)} ${zone(date)}`;
  };
  const tellTime = () => {
    for (const time of document.querySelectorAll("time[data-clock], time[data-exact]")) {
      const text = time.hasAttribute("data-exact") ? exact(time.dateTime) : clock(time.dateTime);
      if (time.textContent !== text) time.textContent = text;
    }
    const head = byId("run-head");
    if (head) document.title = `${head.dataset.title} · ${clock(head.dataset.started)} · Dagway`;
  };
  tellTime();
  for (const title of document.querySelectorAll("title[data-since]")) {
    const date = new Date(title.dataset.since);
    const local = `${day(date)} ${digits(date.getHours())}:${digits(date.getMinutes())}`;
    if (zone(date) !== "UTC") title.textContent = title.textContent.replace(/^\S+ (\S+ UTC)/, `${local} ($1)`);
  }

  // --- the filter applies itself ---------------------------------------------------------------------------------
  // Who works by keys walks through a select's choices with the arrows: such a choice counts once the select is left,
  // or by Enter. And the page that comes has the focus where this one had it.
  const filter = byId("filter");
  if (filter) {
    const FOCUS = "dagway-focus";
    const isWalk = (key) => /^(Arrow|Page|Home$|End$)|^[^ ]$/u.test(key);
    let lastKey;
    let walked;
    let next;
    const keepFocus = (field) => {
      if (!lastKey || !filter.contains(field)) return;
      try { sessionStorage.setItem(FOCUS, JSON.stringify([new URL(filter.action).pathname, field.name, field.value])); } catch { /* the next page begins at its top then */ }
    };
    const focusAgain = () => {
      let kept;
      try { kept = JSON.parse(sessionStorage.getItem(FOCUS)); sessionStorage.removeItem(FOCUS); } catch { /* nothing could be kept */ }
      const [path, name, value] = kept ?? [];
      if (path !== location.pathname) return;
      const fields = [...filter.elements].filter((field) => field.name === name);
      (fields.find((field) => field.value === value) ?? fields[0])?.focus({ preventScroll: true });
    };
    filter.addEventListener("pointerdown", () => { lastKey = undefined; });
    filter.addEventListener("keydown", (event) => {
      lastKey = event.key;
      if (event.key !== "Enter" || event.target !== walked) return;
      event.preventDefault();
      filter.requestSubmit();
    });
    filter.addEventListener("change", (event) => {
      if (event.target.matches("select") && lastKey && isWalk(lastKey)) walked = event.target;
      else if (event.target.matches("select, input[type=checkbox][name]")) filter.requestSubmit();
    });
    filter.addEventListener("focusout", (event) => {
      if (event.target !== walked || !document.hasFocus()) return;
      next = event.relatedTarget;
      filter.requestSubmit();
    });
    // A form sends its empty fields too; an address without them is one that can be read and shared.
    filter.addEventListener("submit", () => {
      keepFocus(next ?? document.activeElement);
      walked = undefined;
      for (const field of filter.elements) if (field.name && field.value === "") field.disabled = true;
    });
    // Who comes back sees the list of this address, and the filter has to say so.
    addEventListener("pageshow", (event) => {
      next = undefined;
      for (const field of filter.elements) field.disabled = false;
      if (event.persisted) filter.reset();
    });
    focusAgain();
  }

  // --- copy ------------------------------------------------------------------------------------------------------
  const showCopyButtons = () => {
    if (!navigator.clipboard) return;
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  };
  showCopyButtons();
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button || button.classList.contains("copied")) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const icon = button.querySelector("use");
    const label = button.getAttribute("aria-label");
    icon.setAttribute("href", "#i-check");
    button.classList.add("copied");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      icon.setAttribute("href", "#i-copy");
      button.classList.remove("copied");
      button.setAttribute("aria-label", label);
    }, 1200);
  });

  // The reader's address of this server may be another than the one that the server was asked by.
  const origin = byId("origin");
  if (origin) {
    const { dataset } = byId("copy-command");
    dataset.copy = dataset.copy.replace(origin.textContent, location.origin);
    origin.textContent = location.origin;
  }

  // --- keys: / searches, j and k walk through the rows ------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/" && byId("search")) {
      event.preventDefault();
      byId("search").focus();
    }
    if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll("#rows tr:not([hidden]) .row-link, .gantt-row")];
      const at = links.indexOf(document.activeElement);
      const next = links[event.key === "j" ? at + 1 : Math.max(at - 1, 0)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });

  // --- live rows -------------------------------------------------------------------------------------------------
  // Rows that are shown are merged in place. New ones go on top, unless the reader has scrolled, paged or sorted:
  // then they wait, and a button says how many there are. So they do for a moment while someone points at a row, and
  // always where a finger may be on its way to one. When too many wait, the button loads the list again.
  const LONGEST = 200;
  const MOST_WAITING = 100;
  const touch = matchMedia("(hover: none)");
  const list = byId("list");
  const pill = byId("new-runs");
  const waiting = new Set();
  const paged = list?.hasAttribute("data-paged");
  const POINTING = 2000;
  let pointed = -POINTING;
  list?.addEventListener("pointermove", () => { pointed = performance.now(); });
  const isPointing = () => performance.now() - pointed < POINTING || byId("rows").contains(document.activeElement);
  const isReading = () => paged || scrollY > 160 || isPointing() || (touch.matches && !document.hidden);
  const showPill = () => {
    pill.hidden = waiting.size === 0;
    byId("new-runs-text").textContent = waiting.size === 1 ? "1 new run" : `${waiting.size} new runs`;
  };
  const reveal = () => {
    for (const id of waiting) { const row = byId(id); if (row) row.hidden = false; }
    waiting.clear();
    showPill();
  };
  pill?.addEventListener("click", (event) => {
    if (paged || waiting.size > MOST_WAITING) return;
    event.preventDefault();
    reveal();
    scrollTo({ top: 0, behavior: calmly() });
  });
  const revealWhenDone = () => { if (list && waiting.size > 0 && waiting.size <= MOST_WAITING && !isReading()) reveal(); };
  addEventListener("scrollend", revealWhenDone);
  if (list) setInterval(revealWhenDone, 500);

  const insert = (body, row) => {
    const oldest = body.lastElementChild;
    if (paged) {
      // Ids are ordered by time: only what is newer than this page is news.
      if ([...body.children].every((shown) => row.id > shown.id)) { waiting.add(row.id); showPill(); }
      return;
    }
    // Where older runs stand on a next page, what is older than all of this one stands there, too.
    if (list.hasAttribute("data-more") && oldest && row.id < oldest.id) return;
    let before = body.firstElementChild;
    while (before && before.id > row.id) before = before.nextElementSibling;
    row.classList.add("new");
    if (oldest && (isReading() || waiting.size > MOST_WAITING)) {
      row.hidden = true;
      waiting.add(row.id);
      showPill();
      if (waiting.size > MOST_WAITING) return;
    }
    body.insertBefore(row, before);
    byId("empty")?.remove();
    while (body.children.length > LONGEST) {
      body.lastElementChild.remove();
      list.setAttribute("data-more", "");
    }
  };

  // A bar is in proportion to the longest of the list. What arrives live knows of itself alone.
  const scaleBars = () => {
    const bars = [...document.querySelectorAll("#rows [data-micros]")];
    const longest = Math.max(1, ...bars.map((bar) => Number(bar.dataset.micros)));
    for (const bar of bars) {
      const width = `${(100 * Math.max(0.01, bar.dataset.micros / longest)).toFixed(2)}%`;
      if (bar.getAttribute("width") !== width) bar.setAttribute("width", width);
    }
  };

  if (window.htmx) {
    let api;
    htmx.registerExtension("rows", {
      init: (internal) => { api = internal; },
      handle_swap: (style, target, fragment) => {
        if (style !== "rows") return false;
        for (const row of [...fragment.children]) {
          const shown = byId(row.id);
          if (shown) {
            const merged = document.createDocumentFragment();
            merged.append(row);
            api.morph(shown, merged, false);
          } else if (!row.hasAttribute("data-stray")) {
            insert(target, row);
          }
        }
        scaleBars();
        tellTime();
        return [];
      },
    });
  }

  // --- whether the page is live ----------------------------------------------------------------------------------
  const liveState = byId("live-state");
  const setLive = (state, text) => {
    liveState.hidden = false;
    liveState.dataset.state = state;
    liveState.querySelector(".live-text").textContent = text;
  };
  // A short break is nobody's concern. After a longer one, what is shown may have been overtaken.
  const SHORT_BREAK = 3000;
  const stale = byId("stale");
  let breaks;
  const connected = () => {
    clearTimeout(breaks);
    breaks = undefined;
    stale.hidden = true;
    delete root.dataset.stale;
  };
  const broken = () => {
    const since = clock(Date.now());
    breaks ??= setTimeout(() => {
      stale.textContent = `No connection since ${since}: what is shown may be old`;
      stale.hidden = false;
      root.dataset.stale = "";
    }, SHORT_BREAK);
  };
  document.addEventListener("htmx:sse:after:connection", () => { connected(); setLive("on", "Live"); });
  document.addEventListener("htmx:sse:error", () => { broken(); setLive("off", "Reconnecting"); });
  document.addEventListener("htmx:sse:close", (event) => {
    if (event.detail.reason !== "message") return;
    connected();
    liveState.hidden = true;
  });
  document.addEventListener("htmx:after:swap", showCopyButtons);
  // Not earlier: htmx sets the title of what came after that.
  document.addEventListener("htmx:finally:swap", tellTime);

  // --- who chooses a step sees it --------------------------------------------------------------------------------
  // A graph that is larger than its box shows the chosen step, or where all begins.
  const showNodes = () => {
    for (const box of document.querySelectorAll(".graph-scroll")) {
      const node = (box.querySelector(".node.selected") ?? box.querySelector(".node"))?.getBoundingClientRect();
      const { left, top, right, bottom } = box.getBoundingClientRect();
      if (!node || (node.left >= left && node.right <= right && node.top >= top && node.bottom <= bottom)) continue;
      box.scrollBy((node.left + node.right - left - right) / 2, (node.top + node.bottom - top - bottom) / 2);
    }
  };
  showNodes();

  // The chosen step fills the panel, which may stand out of sight, or be scrolled to the end of the step before.
  document.addEventListener("htmx:after:swap", (event) => {
    if (!event.detail.ctx.sourceElement?.matches(".graph a, .gantt-row")) return;
    document.querySelector(".panel-body")?.scrollTo(0, 0);
    showNodes();
    byId("run-panel-title")?.scrollIntoView({ block: "nearest", behavior: calmly() });
  });
})();
