// Takes the pictures of docs/images from a running demo, in both languages:
//   script/demo, then: node pictures.mjs
// YUNWEI_PORTAL, YUNWEI_TENANT ("email password") and CHROMIUM as portal.mjs has them.
import { chromium } from "playwright-core";

const portal = (process.env.YUNWEI_PORTAL || "http://127.0.0.1:8420").replace(/\/$/, "");
const [email, password] = (process.env.YUNWEI_TENANT || "owner@qingchuan.example lantern-walnut-river-quilt").split(" ");
const folder = new URL("../../docs/images/", import.meta.url).pathname;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

for (const [lang, name] of [["en", "web-shop"], ["zh", "官網"]]) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 }, reducedMotion: "reduce" });
  const page = await context.newPage();
  const picture = (what) => page.screenshot({ path: `${folder}${what}-${lang}.png` });
  await page.goto(`${portal}/sign-in?lang=${lang}`);
  await page.fill("input[name=email]", email);
  await page.fill("input[name=password]", password);
  await page.click("main button.main");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
  await page.goto(`${portal}/bills`);
  await page.locator("table.list tbody th a").last().click();
  await page.locator(".bill").waitFor();
  await page.setViewportSize({ width: 1280, height: 980 });
  await picture("bill");
  await page.setViewportSize({ width: 1280, height: 760 });
  await page.goto(`${portal}/catalog`);
  await page.locator(".offer a.cover").last().click();
  await page.fill("input[name=name]", name);
  await page.locator("main form button.main").click();
  await page.waitForURL(/\/orders\/[a-z]+_/);
  await page.waitForFunction(() => document.querySelectorAll(".step.done").length >= 5);
  await picture("order");
  await context.close();
}
await browser.close();
