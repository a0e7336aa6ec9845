// The portal works without this file. With it: live regions renew themselves,
// theme changes without a reload, what must be copied copies itself, questions
// are asked in a dialog, prices follow the form.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.remove("no-js");
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // Live regions: the server sends the same HTML that it would render anew.
  function live(region) {
    const source = new EventSource(region.dataset.live);
    source.addEventListener("fragment", (event) => {
      const open = all("details[open][id]", region).map((d) => d.id);
      const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
      region.innerHTML = event.data;
      open.forEach((id) => { const d = document.getElementById(id); if (d) d.open = true; });
      if (focused) { const f = document.getElementById(focused); if (f) f.focus(); }
      const said = document.getElementById("spoken");
      const news = region.querySelector("[data-speak]");
      if (said && news && said.textContent !== news.dataset.speak) said.textContent = news.dataset.speak;
      enhance(region);
    });
    source.addEventListener("end", () => { source.close(); if (region.dataset.reload !== undefined) location.reload(); });
  }

  // Times that age: every minute "3 minutes ago" is said anew.
  const words = new Intl.RelativeTimeFormat(root.lang, { numeric: "auto" });
  function age() {
    all("time[data-ago]").forEach((el) => {
      const seconds = (Date.parse(el.dateTime) - Date.now()) / 1000;
      const size = Math.abs(seconds);
      if (size > 6 * 86400) return;
      const [unit, by] = size < 60 ? ["second", 1] : size < 3600 ? ["minute", 60] : size < 86400 ? ["hour", 3600] : ["day", 86400];
      if (unit !== "second") el.textContent = words.format(Math.trunc(seconds / by), unit);
    });
  }

  // Prices follow the form: the server computes, this only asks it again.
  let asked = 0;
  async function quote(form) {
    const target = document.getElementById(form.dataset.quote);
    const turn = ++asked;
    try {
      const answer = await fetch(form.dataset.quoteUrl, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "Accept": "text/html" } });
      if (answer.ok && turn === asked) { target.innerHTML = await answer.text(); target.removeAttribute("aria-busy"); }
    } catch { /* the price on the page stays; ordering prices again anyway */ }
  }

  function enhance(within) {
    all("[data-copy]", within).forEach((button) => {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
        const label = button.querySelector("span") || button;
        const before = label.textContent;
        label.textContent = button.dataset.copied;
        setTimeout(() => { label.textContent = before; }, 1600);
      });
    });
    all("[data-dialog]", within).forEach((opener) => opener.addEventListener("click", (event) => {
      const dialog = document.getElementById(opener.dataset.dialog);
      if (!dialog || !dialog.showModal) return;
      event.preventDefault();
      dialog.showModal();
    }));
    all("[data-close]", within).forEach((closer) => closer.addEventListener("click", (event) => {
      const dialog = closer.closest("dialog");
      if (dialog) { event.preventDefault(); dialog.close(); }
    }));
    all("[data-print]", within).forEach((b) => { b.hidden = false; b.addEventListener("click", () => window.print()); });
    all("form[data-quote]", within).forEach((form) => {
      let timer;
      form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => quote(form), 200); });
    });
    all("[data-follow]", within).forEach((el) => { el.scrollTop = el.scrollHeight; });
    all("input[type=range][data-mirror]", within).forEach((range) => {
      const box = document.getElementById(range.dataset.mirror);
      range.hidden = false;
      range.addEventListener("input", () => { box.value = range.value; box.dispatchEvent(new Event("input", { bubbles: true })); });
      box.addEventListener("input", () => { range.value = box.value; });
    });
    all("form[data-upload]", within).forEach((form) => form.addEventListener("submit", (event) => {
      event.preventDefault();
      upload(form);
    }));
    all("form.auto", within).forEach((form) => form.addEventListener("change", () => form.requestSubmit()));
  }

  // A file on its way says how far it has come. The answer is the page that the
  // form would have led to.
  function upload(form) {
    const bar = form.querySelector("progress");
    const line = document.getElementById(bar.getAttribute("aria-labelledby"));
    const spoken = document.getElementById("spoken");
    const button = form.querySelector("button");
    const say = (text, aloud) => { line.textContent = text; if (aloud && spoken) spoken.textContent = text; };
    const asked = new XMLHttpRequest();
    let tenth = 0;
    asked.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const percent = Math.floor(100 * event.loaded / event.total);
      bar.value = percent;
      say(form.dataset.sentWords.replace("{}", percent), percent >= tenth + 10);
      if (percent >= tenth + 10) tenth = percent;
    });
    asked.upload.addEventListener("load", () => { bar.removeAttribute("value"); say(form.dataset.checkedWords, true); });
    asked.addEventListener("error", () => { bar.hidden = true; say(form.dataset.brokenWords, true); button.disabled = false; });
    asked.addEventListener("load", () => {
      const page = new DOMParser().parseFromString(asked.responseText, "text/html");
      const main = page.getElementById("main");
      if (!main) { location.reload(); return; }
      if (asked.responseURL !== form.action) history.replaceState(null, "", asked.responseURL);
      document.title = page.title;
      document.getElementById("main").replaceWith(document.adoptNode(main));
      enhance(main);
      (main.querySelector(".summary") || main).focus();
    });
    asked.open("POST", form.action);
    asked.setRequestHeader("Accept", "text/html");
    asked.send(new FormData(form));
    bar.hidden = line.hidden = false;
    button.disabled = true;
  }

  // Passkeys: the browser makes or uses one, and the form carries what it says to the server. Without
  // this the forms stay hidden; codes of an app need no script.
  const fromText = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const ids = (list) => (list || []).map((one) => ({ ...one, id: fromText(one.id) }));

  async function ceremony(form) {
    if (form.dataset.creation) {
      const publicKey = JSON.parse(form.dataset.creation);
      const user = { ...publicKey.user, id: fromText(publicKey.user.id) };
      const challenge = fromText(publicKey.challenge);
      return navigator.credentials.create({ publicKey: { ...publicKey, user, challenge, excludeCredentials: ids(publicKey.excludeCredentials) } });
    }
    const body = new URLSearchParams({ csrf: form.elements.csrf.value });
    const answer = await fetch(form.dataset.challenge, { method: "POST", body, headers: { "Accept": "application/json" } });
    if (!answer.ok) throw new Error("no challenge");
    const publicKey = await answer.json();
    return navigator.credentials.get({ publicKey: { ...publicKey, challenge: fromText(publicKey.challenge), allowCredentials: ids(publicKey.allowCredentials) } });
  }

  async function passkey(form) {
    const failed = form.querySelector("[role=alert]");
    const button = form.querySelector("button");
    failed.hidden = true;
    button.setAttribute("aria-disabled", "true");
    try {
      const made = await ceremony(form);
      const response = {};
      for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (made.response[part]) response[part] = toText(made.response[part]);
      }
      const into = form.dataset.creation ? "credential" : form.dataset.passkey;
      form.elements[into].value = JSON.stringify({ id: made.id, type: made.type, response });
      form.submit();
    } catch {
      failed.hidden = false;
      button.removeAttribute("aria-disabled");
    }
  }

  if (window.PublicKeyCredential) all("form[data-passkey]").forEach((form) => {
    form.hidden = false;
    form.addEventListener("submit", (event) => { event.preventDefault(); passkey(form); });
  });

  // A second press of the same button does not send the form twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method === "dialog") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method === "post") {
      form.dataset.sent = "1";
      const button = event.submitter;
      if (button) setTimeout(() => { button.dataset.busy = ""; button.setAttribute("aria-disabled", "true"); }, 0);
    }
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((f) => {
    delete f.dataset.sent;
    all("[data-busy]", f).forEach((b) => { delete b.dataset.busy; b.removeAttribute("aria-disabled"); });
  }));

  // Theme: applied at once, kept by the same form that works without a script.
  all("form.theme").forEach((form) => form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    delete form.dataset.sent;
    if (button.value === "auto") delete root.dataset.theme; else root.dataset.theme = button.value;
    all("button", form).forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    const body = new URLSearchParams(new FormData(form));
    body.set("theme", button.value);
    fetch(form.action, { method: "POST", body, redirect: "manual" });
  }, true));

  // "/" goes to the search box, as in many a tool that operators know.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    const box = document.querySelector("form.search input");
    if (box && box.offsetParent) { event.preventDefault(); box.focus(); box.select(); }
  });

  const summary = document.querySelector("main > .summary, main > form > .summary, main > .stack > .summary");
  if (summary) summary.focus();
  enhance(document);
  all("[data-live]").forEach(live);
  age();
  setInterval(age, 30000);
})();
