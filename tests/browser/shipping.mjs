// Where the audit log is kept as well: a directory is named, shipped to and let go, a webhook's secret is
// shown once, a bucket is given its key; each page is looked at, in both languages.
//
// Used by portal.mjs, against a server on this machine.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PLACES = "/operator/audit/places";

async function name(page, portal, kind, fields) {
  await page.goto(`${portal}${PLACES}/new?lang=en`);
  await page.locator(`input[name=kind][value=${kind}]`).check();
  for (const [field, value] of Object.entries(fields)) await page.locator(`[name=${field}]`).fill(value);
  await page.locator("main button.main").press("Enter");
}

export async function shipping({ page, portal, visit, look, inChinese, hold, say }) {
  const folder = mkdtempSync(join(tmpdir(), "yunwei-audit-"));
  await visit(page, `${PLACES}?lang=en`, "op-audit-places-none");
  await visit(page, `${PLACES}/new`, "op-audit-place-new");
  await page.locator("main button.main").press("Enter");
  await page.locator(".summary").waitFor();
  await look(page, "op-audit-place-wrong");
  await name(page, portal, "directory", { name: "Other host", path: folder });
  await page.getByText("Saved.").waitFor();
  await name(page, portal, "webhook", { name: "Watchers", url: "https://watch.example.com/audit" });
  await page.getByText("Copy the signing secret now").waitFor();
  await look(page, "op-audit-place-secret");
  await name(page, portal, "bucket", { name: "Locked bucket", endpoint: "https://s3.example.com", bucket: "audit", region: "tw-1" });
  await page.waitForURL(/\/credential/);
  await look(page, "op-audit-credential");
  await page.goto(`${portal}${PLACES}`);
  const row = page.locator("tr", { hasText: "Other host" });
  await row.getByRole("button", { name: "Ship now" }).press("Enter");
  const end = Date.now() + 30_000;
  while (!readdirSync(folder).length && Date.now() < end) await page.waitForTimeout(200);
  hold(readdirSync(folder).length > 0, "what was shipped lies in the directory");
  await visit(page, PLACES, "op-audit-places");
  await row.getByRole("link", { name: "Other host", exact: true }).click();
  await page.locator("main form").first().waitFor();
  await look(page, "op-audit-place");
  await inChinese(page, [PLACES, `${PLACES}/new`]);
  for (const called of ["Other host", "Watchers", "Locked bucket"]) {
    await page.goto(`${portal}${PLACES}?lang=en`);
    await page.locator("tr", { hasText: called }).locator('a[href$="/remove"]').press("Enter");
    if (called === "Other host") await look(page, "op-audit-place-remove");
    await page.locator("[name=reason]").fill("It was named to look at the page");
    await page.locator("main button.danger").press("Enter");
    await page.getByText("Saved.").waitFor();
  }
  await page.getByText("The audit log leaves this server for nowhere").waitFor();
  rmSync(folder, { recursive: true });
  say("places of the audit log were named, shipped to and let go");
}
