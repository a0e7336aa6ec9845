// Drives a running portal with a real Chromium: signs in as a tenant, orders,
// watches the progress to its end, opens the guest's page and the bill; then
// looks at the operator's pages. Every page is checked with axe, at two widths.
//
// Settings, from the environment:
//   YUNWEI_PORTAL             address of the portal, http://127.0.0.1:8080
//   YUNWEI_TENANT             tenant's sign-in, "email password"
//   YUNWEI_OPERATOR           operator's sign-in, "email password"; left out: not looked at
//   YUNWEI_EXPECT_BILL        1: there must be a bill
//   YUNWEI_SHOTS              directory for screenshots; left out: none are taken
//   CHROMIUM                  the browser; /usr/bin/chromium unless said otherwise
// Exit code 0 only if everything held; what did not is on standard error.
import { readFileSync, mkdirSync } from "node:fs";
import { createHash, createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { passkeys } from "./passkeys.mjs";
import { programs } from "./programs.mjs";
import { refusals } from "./refusals.mjs";
import { shipping } from "./shipping.mjs";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const portal = (process.env.YUNWEI_PORTAL || "http://127.0.0.1:8080").replace(/\/$/, "");
const shots = process.env.YUNWEI_SHOTS;
const failures = [];
const began = Date.now();
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

function say(what) { console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${what}`); }
function hold(condition, what) { if (!condition) { failures.push(what); console.error(`FAILED: ${what}`); } }

async function open(options = {}) {
  // Axe is put into the page from here, which the page's own policy would forbid.
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: "en-GB", bypassCSP: true, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => hold(false, `script error on ${page.url()}: ${error.message}`));
  page.on("console", (m) => { if (m.type() === "error" && !/favicon|status of 4/.test(m.text())) hold(false, `console error on ${page.url()}: ${m.text()}`); });
  return { context, page };
}

async function signIn(page, [email, password]) {
  await page.goto(`${portal}/sign-in?lang=en`);
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
}

// Looks at the present page: axe at both widths, nothing wider than a phone.
async function look(page, name) {
  for (const [width, height] of [[1280, 860], [360, 780]]) {
    await page.setViewportSize({ width, height });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    hold(wider <= 0, `${name}: ${wider} px too wide at ${width}`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const v of found.violations) hold(false, `${name} at ${width}: ${v.id} (${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join("; ")})`);
    if (shots) await page.screenshot({ path: `${shots}/${name}.${width}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 860 });
}

async function visit(page, path, name) {
  const answer = await page.goto(portal + path);
  hold(answer && answer.status() === 200, `${path} answered ${answer && answer.status()}`);
  const policy = answer.headers()["content-security-policy"] || "";
  hold(policy.includes("default-src 'none'") && !policy.includes("unsafe"), `${path} has no strict content security policy`);
  await look(page, name);
}

// The same pages for those who like it dark: contrast is what differs.
async function inTheDark(page, pages) {
  await page.emulateMedia({ colorScheme: "dark" });
  for (const [path, name] of pages) {
    await visit(page, path, `${name}-dark`);
    // Painted, since a colour can be said in many ways.
    const light = await page.evaluate(() => {
      const paint = document.createElement("canvas").getContext("2d");
      for (const element of [document.documentElement, document.body]) {
        paint.fillStyle = getComputedStyle(element).backgroundColor;
        paint.fillRect(0, 0, 1, 1);
      }
      return Math.max(...paint.getImageData(0, 0, 1, 1).data.slice(0, 3));
    });
    hold(light < 110, `${path} is not dark: ${light}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

// The page as a printer would have it: a PDF with something on it.
async function printed(page, name, options) {
  const sheet = await page.pdf({ ...options, ...(shots ? { path: `${shots}/${name}.pdf` } : {}) });
  const pages = (sheet.toString("latin1").match(/\/Type\s*\/Page\b/g) || []).length;
  hold(sheet.subarray(0, 5).toString() === "%PDF-" && sheet.length > 8_000 && pages > 0, `${name}: printing gave ${sheet.length} bytes, ${pages} pages`);
  say(`${name} printed: ${pages} pages, ${sheet.length >> 10} KiB`);
}

async function door() {
  const { context, page } = await open();
  await page.goto(`${portal}/orders`);
  hold(page.url().includes("/sign-in?next="), "a stranger is led to the door");
  await look(page, "sign-in");
  await page.getByLabel("Email address").fill("nobody@example.com");
  await page.getByLabel("Password").fill("certainly not the password");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator(".summary").waitFor();
  hold(await page.getByLabel("Email address").inputValue() === "nobody@example.com", "what was typed is kept");
  await visit(page, "/design?lang=en", "design");
  await visit(page, "/forgotten?lang=zh", "forgotten-zh");
  hold(await page.getAttribute("html", "lang") === "zh-Hant-TW", "the language follows the wish");
  await context.close();
}

async function order(page) {
  await visit(page, "/", "home");
  await visit(page, "/catalog", "catalog");
  await page.locator(".offer a.cover").first().click();
  await page.getByLabel("Name of the service").waitFor();
  await look(page, "order-form");
  await page.getByRole("button", { name: "Place the order" }).click();
  await page.locator(".summary").waitFor();
  await look(page, "order-form-wrong");
  await estimate(page);
  await page.getByLabel("Name of the service").fill("browser-test");
  await page.getByRole("button", { name: "Place the order" }).click();
  await page.waitForURL(/\/orders\/[a-z]+_/);
  say(`ordered: ${page.url()}`);
  if (shots) await page.screenshot({ path: `${shots}/order-at-once.1280.png`, fullPage: true });
  const states = new Set();
  const end = Date.now() + 180_000;
  let over = false;
  while (!over && Date.now() < end) {
    // The page renews itself: this only reads what a person would see.
    const seen = await page.evaluate(() => ({
      done: document.querySelectorAll(".step.done").length,
      all: document.querySelectorAll(".step").length,
      running: document.querySelector(".step.running .name")?.textContent || "",
      failed: document.querySelector(".step.failed") !== null || document.querySelector(".badge.tone-danger") !== null,
      ready: document.querySelector('a[href^="/services/"].btn.main') !== null,
    })).catch(() => null);
    if (seen) {
      if (seen.all) states.add(`${seen.done}/${seen.all} ${seen.running}`);
      over = seen.ready || seen.failed;
      hold(!seen.failed, "the order did not fail");
    }
    if (!over) await page.waitForTimeout(150);
  }
  hold(over, "the order came to its end within three minutes");
  say(`progress as seen: ${[...states].join(" → ")}`);
  hold(states.size > 1, "progress moved while somebody watched");
  // The page loads itself anew when its order has come to its end.
  await page.getByText("Cancel the order").first().waitFor({ state: "detached", timeout: 20000 });
  await page.waitForLoadState("load");
  await look(page, "order-done");
}

// The estimate follows the numbers, and the keyboard gets everywhere.
async function estimate(page) {
  const here = page.url();
  await page.goto(`${portal}/catalog`);
  await page.locator(".offer a.cover").last().click();
  const total = page.locator(".receipt .grand td");
  const before = await total.innerText();
  const first = page.locator('main input[type="number"]').first();
  await first.focus();
  hold(await first.evaluate((e) => getComputedStyle(e).outlineStyle !== "none"), "focus is seen");
  await first.press("ArrowUp");
  await page.waitForFunction((was) => document.querySelector(".receipt .grand td")?.innerText !== was, before, { timeout: 10_000 });
  say(`estimate: ${before} → ${await total.innerText()}`);
  await look(page, "order-form-measured");
  await page.goto(`${portal}/catalog`);
  await page.locator(".offer a.cover").first().click();
  await page.getByLabel("Name of the service").waitFor();
  hold(page.url() === here || here.startsWith(page.url()), "back at the first offering");
}

async function service(page) {
  await page.locator('a[href^="/services/"].btn.main').click();
  await page.locator("#address").waitFor({ timeout: 30_000 });
  await look(page, "service");
  const address = (await page.locator("#address").textContent()).trim();
  const guest = await page.context().newPage();
  const answer = await guest.goto(address, { timeout: 20_000 });
  hold(answer.status() === 200, `the guest's page answered ${answer.status()}`);
  say(`guest: ${address} ${(await guest.locator("body").innerText()).replace(/\s+/g, " ").slice(0, 100)}`);
  if (shots) await guest.screenshot({ path: `${shots}/guest.png` });
  await guest.close();
  await page.locator('a[href$="/console"]').click();
  await page.locator("h1").waitFor();
  await look(page, "console");
  await page.goBack();
  await page.locator('a[data-dialog="delete"]').click();
  hold(await page.locator("dialog#delete").isVisible(), "deleting asks in a dialog");
  await page.keyboard.press("Escape");
}

// What can be brought back, with the keyboard alone. Nothing protects the service here: the pages must
// say so, and offer no button that would come to nothing.
async function backups(page) {
  const service = new URL(page.url()).pathname;
  hold(await page.getByText("Can I get it back?").isVisible(), "a service says whether it can be brought back");
  await page.getByRole("link", { name: "See backups" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/backups");
  hold(await page.getByText("No: this service is not backed up").isVisible(), "what is not backed up is said to be so");
  await look(page, "backups");
  await page.getByRole("link", { name: "Bring it back" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/restore");
  hold(await page.getByText("It cannot be brought back as things stand").isVisible(), "a plan that cannot be is said to be none");
  hold((await page.locator("form[method=post][action$='/restore']").count()) === 0, "no button without a plan");
  await look(page, "restore-plan");
  await inChinese(page, [`${service}/backups`, `${service}/restore`]);
  await page.goto(`${portal}${service}?lang=en`);
  say("backups of a service were looked at");
  await page.getByRole("link", { name: "What if it is lost?" }).click();
  await page.waitForURL("**/impact/what-if**");
  hold(await page.locator("h1").isVisible(), "a service leads to what its loss would mean");
  await page.goto(`${portal}${service}?lang=en`);
}

// A service that is backed up: what could be brought back, a look into its newest point down to a file
// inside a disk, and that file fetched. By its own customer.
async function kept(page) {
  await page.goto(`${portal}/services?lang=en`);
  const services = await page.locator('main a[href^="/services/"]').evaluateAll((all) => [...new Set(all.map((a) => a.getAttribute("href")))]);
  let inside = 0;
  for (const service of services) {
    await page.goto(`${portal}${service}/backups?lang=en`);
    inside = await page.locator('a[href$="/files"]').count();
    if (inside) break;
  }
  if (!inside) return hold(!process.env.YUNWEI_EXPECT_BILL, "no service is backed up");
  const service = new URL(page.url()).pathname.replace(/\/backups$/, "");
  await look(page, "backups-kept");
  const points = page.url();
  await page.goto(`${portal}${service}/restore?lang=en`);
  await look(page, "restore-planned");
  await page.goto(`${portal}${service}/data-sets?lang=en`);
  await look(page, "data-sets");
  await page.goto(points);
  await page.locator('a[href$="/files"]').first().click();
  const files = page.locator("main table.list tbody tr").filter({ has: page.getByRole("cell", { name: "file", exact: true }) }).filter({ has: page.getByRole("button"), hasNot: page.locator("th a") });
  // The demo's guest writes a line a second into this file of its data disk.
  const file = files.filter({ hasText: "lived.log" });
  const path = [];
  for (let depth = 0; depth < 12; depth++) {
    // A host reads it; the page becomes the answer by itself.
    await page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("main [data-live]"), null, { timeout: 90_000 });
    if (depth < 2) await look(page, `inside-${depth}`);
    path.push(await page.locator("h1").innerText());
    if (await file.count()) { path.push("lived.log"); break; }
    const further = page.locator('main table.list tbody th a, main ul.plain a.mono');
    if (!(await further.count())) break;
    const data = further.filter({ hasText: /^data/ });
    await ((await data.count()) ? data.first() : further.first()).click();
    await page.locator("h1").waitFor();
  }
  hold(path.includes("lived.log"), `the guest's file was not reached inside the point: ${path.join(" > ")}`);
  await look(page, "inside-files");
  await file.first().getByRole("button").click();
  await page.waitForURL("**/readings/**");
  await page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("main [data-live]"), null, { timeout: 90_000 });
  await look(page, "inside-fetched");
  const saved = await page.request.get(portal + await page.locator('main a[href$="/file"]').getAttribute("href"));
  hold(saved.status() === 200 && (await saved.body()).length > 0, `a file out of a point answered ${saved.status()}`);
  hold(/attachment/.test(saved.headers()["content-disposition"] || ""), "a file out of a point is saved, not shown");
  // What was fetched is what the guest wrote: it still tells its first second.
  const lines = (await saved.body()).toString("utf8").trim().split("\n");
  hold(lines.every((line) => /^\d{9,} [0-9a-f-]{8,}$/.test(line)), `the fetched file is not the guest's: ${lines[0]}`);
  await page.goto(`${portal}${service}?lang=en`);
  const address = (await page.locator("#address").textContent()).trim();
  const status = await (await page.request.get(new URL("/status.json", address).href)).json();
  hold(Number(lines[0].split(" ")[0]) === status.firstSecond, `the fetched file begins at ${lines[0]}, the guest's at ${status.firstSecond}`);
  hold(Number(lines.at(-1).split(" ")[0]) <= status.lastSecond, "the fetched file is not newer than the guest");
  say(`a recovery point was looked into: ${path.join(" > ")}, ${lines.length} lines as the guest wrote them`);
  return service;
}

// What keeps which point, and the way out: the escrow password, for a reason, once.
async function ways(page, service) {
  await visit(page, `${service}/retention?lang=en`, "retention");
  await page.getByLabel("The newest").fill("1");
  await page.getByRole("button", { name: "Try", exact: true }).press("Enter");
  await page.waitForURL(/last=1/);
  hold(await page.getByText("would go").first().isVisible(), "rules that keep one point let the others go");
  await look(page, "retention-tried");
  await visit(page, `${service}/repositories`, "repositories");
  await page.getByRole("link", { name: "Show the escrow password" }).first().click();
  await look(page, "escrow-asked");
  hold(await page.locator("textarea[name=reason]").evaluate((e) => e.required), "without a reason nothing is shown");
  await page.locator("textarea[name=reason]").fill("We test that we can leave");
  const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === "POST"), page.locator("main form[method=post] button").click()]);
  await page.locator("#escrow").waitFor();
  hold((answer.headers()["cache-control"] || "").includes("no-store"), "a password is not kept in any cache");
  hold((await page.locator("#escrow").textContent()).length > 20, "the escrow password is shown");
  await look(page, "escrow");
  await inChinese(page, [`${service}/retention`, `${service}/repositories`]);
  await page.goto(`${portal}/?lang=en`);
}

// A second machine is brought back beside the service, watched until it answers, and let go.
async function beside(page, service) {
  await page.goto(`${portal}${service}/restore?how=beside&lang=en`);
  await look(page, "restore-beside-plan");
  await page.getByRole("button", { name: "Bring it back beside" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/restores\/rstr_/);
  const here = page.url();
  await look(page, "restore-progress");
  const seen = new Set();
  const until = Date.now() + 240_000;
  let outcome = "";
  while (!outcome && Date.now() < until) {
    // The page renews itself: this only reads what a person would see.
    const now = await page.evaluate(() => ({
      step: `${document.querySelectorAll(".step.done").length}/${document.querySelectorAll(".step").length}`,
      over: document.querySelector("main .notice.tone-well, main .notice.tone-danger")?.innerText || "",
    })).catch(() => null);
    if (now) { seen.add(now.step); if (!/has begun/.test(now.over)) outcome = now.over; }
    if (!outcome) await page.waitForTimeout(150);
  }
  hold(/stands beside the service/.test(outcome), `a machine beside the service answers: ${outcome || "it never did"}`);
  hold(seen.size > 1, `progress moved while somebody watched: ${[...seen].join(" → ")}`);
  await page.goto(here);
  await look(page, "restore-beside");
  const links = await page.locator('main a[href^="http"]').evaluateAll((all) => all.map((a) => a.href).filter((href) => !href.startsWith(location.origin)));
  for (const link of links) hold((await page.request.get(link)).status() === 200, `the machine beside answers at ${link}`);
  await page.locator('a[data-dialog="end"]').click();
  hold(await page.locator("dialog#end").isVisible(), "letting go asks in a dialog");
  await page.locator("dialog#end button.main").click();
  await page.waitForURL("**/backups");
  const ended = page.getByText("The machine beside was let go");
  for (let n = 0; n < 120; n++) {
    await page.goto(here);
    if (await ended.count()) break;
    await page.waitForTimeout(500);
  }
  hold(await ended.count() > 0, "the machine beside is let go");
  hold(await page.locator('a[data-dialog="end"]').count() === 0, "what is gone cannot be let go again");
  say(`a machine was brought back beside its service, watched (${[...seen].join(" → ")}) and let go`);
}

// The drill that the demo has passed, as its own customer sees it, with its evidence.
async function passed(page) {
  await page.goto(`${portal}/drills?lang=en`);
  const run = page.locator("main table.list tbody tr").filter({ has: page.locator('a[href^="/drills/drun_"]') }).filter({ hasText: "Passed" });
  if (!(await run.count())) return hold(!process.env.YUNWEI_EXPECT_BILL, "there is a drill that was passed");
  await run.first().locator('a[href^="/drills/drun_"]').first().click();
  await page.locator("h1").waitFor();
  hold(await page.getByText("Passed").first().isVisible(), "a drill that was passed says so");
  await look(page, "drill-passed");
  await page.getByRole("link", { name: "Show the evidence" }).click();
  await page.waitForURL(/\/evidence$/);
  await look(page, "drill-passed-evidence");
  const file = await (await page.request.get(`${page.url()}.json`)).json();
  hold(file.document.run.verdict === "passed", "the signed file says that it was passed");
  await page.goto(`${portal}/?lang=en`);
  say("a passed drill and its evidence were looked at");
}

async function bill(page) {
  await visit(page, "/bills", "bills");
  const first = page.locator("table.list tbody th a").first();
  if (await first.count() === 0) {
    hold(process.env.YUNWEI_EXPECT_BILL !== "1", "there is a bill");
    return;
  }
  await first.click();
  await page.locator(".bill").waitFor();
  await look(page, "bill");
  const here = new URL(page.url()).pathname;
  await page.emulateMedia({ media: "print" });
  hold(await page.locator(".bill").isVisible() && (await page.locator(".bill tbody tr").count()) > 0, "the printed bill has its lines");
  await page.emulateMedia({ media: "screen" });
  await printed(page, "bill", { preferCSSPageSize: true });
  await inTheDark(page, [[here, "bill"]]);
  await page.goto(portal + here);
  await page.locator(".bill tbody th a").first().click();
  await page.locator("h1").waitFor();
  await look(page, "bill-usage");
}

async function withoutScript(credentials) {
  const { context, page } = await open({ javaScriptEnabled: false });
  await signIn(page, credentials);
  await page.goto(`${portal}/catalog`);
  await page.locator(".offer a.cover").first().click();
  hold(await page.getByRole("button", { name: "Place the order" }).isVisible(), "ordering works without a script");
  hold(/NT\$/.test(await page.locator(".receipt .grand").innerText()), "the estimate stands there without a script");
  await context.close();
}

async function rest(page) {
  for (const [path, name] of [
    ["/orders", "orders"], ["/services", "services"], ["/members", "members"], ["/activity", "activity"], ["/webhooks", "webhooks"],
    ["/account", "account"], ["/account/tokens", "tokens"], ["/account/sessions", "sessions"], ["/search?q=nothing+of+that+name", "search-none"],
    ["/approvals", "approvals"], ["/approvals?which=all", "approvals-all"], ["/approvals/rule", "approval-rule"],
  ]) await visit(page, path, name);
  await search(page);
  await webhook(page);
  await inChinese(page, ["/", "/catalog", "/orders", "/services", "/bills", "/members", "/activity", "/webhooks", "/account", "/account/tokens", "/account/sessions", "/approvals", "/approvals/rule"]);
  await page.goto(`${portal}/orders`);
  const order = await page.locator('main a[href^="/orders/pord_"]').first().getAttribute("href");
  await inTheDark(page, [["/", "zh-home"], [order, "zh-order"], ["/services", "zh-services"], ["/catalog", "zh-catalog"]]);
  for (const [path, lang, words] of [["/orders/pord_00000000000000000000000000", "en", "There is nothing here"], ["/no/such/page", "zh", "找不到這一頁"], ["/api/v1/no/such/thing", "en", "There is nothing here"]]) {
    const lost = await page.goto(`${portal}${path}?lang=${lang}`);
    hold(lost.status() === 404 && (await page.locator("h1").innerText()) === words, `${path} is not found, in words of ${lang}`);
  }
  await look(page, "not-found");
}

// What was ordered is found by how its name begins, from the box at the head.
async function search(page) {
  await page.goto(`${portal}/?lang=en`);
  await page.keyboard.press("/");
  await page.keyboard.type("brow");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/search\?q=brow/);
  hold(await page.locator('main a[href^="/orders/"]').count() > 0, "the order is found by the beginning of its name");
  await look(page, "search");
}

// A subscription is made, shows its secret once, and ends.
async function webhook(page) {
  await page.goto(`${portal}/webhooks`);
  await page.getByLabel("Address to send to").fill("https://hooks.example/here");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.locator(".secret").waitFor();
  await look(page, "webhook-made");
  await page.locator('a[href^="/webhooks/hub_"]').first().click();
  await page.getByRole("link", { name: "End the subscription" }).waitFor();
  await look(page, "webhook");
  await page.getByRole("link", { name: "End the subscription" }).click();
  await look(page, "webhook-end");
  await page.getByRole("button", { name: "End the subscription" }).click();
  await page.getByText("The subscription has been ended.").waitFor();
}

// Pages in Chinese say nothing in English but names, units and what programs read.
async function inChinese(page, paths) {
  for (const path of paths) {
    await visit(page, `${path}${path.includes("?") ? "&" : "?"}lang=zh`, `zh${path.replace(/[^a-z]+/g, "-")}`);
    const left = await page.evaluate(() => {
      const said = document.querySelector("main").cloneNode(true);
      said.querySelectorAll("code, pre, input, textarea, .mono, .hash, time, a[href^='/orders/'], a[href^='/services/'], [lang], td, th[scope=row], .person, dd, option, h1").forEach((e) => e.remove());
      return (said.innerText || said.textContent).match(/[A-Za-z]{3,}(?: [a-z]{2,}){2,}/g) || [];
    });
    hold(left.length === 0, `${path} says in English: ${left.join("; ")}`);
  }
}

// What an authenticator app shows, `later` steps of thirty seconds from now (RFC 6238).
function oneTimeCode(secret, later = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const tag = createHmac("sha1", key).update(step).digest();
  return String((tag.readUInt32BE(tag[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

// Enrols an authenticator, signs out, signs in with its code, and takes it away again.
async function factors(page, [email, password]) {
  await visit(page, "/account/factors?lang=en", "factors");
  await page.getByLabel("Name").fill("Phone");
  await page.keyboard.press("Enter");
  await page.locator("svg.qr").waitFor();
  await look(page, "factor-enrol");
  const secret = await page.locator("input[name=secret]").inputValue();
  await page.getByLabel("Code", { exact: true }).fill(oneTimeCode(secret));
  await page.keyboard.press("Enter");
  await page.locator("ul.codes").waitFor();
  hold(await page.locator("ul.codes li").count() === 10, "there are ten recovery codes");
  await look(page, "recovery-codes");
  await inChinese(page, ["/account/factors", "/account/sessions"]);
  await page.goto(`${portal}/account?lang=en`);
  await page.context().clearCookies({ name: /yunwei_session/ });
  await page.goto(`${portal}/sign-in?lang=en`);
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(/\/sign-in\/code/);
  await look(page, "sign-in-code");
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.keyboard.press("Enter");
  await page.locator(".summary").waitFor();
  await look(page, "sign-in-code-wrong");
  // The code of this step was taken when the app was confirmed.
  await page.getByLabel("Code", { exact: true }).fill(oneTimeCode(secret, 1));
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
  await visit(page, "/account/sessions?lang=en", "sessions-two-steps");
  hold(await page.getByText("Password and code").first().isVisible(), "a session says how it signed in");
  await visit(page, "/sign-in-rules?lang=en", "sign-in-rules");
  await page.goto(`${portal}/account/factors?lang=en`);
  await page.getByRole("link", { name: "Remove Phone" }).click();
  await look(page, "factor-remove");
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByText("The second factor has been removed.").waitFor();
  say("an authenticator was enrolled, signed in with, and removed");
}

// Sends an image by keyboard, with the script and without; first under a digest that is not its own.
async function images(credentials) {
  const bytes = Buffer.alloc(24 << 20, String(began));
  const digest = createHash("sha256").update(bytes).digest("hex");
  for (const javaScriptEnabled of [true, false]) {
    const { context, page } = await open({ javaScriptEnabled });
    await signIn(page, credentials);
    const name = `sent-${began}-${javaScriptEnabled ? "with" : "without"}-script`;
    const send = async (said) => {
      await page.goto(`${portal}/operator/images/upload`);
      await page.locator("input[name=name]").fill(name);
      await page.locator("input[name=sha256]").fill(said);
      await page.locator("input[name=file]").setInputFiles({ name: "disk", mimeType: "application/octet-stream", buffer: bytes });
      await page.locator("main button.main").press("Enter");
    };
    await send("0".repeat(64));
    await page.locator(".summary").waitFor();
    hold((await page.locator(".error").innerText()).includes(digest), `${name}: what differs is said at its field`);
    if (javaScriptEnabled) {
      hold(await page.evaluate(() => document.activeElement.matches(".summary")), "what is wrong with an upload gets the focus");
      await look(page, "op-image-refused");
    }
    await send(digest);
    await page.waitForURL("**/operator/images");
    await page.getByText(name).waitFor();
    hold(await page.getByText("Saved.").isVisible(), `${name}: what was achieved is said`);
    say(`an image of ${bytes.length >> 20} MiB is sent ${javaScriptEnabled ? "with" : "without"} the script`);
    await context.close();
  }
}

async function operator(credentials) {
  const { context, page } = await open();
  await signIn(page, credentials);
  for (const [path, name] of [
    ["/", "op-overview"], ["/operator/orders", "op-orders"], ["/operator/flows?show=all", "op-flows"], ["/operator/hosts", "op-hosts"], ["/operator/sites", "op-sites"],
    ["/operator/images", "op-images"], ["/operator/customers", "op-customers"], ["/operator/customers/new", "op-customer-new"], ["/operator/offerings", "op-offerings"],
    ["/operator/jobs", "op-jobs"], ["/operator/jobs?show=all", "op-jobs-all"], ["/operator/images/new", "op-image-new"], ["/operator/images/upload", "op-image-upload"], ["/operator/backups", "op-backups"], ["/operator/backups/places/new", "op-place-new"], ["/operator/backups/policies/new", "op-policy-new"], ["/operator/audit", "op-audit"], ["/webhooks", "op-webhooks"],
    ["/search?q=a", "op-search"], ["/drills", "op-drills"], ["/account", "op-account"], ["/approvals", "op-approvals"], ["/approvals/rule", "op-approval-rule"],
  ]) await visit(page, path, name);
  await inChinese(page, ["/", "/operator/flows?show=all", "/operator/jobs", "/operator/backups", "/operator/hosts", "/operator/sites", "/operator/customers", "/operator/offerings", "/operator/audit", "/webhooks"]);
  await inChinese(page, ["/operator/backups/places/new", "/operator/backups/policies/new"]);
  await inTheDark(page, [["/", "op-zh-overview"], ["/operator/flows?show=all", "op-zh-flows"], ["/operator/audit", "op-zh-audit"]]);
  await page.goto(`${portal}/?lang=en`);
  await rules(page);
  await shipping({ page, portal, visit, look, inChinese, hold, say });
  for (const [list, name] of [["/operator/flows?show=all", "op-flow"], ["/operator/hosts", "op-host"], ["/operator/customers", "op-customer"], ["/operator/offerings", "op-offering"]]) {
    await page.goto(portal + list);
    const first = page.locator("main table.list tbody th a, main a.cover").first();
    if (!(await first.count())) continue;
    await first.click();
    await page.locator("h1").waitFor();
    await look(page, name);
    if (name === "op-host") hold(await page.locator("dt", { hasText: "Site" }).count() > 0, "a host's page says where it stands");
    if (name === "op-flow") await inTheDark(page, [[new URL(page.url()).pathname, name]]);
  }
  await context.close();
}

// A place and a policy are opened; what fewer points would let go is shown before anything is saved.
async function rules(page) {
  await page.goto(`${portal}/operator/backups`);
  for (const [link, name] of [['a[href^="/operator/backups/places/bkpl_"]', "op-place"], ['a[href$="/credential"]', "op-credential"], ['a[href^="/operator/backups/policies/bkpo_"]', "op-policy"]]) {
    await page.goto(`${portal}/operator/backups`);
    const first = page.locator(`main ${link}`).first();
    if (!(await first.count())) return hold(!process.env.YUNWEI_EXPECT_BILL, "there are places and policies");
    await first.click();
    await page.locator("main form").first().waitFor();
    await look(page, name);
  }
  await page.goto(`${portal}/operator/backups`);
  const policies = await page.locator('main a[href^="/operator/backups/policies/bkpo_"]').evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  let shown = 0;
  for (const policy of policies) {
    await page.goto(portal + policy);
    await page.getByLabel("The newest").fill("1");
    await page.getByLabel("One a day").fill("0");
    await page.getByRole("button", { name: "Show what would go" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("Nothing has gone.").waitFor();
    hold(await page.getByLabel("The newest").inputValue() === "1", "what was typed is kept");
    shown += await page.locator("main table.list tbody tr").count();
    if (policy === policies[0]) await look(page, "op-policy-preview");
  }
  hold(shown > 0, "services stand in the preview of their policy");
  say("places and policies were looked at, and what other rules would let go");
}

// A plan is made and drilled with the keyboard alone. Nothing protects the service here, so the drill
// must say that nothing was proven; its evidence prints.
async function drills(page) {
  await visit(page, "/drills?lang=en", "drills");
  await page.getByRole("link", { name: "New plan" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/drills/plans/new");
  await look(page, "drill-plan-new");
  await page.getByRole("button", { name: "Make the plan" }).focus();
  await page.keyboard.press("Enter");
  await page.locator(".summary").waitFor();
  await look(page, "drill-plan-wrong");
  await page.getByLabel("Name", { exact: true }).fill("Quarterly");
  const service = page.locator("input[name=services]").first();
  if (!(await service.count())) { say("no service to drill"); return; }
  await service.focus();
  await page.keyboard.press("Space");
  await page.getByLabel("Owner", { exact: true }).fill("Operations");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/drills\/plans\/drpl_/);
  await look(page, "drill-plan");
  await page.getByRole("button", { name: "Drill now" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/drills\/drun_/);
  await page.getByText("nothing was proven").waitFor({ timeout: 30_000 });
  hold(await page.getByText("Impossible").first().isVisible(), "a drill without a copy is impossible, not passed");
  await look(page, "drill");
  await page.getByRole("link", { name: "Show the evidence" }).click();
  await page.waitForURL(/\/evidence$/);
  await look(page, "drill-evidence");
  await page.emulateMedia({ media: "print" });
  hold(!(await page.locator(".page-head").isVisible()), "the printed evidence has no buttons");
  await page.emulateMedia({ media: "screen" });
  await printed(page, "drill-evidence", { format: "A4" });
  const file = await page.request.get(`${page.url()}.json`);
  hold((await file.json()).document.run.verdict === "impossible", "the signed file says what the page does");
  await visit(page, "/drills", "drills-after");
  hold(await page.getByText("seen 1 times").isVisible(), "what was missed is work for somebody");
  await inChinese(page, ["/drills", "/drills/plans/new", new URL(page.url()).pathname]);
  await page.goto(`${portal}/?lang=en`);
  say("a plan was made, drilled, and its evidence printed");
}

// A first plan is made of what runs, by the questions of the guided start; then every page that it fills.
async function plan(page) {
  await visit(page, "/plan/start?lang=en", "plan-start");
  // What is not backed up yet is asked about, where a policy is offered.
  const asked = page.locator("select[name^='policy-']");
  const bare = await asked.evaluateAll((all) => all.map((one) => one.name.replace("policy-", "")));
  hold(bare.length > 0 || await page.getByText("offers no policy").isVisible() || !process.env.YUNWEI_EXPECT_BILL, "a service without backups is asked about");
  await page.getByLabel("What does the firm do").fill("We sell shoes. Orders must be taken.");
  await page.locator("input[name=lead]").fill("Lin Yi-Jun");
  await page.locator("input[name=leadPhone]").fill("0912 345 678");
  await page.getByRole("button", { name: "Show what it would make" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Make all of it" }).waitFor();
  await look(page, "plan-start-preview");
  if (bare.length) hold(await page.getByText(/Backups of .* by the policy/).count() === bare.length, "each of them is backed up by the policy that was chosen");
  await page.getByRole("button", { name: "Make all of it" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === "/plan");
  hold(await page.locator("main table.list tbody tr").count() === 9, "a plan has nine steps");
  for (const id of bare) {
    await page.goto(`${portal}/services/${id}/backups`);
    hold(await page.getByText("Next backup", { exact: true }).isVisible(), `${id} is backed up from now on`);
    await page.goto(`${portal}/services/${id}/protection`);
    await look(page, "protection-chosen");
    hold(await page.locator("main form[action$='/protection']").count() === 0, "changing a policy is the operator's");
  }
  for (const [path, name] of [
    ["/plan", "plan"], ["/plan/steps/1", "plan-step"], ["/plan/versions", "plan-versions"], ["/plan/team", "plan-team"], ["/plan/team/new", "plan-team-new"],
    ["/plan/reviews", "plan-reviews"], ["/plan/reviews/new", "plan-review-new"], ["/plan/exercises", "plan-exercises"], ["/plan/exercises/new", "plan-exercise-new"],
    ["/plan/runbooks", "plan-runbooks"], ["/plan/runbooks/new", "plan-runbook-new"], ["/plan/print", "plan-paper"],
    ["/inventory", "inventory"], ["/inventory/new", "inventory-new"], ["/inventory/import", "inventory-import"], ["/inventory/assessments", "assessments"],
    ["/inventory/scale", "harm-scale"], ["/impact", "impact"], ["/alarms", "alarms"], ["/announcements", "announcements"], ["/announcements/new", "announcement-new"],
  ]) await visit(page, path, name);
  await page.goto(`${portal}/plan/print`);
  await page.emulateMedia({ media: "print" });
  hold((await page.locator("main").innerText()).length > 500, "the printed plan says something");
  const paper = await page.pdf({ format: "A4" });
  const sheets = (paper.toString("latin1").match(/\/Type\s*\/Page\b(?!s)/g) || []).length;
  hold(paper.subarray(0, 5).toString() === "%PDF-" && paper.length > 10_000 && sheets > 0, `the plan prints: ${paper.length} bytes, ${sheets} sheets`);
  await page.emulateMedia({ media: "screen" });
  await page.goto(`${portal}/impact`);
  const first = page.locator('main a[href^="/impact/what-if"]').first();
  if (await first.count()) { await first.click(); await page.locator("h1").waitFor(); await look(page, "what-if"); }
  await inChinese(page, ["/plan", "/plan/start", "/plan/team", "/inventory", "/impact", "/alarms", "/announcements"]);
  await page.goto(`${portal}/?lang=en`);
  say("a first plan was made of what runs, looked at and printed");
}

const pair = (text) => { const at = text.indexOf(" "); return [text.slice(0, at), text.slice(at + 1)]; };
try {
  await door();
  if (process.env.YUNWEI_TENANT) {
    const credentials = pair(process.env.YUNWEI_TENANT);
    const { context, page } = await open();
    await signIn(page, credentials);
    say("signed in as a tenant");
    await order(page);
    if (await page.locator('a[href^="/services/"].btn.main').count()) {
      await service(page);
      await backups(page);
    }
    const held = await kept(page);
    if (held) { await ways(page, held); await beside(page, held); }
    await passed(page);
    await bill(page);
    await drills(page);
    await plan(page);
    await rest(page);
    await programs({ page, portal, visit, look, inChinese, hold, say });
    await refusals({ page, portal, visit, look, inChinese, hold, say });
    await factors(page, credentials);
    const { context: named, page: there } = await open();
    await passkeys({ page: there, portal, person: credentials, hold, look, say });
    await named.close();
    await context.close();
    await withoutScript(credentials);
  }
  if (process.env.YUNWEI_OPERATOR) await operator(pair(process.env.YUNWEI_OPERATOR));
  if (process.env.YUNWEI_OPERATOR) await images(pair(process.env.YUNWEI_OPERATOR));
} catch (error) {
  hold(false, error.stack);
}
await browser.close();
say(failures.length ? `${failures.length} failed` : "all held");
process.exit(failures.length ? 1 : 0);
